import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import too_many_open_files
from PIL import Image
from sklearn.datasets import load_sample_images

from convsearch.search.data import split
from convsearch.search.sources import open_data
from convsearch.search.sources.images import decode
from convsearch.spaces.errors import InputError, WorkError

SaveImage = Callable[..., Path]
MakeClasses = Callable[..., Path]


def refused(path: Path, cache: Path, **options: Any) -> str:
    """Return the message that a source is refused with, having seen that nothing is left in the cache."""
    with pytest.raises(InputError) as error:
        open_data(str(path), cache, **options)
    assert not cache.exists() or not list(cache.iterdir())
    return str(error.value)


def test_class_folders_are_read_with_their_names_as_classes(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "animals", {"dog": 3, "cat": 4})
    animals = open_data(str(root), cache)
    assert animals.name == "animals"
    assert animals.source == str(root)
    assert animals.classes == ("cat", "dog")
    assert animals.class_counts() == {"cat": 4, "dog": 3}
    assert animals.input == (8, 8, 3)
    assert len(animals) == animals.count == 7
    assert not animals.given.any()
    cats = [decode(root / "cat" / f"{i}.png", (8, 8), 3) for i in range(4)]
    assert np.array_equal(animals.images()[animals.labels() == 0], cats)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_train_val_and_test_folders_fix_the_roles(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, val: str
) -> None:
    for part, count in (("train", 3), (val, 2), ("test", 1)):
        make_classes(tmp_path / "set" / part, {"cat": count, "dog": count})
    dataset = open_data(str(tmp_path / "set"), cache)
    assert dataset.classes == ("cat", "dog")
    assert np.bincount(dataset.given).tolist() == [0, 6, 4, 2]
    parts = split(dataset, seed=0)
    assert (len(parts.train), len(parts.val), len(parts.test)) == (6, 4, 2)


def test_with_train_and_test_alone_the_training_images_are_still_to_be_divided(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    make_classes(tmp_path / "train", {"cat": 5, "dog": 5})
    make_classes(tmp_path / "test", {"cat": 2, "dog": 2})
    dataset = open_data(str(tmp_path), cache)
    assert np.bincount(dataset.given).tolist() == [10, 0, 0, 4]


@pytest.mark.parametrize("parts", [(), ("train", "test")])
def test_the_studies_among_the_images_are_no_class_and_change_no_digest(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, parts: tuple[str, ...]
) -> None:
    root = tmp_path / "set"
    for place in [root / part for part in parts] or [root]:
        make_classes(place, {"cat": 3, "dog": 3})
    before = open_data(str(root), cache)
    shutil.rmtree(before.folder)
    make_classes(root / "studies", {"data": 1, "birds-20261130-101500": 1})
    dataset = open_data(str(root), cache, studies=[root / "studies"])
    assert dataset.fingerprint == before.fingerprint
    assert dataset.classes == ("cat", "dog")
    assert dataset.notes == ("ignored: studies/, where studies are kept", *before.notes)


def test_studies_elsewhere_change_nothing(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "studies": 3})
    for studies in (tmp_path / "studies", tmp_path, root):
        assert open_data(str(root), cache, studies=[studies]).classes == ("cat", "studies")


def test_a_class_may_be_called_train(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "vehicles", {"train": 3, "car": 3})
    assert open_data(str(tmp_path / "vehicles"), cache).classes == ("car", "train")


