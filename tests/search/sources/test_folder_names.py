"""Names of folders and files, which may hold anything, and links."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from refusals import refused

from convsearch.search.sources import open_data

SaveImage = Callable[..., Path]
MakeClasses = Callable[..., Path]


def test_names_with_spaces_and_letters_of_all_languages_are_read(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "ein Ordner", {"größer Hund": 3, "猫": 3})
    assert open_data(str(root), cache).classes == ("größer Hund", "猫")


def folder_of_bytes(root: Path, name: bytes, images: int, save_image: SaveImage) -> Path:
    """A folder of images whose name is these bytes."""
    folder = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
    for i in range(images):
        save_image(folder / f"{i}.png")
    return folder


def test_class_names_that_are_not_utf8_on_disk_stay_apart_and_are_shown_with_their_bytes(
    tmp_path: Path, cache: Path, save_image: SaveImage
) -> None:
    root = tmp_path / "set"
    folder_of_bytes(root, b"B\xe4r", 3, save_image)
    folder_of_bytes(root, b"B\xf6r", 4, save_image)
    found = open_data(str(root), cache)
    assert found.class_counts() == {r"B\xe4r": 3, r"B\xf6r": 4}
    fingerprint = found.fingerprint
    folder_of_bytes(root, b"B\xf6r", 4, save_image).rename(Path(os.fsdecode(os.fsencode(root) + b"/B\xfcr")))
    assert open_data(str(root), cache).fingerprint != fingerprint


def test_two_class_folders_that_would_be_shown_alike_are_refused_with_both(
    tmp_path: Path, cache: Path, save_image: SaveImage
) -> None:
    root = tmp_path / "set"
    folder_of_bytes(root, b"B\xe4r", 3, save_image)
    folder_of_bytes(root, rb"B\xe4r", 3, save_image)
    message = refused(root, cache)
    assert repr(b"B\xe4r") in message
    assert repr(rb"B\xe4r") in message


@pytest.mark.parametrize("name", ["a\u2028b", "a\nb", "\u202ecat", "\x1b[2J", "a\x85b"])
def test_a_class_whose_name_would_break_lines_or_the_terminal_is_shown_with_escapes(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, name: str
) -> None:
    found = open_data(str(make_classes(tmp_path / "set", {name: 3, "cat": 3})), cache)
    (shown,) = set(found.classes) - {"cat"}
    assert shown == name.encode("unicode_escape").decode()
    assert found.class_counts() == {"cat": 3, shown: 3}


def test_the_fingerprint_of_names_in_utf8_is_the_one_that_studies_have(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "set"
    for name, grey in (("cat", 10), ("größer Hund", 200)):
        (root / name).mkdir(parents=True)
        for i in range(3):
            Image.new("L", (4, 4), grey + i).save(root / name / f"{i}.pgm")
    expected = hashlib.sha256(b"folder\n")
    for path in sorted(root.rglob("*.pgm")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        expected.update(f"{path.relative_to(root)}\0{digest}\n".encode())
    assert open_data(str(root), cache).fingerprint == expected.hexdigest()


@pytest.mark.parametrize(
    ("parts", "alike"),
    [
        (("Train", "validation", "Test"), True),
        (("Training", "test"), False),
        (("train", "Dev"), False),
        (("train", "testing"), False),
        (("Training", "Testing"), False),
    ],
)
def test_the_fingerprint_is_another_one_where_earlier_versions_took_parts_for_classes(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, parts: tuple[str, ...], alike: bool
) -> None:
    for part in parts:
        make_classes(tmp_path / "set" / part, {"cat": 3, "dog": 3})
    earlier = hashlib.sha256(b"folder\n")
    for path in sorted((tmp_path / "set").rglob("*.png")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        earlier.update(f"{path.relative_to(tmp_path / 'set')}\0{digest}\n".encode())
    assert (open_data(str(tmp_path / "set"), cache).fingerprint == earlier.hexdigest()) == alike


def test_bytes_that_are_not_utf8_in_the_names_of_loose_bad_and_linked_files_are_printable(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    odd = os.fsdecode(b"\xe4\x1b[2J.png")
    save_image(root / odd)
    (root / "cat" / odd).write_bytes(b"")
    (root / "dog" / odd).symlink_to("/etc/hostname")
    found = open_data(str(root), cache, skip_bad=True)
    said = "\n".join([*found.notes, *found.bad])
    assert said.count(r"\xe4\x1b[2J.png") == 4  # the bad one has a note, too
    said.encode()
    assert "\x1b" not in said


def test_a_class_with_the_same_letters_stored_otherwise_is_pointed_out(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = tmp_path / "set"
    make_classes(root / "train", {"B\u00e4r": 4, "cat": 4})
    make_classes(root / "test", {"Ba\u0308r": 2, "cat": 2})
    assert "whose accents are stored otherwise" in refused(root, cache)


def test_links_that_lead_out_of_the_folder_are_not_followed(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "cat/secret.png").symlink_to(save_image(tmp_path / "secret.png"))
    (root / "elsewhere").symlink_to(make_classes(tmp_path, {"outside": 3}) / "outside")
    dataset = open_data(str(root), cache)
    assert dataset.class_counts() == {"cat": 3, "dog": 3}
    assert any("2 links" in note for note in dataset.notes)


def test_a_link_that_stays_inside_the_folder_is_an_image_like_others(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "cat/alias.png").symlink_to(root / "cat/0.png")
    assert open_data(str(root), cache).class_counts() == {"cat": 4, "dog": 3}


def test_a_circle_of_links_ends(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "cat/again").symlink_to(root)
    assert len(open_data(str(root), cache)) == 6


def test_links_that_lead_nowhere_or_to_themselves_are_passed_over_and_noted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "cat/a.png").symlink_to("a.png")
    (root / "cat/b.png").symlink_to("c.png")
    (root / "cat/c.png").symlink_to("b.png")
    (root / "dog/gone.png").symlink_to("nowhere.png")
    dataset = open_data(str(root), cache)
    assert dataset.class_counts() == {"cat": 3, "dog": 3}
    assert "ignored: 4 links, such as cat/a.png" in dataset.notes


def test_a_pipe_that_is_called_an_image_is_not_waited_for(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    os.mkfifo(root / "cat/pipe.png")
    assert len(open_data(str(root), cache)) == 6