def test_folders_inside_a_class_folder_belong_to_the_class(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    save_image(root / "dog" / "puppies" / "young" / "1.png")
    assert open_data(str(root), cache).class_counts() == {"cat": 3, "dog": 4}


def test_folders_may_be_nested_deeper_than_python_calls_functions(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    folders = [root / "dog" / "a"]
    while len(folders) <= sys.getrecursionlimit():
        folders.append(folders[-1] / "a")
    for folder in folders:
        folder.mkdir()
    deepest = save_image(folders[-1] / "1.png")
    try:
        assert open_data(str(root), cache).class_counts() == {"cat": 3, "dog": 4}
    finally:  # what removes the folders of tests would not come so deep
        deepest.unlink()
        for folder in reversed(folders):
            folder.rmdir()


def test_other_and_hidden_files_are_passed_over(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    for name in ("cat/Thumbs.db", "cat/.DS_Store", "dog/notes.txt", "dog/._1.png", "readme.md"):
        (root / name).write_bytes(b"no image")
    (root / ".ipynb_checkpoints").mkdir()
    (root / "__MACOSX").mkdir()
    dataset = open_data(str(root), cache)
    assert len(dataset) == 6
    assert not dataset.bad


def test_images_beside_the_class_folders_are_passed_over_and_noted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    save_image(root / "cover.jpg")
    dataset = open_data(str(root), cache)
    assert len(dataset) == 6
    assert any("1 images outside class folders, such as cover.jpg" in note for note in dataset.notes)


def test_folders_beside_train_are_passed_over_and_noted(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "set/train", {"cat": 3, "dog": 3})
    make_classes(tmp_path / "set", {"unlabelled": 3})
    dataset = open_data(str(tmp_path / "set"), cache)
    assert len(dataset) == 6
    assert any("ignored next to train/: 'unlabelled'" in note for note in dataset.notes)


def test_all_images_get_the_commonest_size_and_that_is_noted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4}, height=10, width=12)
    save_image(root / "cat" / "tall.png", height=20, width=6)
    save_image(root / "cat" / "wide.png", height=6, width=20)
    dataset = open_data(str(root), cache)
    assert dataset.input == (10, 12, 3)
    assert any("image size 10x12, the most common of 3 sizes (8 of 10 images)" in note for note in dataset.notes)


def test_another_size_can_be_asked_for(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    dataset = open_data(str(root), cache, image_size=(5, 7))
    assert dataset.images().shape == (6, 5, 7, 3)
    assert np.array_equal(dataset.images()[0], decode(root / "cat/0.png", (5, 7), 3))
    assert any("image size 5x7 as requested; 6 of 6 images have another" in note for note in dataset.notes)


def test_the_depth_is_one_only_where_every_image_is_grey(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3}, mode="L")
    save_image(root / "cat" / "alpha.png", mode="LA")
    assert open_data(str(root), cache).input.depth == 1
    save_image(root / "cat" / "colour.png", mode="RGB")
    assert open_data(str(root), cache).input.depth == 3


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


# What is looked at, and when


def test_a_moved_copy_is_the_same_data_and_is_not_decoded_again(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    first = open_data(str(root), cache)
    moved = shutil.move(root, tmp_path / "moved")
    calls: list[tuple[int, int]] = []
    second = open_data(str(moved), cache, progress=lambda done, total: calls.append((done, total)))
    assert second.fingerprint == first.fingerprint
    assert second.folder == first.folder
    assert (second.name, second.source) == ("moved", str(moved))
    assert not calls


@pytest.mark.parametrize("change", ["content", "name", "class", "part", "one image less"])
def test_any_change_of_the_content_changes_the_fingerprint(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage, change: str
) -> None:
    root = tmp_path / "set"
    make_classes(root / "train", {"cat": 5, "dog": 5})
    make_classes(root / "test", {"cat": 2, "dog": 2})
    before = open_data(str(root), cache).fingerprint
    image = root / "train/cat/4.png"
    match change:
        case "content":
            save_image(image)
        case "name":
            image.rename(image.with_name("5.png"))
        case "class":
            image.rename(root / "train/dog/5.png")
        case "part":
            image.rename(root / "test/cat/5.png")
        case _:
            image.unlink()
    assert open_data(str(root), cache).fingerprint != before


def test_progress_is_told_up_to_the_last_image(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    calls: list[tuple[int, int]] = []
    root = make_classes(tmp_path / "set", {"cat": 30, "dog": 30})
    open_data(str(root), cache, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (60, 60)
    assert calls == sorted(calls)


# What a person should know


def test_few_images_are_noted(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 60, "dog": 60})
    assert not open_data(str(root), cache).notes
    root = make_classes(tmp_path / "small", {"cat": 60, "dog": 39})
    assert any(note.startswith("small: 99 images, fewer than 50") for note in open_data(str(root), cache).notes)


def test_classes_of_very_different_size_are_noted(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 40, "owl": 5})
    notes = open_data(str(root), cache).notes
    assert any("unbalanced: 'cat' has 40 images, 'owl' 5" in note for note in notes)


def test_exact_copies_are_noted(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    shutil.copy(root / "cat/0.png", root / "cat/again.png")
    assert any("1 of 7 images are exact copies" in note for note in open_data(str(root), cache).notes)


def test_a_class_without_test_images_is_noted(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "set/train", {"cat": 3, "dog": 3})
    make_classes(tmp_path / "set/test", {"cat": 3})
    assert any("test/ has no images of 'dog'" in note for note in open_data(str(tmp_path / "set"), cache).notes)


# Bad input


def test_an_empty_folder_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "set").mkdir()
    assert "set has neither class folders nor images" in refused(tmp_path / "set", cache)


def test_a_folder_with_images_but_no_class_folders_is_refused(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path, {"photos": 3})
    message = refused(root / "photos", cache)
    assert "photos has 3 images but no class folders" in message
    assert "photos/cat/1.jpg" in message


def test_train_and_test_folders_with_images_of_no_class_are_refused(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"train": 3, "test": 3})
    assert "test/ has 3 images but no class folders" in refused(root, cache)


def test_a_test_folder_without_a_train_folder_is_refused(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    make_classes(tmp_path / "set/test", {"cat": 3, "dog": 3})
    assert "has 'test' but no 'train'" in refused(tmp_path / "set", cache)


def test_two_validation_folders_are_refused(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    for part in ("train", "val", "valid"):
        make_classes(tmp_path / "set" / part, {"cat": 3, "dog": 3})
    assert "'train', 'val', 'valid', two of which are the same part" in refused(tmp_path / "set", cache)


def test_a_class_folder_without_images_is_refused_by_its_name(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3, "owl": 0})
    (root / "owl/notes.txt").touch()
    message = refused(root, cache)
    assert "class folders without a single image: owl/" in message
    assert ".jpeg" in message


def test_a_single_class_is_refused(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 9})
    assert "only one class, 'cat'" in refused(root, cache)


def test_a_class_of_one_image_is_refused_by_its_name_with_what_it_needs(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 9, "owl": 1})
    message = refused(root, cache)
    assert "'owl' has 1" in message
    assert "needs at least 3, one each for training and validation and test" in message


def test_with_a_test_folder_each_class_needs_two_training_images(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = tmp_path / "set"
    make_classes(root / "train", {"cat": 2, "owl": 1})
    make_classes(root / "test", {"cat": 1, "owl": 1})
    message = refused(root, cache)
    assert "'owl' has 1" in message
    assert "needs at least 2 in train/, one each for training and validation" in message


def test_a_class_in_test_that_train_lacks_is_refused(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "set/train", {"cat": 3, "dog": 3})
    make_classes(tmp_path / "set/test", {"cat": 3, "Dog": 3, "owl": 3})
    assert "test/ has classes that train/ lacks: 'Dog', 'owl'" in refused(tmp_path / "set", cache)


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


# Bad images


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_jpeg_is_named_and_skip_bad_goes_on_without_it(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    cut(save_image(root / "cat/broken.jpg", height=64, width=64))
    message = refused(root, cache)
    assert "1 of 9 images cannot be read" in message
    assert "cat/broken.jpg: damaged: " in message
    assert "--skip-bad" in message

    dataset = open_data(str(root), cache, skip_bad=True)
    assert dataset.class_counts() == {"cat": 4, "dog": 4}
    assert dataset.images().shape[0] == len(dataset.labels()) == len(dataset.given) == 8
    assert [line.split(":")[0] for line in dataset.bad] == ["cat/broken.jpg"]
    assert any("skipped: 1 of 9 images" in note for note in dataset.notes)
    dogs = [decode(root / f"dog/{i}.png", (8, 8), 3) for i in range(4)]
    assert np.array_equal(dataset.images()[dataset.labels() == 1], dogs)


def test_arrays_made_without_the_bad_images_do_not_hide_them_the_next_time(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    (root / "cat/empty.png").touch()
    open_data(str(root), cache, skip_bad=True)
    with pytest.raises(InputError, match=r"1 of 9 images cannot be read:\n  cat/empty.png: empty file"):
        open_data(str(root), cache)


def test_all_bad_images_are_named_in_one_report_each_with_its_reason(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    (root / "cat/empty.png").touch()
    (root / "dog/text.jpg").write_text("<html>404 Not Found</html>")
    cut(save_image(root / "dog/half.png", height=64, width=64))
    Image.new("1", (8000, 8000)).save(root / "dog/huge.png")
    message = refused(root, cache)
    assert "4 of 12 images cannot be read" in message
    assert "cat/empty.png: empty file" in message
    assert "dog/text.jpg: damaged, or not an image" in message
    assert "dog/half.png: damaged: " in message
    assert "dog/huge.png: 8000x8000 pixels; the limit is 50 million" in message
    assert len(open_data(str(root), cache, skip_bad=True).bad) == 4


def test_of_many_bad_images_twenty_are_named_and_the_others_counted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    for i in range(33):
        (root / f"cat/empty{i:02}.png").touch()
    message = refused(root, cache)
    assert re.findall(r"empty\d\d", message) == [f"empty{i:02}" for i in range(20)]
    assert "and 13 more" in message


def test_a_folder_of_nothing_but_bad_images_is_refused_even_when_they_may_be_skipped(
    tmp_path: Path, cache: Path
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "set" / name / f"{i}.png").touch()
    message = refused(tmp_path / "set", cache, skip_bad=True)
    assert "6 of 6 images cannot be read" in message
    assert "None is left" in message


def test_a_class_with_too_few_images_after_skipping_is_refused(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "owl": 1})
    for i in range(5):
        (root / f"owl/empty{i}.png").touch()
    message = refused(root, cache, skip_bad=True)
    assert "too few images after the bad ones were left out: 'owl' has 1" in message


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        (("train", "val", "test"), "train"),
        (("train", "val", "test"), "val"),
        (("train", "val", "test"), "test"),
        (("train", "val"), "val"),
        (("train", "test"), "test"),
    ],
)
def test_a_part_of_which_no_image_can_be_read_is_refused_and_not_taken_from_the_others(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, parts: tuple[str, ...], place: str
) -> None:
    for part in parts:
        make_classes(tmp_path / "set" / part, {"cat": 9, "dog": 9})
    for image in (tmp_path / "set" / place).rglob("*.png"):
        cut(image)
    message = refused(tmp_path / "set", cache, skip_bad=True)
    assert f"{place}/: no image can be read. Put others there" in message
    assert ("or remove it" in message) == (place != "train")


# Failures of the machine, and changes meanwhile


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE, errno.EHOSTDOWN, errno.EAGAIN])
def test_an_image_that_the_machine_cannot_read_at_the_moment_is_not_left_out_as_a_bad_one(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    digest = hashlib.file_digest

    def failing(stream: Any, kind: str) -> Any:
        if stream.name.endswith("cat/3.png"):
            raise OSError(number, os.strerror(number), stream.name)
        return digest(stream, kind)

    with monkeypatch.context() as disk:
        disk.setattr(hashlib, "file_digest", failing)
        with pytest.raises(OSError, match=rf"{os.strerror(number)}: .*cat/3\.png"):
            open_data(str(root), cache, skip_bad=True)
    assert len(open_data(str(root), cache, skip_bad=True)) == 8


def test_a_folder_that_the_machine_cannot_list_is_no_wrong_input(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        open_data(str(root), cache)


LARGE = (512, 512)  # at which not all of a hundred images are decoded before the first progress is told


def test_a_failure_of_the_machine_while_images_are_decoded_is_not_one_of_the_cache(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 50, "dog": 50}, mode="L")
    with ExitStack() as held:

        def fail(done: int, total: int) -> None:
            assert done < total
            held.enter_context(too_many_open_files())

        with pytest.raises(WorkError, match=rf"^{root}: the images cannot be read: .*Too many open files") as error:
            open_data(str(root), cache, image_size=LARGE, skip_bad=True, progress=fail)
    assert str(cache) not in str(error.value)
    assert len(open_data(str(root), cache, image_size=LARGE)) == 100


@pytest.mark.parametrize("change", ["other pixels", "other pixels of the same size", "damage", "removed"])
def test_an_image_that_changes_between_its_hash_and_its_decoding_is_refused_by_its_name(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage, change: str
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 50, "dog": 50}, mode="L")
    last = root / "dog/9.png"

    def meddle(done: int, total: int) -> None:
        assert done < total
        match change:
            case "other pixels":
                save_image(last, height=9)
            case "other pixels of the same size":
                content = bytearray(last.read_bytes())
                content[-20] ^= 1
                last.write_bytes(content)
                os.utime(last, (0, 0))  # a clock may be too coarse for what a test does in between
            case "damage":
                cut(last)
            case _:
                last.unlink()

    message = refused(root, cache, image_size=LARGE, skip_bad=True, progress=meddle)
    assert message.startswith(f"{root}: dog/9.png changed while it was read")


def test_photographs_too_large_for_any_search_ask_for_an_image_size(tmp_path: Path, cache: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("1", (5000, 10), i % 2).save(tmp_path / "set" / name / f"{i}.png")
    message = refused(tmp_path / "set", cache)
    assert "the most common image size is 10x5000" in message
    assert "--image-size" in message


def test_photographs_are_read_pixel_by_pixel_with_their_own_test_images(tmp_path: Path, cache: Path) -> None:
    """Pieces of the two photographs that scikit-learn ships."""
    for name, photograph in zip(("china", "flower"), load_sample_images().images, strict=True):
        pieces = [
            photograph[y : y + 32, x : x + 32]
            for y in range(0, photograph.shape[0] - 31, 32)
            for x in range(0, photograph.shape[1] - 31, 32)
        ]
        for part, chosen in (("train", pieces[:200]), ("test", pieces[200:240])):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for number, piece in enumerate(chosen):
                Image.fromarray(piece).save(tmp_path / "set" / part / name / f"{number:03}.png")
    dataset = open_data(str(tmp_path / "set"), cache)
    assert (dataset.input, dataset.class_counts()) == ((32, 32, 3), {"china": 240, "flower": 240})
    assert np.bincount(dataset.given).tolist() == [400, 0, 0, 80]
    assert not dataset.bad
    assert not dataset.notes
    flowers = dataset.images()[(dataset.labels() == 1) & (dataset.given == 0)]
    assert np.array_equal(flowers[0], load_sample_images().images[1][:32, :32])
    parts = split(dataset, seed=0)
    assert (len(parts.train), len(parts.val), len(parts.test)) == (320, 80, 80)
