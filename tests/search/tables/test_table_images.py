"""Which image a row names, and that none outside the table's folder is ever looked at."""

import os
from pathlib import Path

import pytest
from tables import BREEDS, CSV, NAMES, SaveImage, breeds, read, refused, save_images

from convsearch.search.sources.open import scan


@pytest.fixture
def table(tmp_path: Path, save_image: SaveImage) -> Path:
    """A place for a table in a folder of its own, beside its images in train/."""
    save_images(tmp_path / "set" / "train", save_image)
    return tmp_path / "set" / "labels.csv"


def rows(*names: str) -> str:
    return "id,breed\n" + "".join(f"{name},{breed}\n" for name, breed in zip(names, BREEDS * 9, strict=False))


@pytest.mark.parametrize(
    "form", ["{0}", "{0}.jpg", "train/{0}", "train/{0}.jpg", "./train//{0}.jpg", "train\\{0}.jpg", "x/../train/{0}"]
)
def test_paths_are_relative_to_the_table_or_to_a_folder_beside_it_with_or_without_an_ending(
    table: Path, form: str
) -> None:
    source = read(table, rows(*(form.format(name) for name in NAMES)))
    assert breeds(source) == list(BREEDS)
    assert source.fingerprint == read(table, CSV).fingerprint


def test_absolute_paths_into_the_folder_are_taken(table: Path) -> None:
    (table.parent.parent / "link").symlink_to(table.parent)
    for place in (table.parent, table.parent.parent / "link"):
        other = place / "labels.csv"
        assert breeds(read(other, rows(*(f"{place}/train/{name}.jpg" for name in NAMES)))) == list(BREEDS)


def test_images_may_lie_beside_the_table_itself(tmp_path: Path, save_image: SaveImage) -> None:
    save_images(tmp_path, save_image)
    source = read(tmp_path / "labels.csv", CSV)
    assert breeds(source) == list(BREEDS)
    assert source.notes[0] == "columns: images from 'id', labels from 'breed' (2 classes)"


@pytest.mark.parametrize("place", ["train/train", "images/train", "images/a/b"])
def test_folders_within_folders_are_found_by_their_paths_and_one_of_the_same_name_without(
    tmp_path: Path, save_image: SaveImage, place: str
) -> None:
    save_images(tmp_path / place, save_image)
    outer, _, inner = place.partition("/")
    form = "{0}" if outer == inner else f"{inner}/{{0}}"
    assert breeds(read(tmp_path / "labels.csv", rows(*(form.format(name) for name in NAMES)))) == list(BREEDS)


def test_the_images_of_one_table_may_lie_in_several_folders(tmp_path: Path, save_image: SaveImage) -> None:
    save_images(tmp_path / "part 1", save_image, NAMES[:5])
    save_images(tmp_path / "part 2", save_image, NAMES[5:])
    assert "images from 'id' in part 1/, part 2/" in read(tmp_path / "labels.csv", CSV).notes[0]


def test_a_dot_in_a_name_is_no_ending(tmp_path: Path, save_image: SaveImage) -> None:
    names = [f"v1.{number}" for number in range(12)]
    save_images(tmp_path / "images", save_image, [f"{name}.png" for name in names])
    assert len(read(tmp_path / "labels.csv", rows(*names)).labels) == 12


def test_a_whole_name_goes_before_one_without_its_ending(table: Path, save_image: SaveImage) -> None:
    save_image(table.parent / "train" / "0a0.jpg.png")
    source = read(table, CSV.replace("0a0,", "0a0.jpg,"))
    assert len(source.labels) == 12
    assert "ignored: 1 of 13 images beside them have no row, such as train/0a0.jpg.png" in source.notes


def test_a_path_relative_to_the_table_goes_before_one_relative_to_a_folder(table: Path, save_image: SaveImage) -> None:
    save_image(table.parent / "0a3.jpg")
    source = read(table, CSV)
    assert "ignored: 1 of 13 images beside them have no row, such as train/0a3.jpg" in source.notes


def test_two_endings_of_one_name_are_refused_with_both(table: Path, save_image: SaveImage) -> None:
    save_image(table.parent / "train" / "0a3.png")
    assert "line 5: '0a3' may be 'train/0a3.jpg' or 'train/0a3.png'. Write its ending." in refused(table, CSV)
    assert len(read(table, CSV.replace("0a3,", "0a3.png,")).labels) == 12


def test_one_name_in_two_folders_is_refused_with_both_and_one_table_moved_to_its_images_is_clear(
    table: Path, save_image: SaveImage
) -> None:
    save_images(table.parent / "test", save_image)
    message = refused(table, CSV)
    assert "line 2: '0a0' may be 'test/0a0.jpg' or 'train/0a0.jpg'. Write its folder into the table, or move" in message
    assert len(read(table.parent / "train" / "labels.csv", CSV).labels) == 12


@pytest.mark.parametrize(
    "path",
    [
        "../outside.jpg",
        "train/../../outside.jpg",
        "..\\outside.jpg",
        "/etc/passwd",
        "C:\\images\\a.jpg",
        "{0}/../x.jpg",
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_refused_with_its_line(
    table: Path, save_image: SaveImage, path: str
) -> None:
    save_image(table.parent.parent / "outside.jpg")
    path = path.format(table.parent)
    for skip_bad in (False, True):
        message = refused(table, f"{CSV}{path},pug\n", skip_bad=skip_bad)
        assert f"line 14: '{path}' leads out of the table's folder" in message


@pytest.mark.parametrize("value", ["link.jpg", "link", "train/link.jpg", "folder/outside.jpg", "folder/outside"])
def test_a_link_that_leads_out_of_the_folder_is_refused_with_its_line(
    table: Path, save_image: SaveImage, value: str
) -> None:
    save_image(table.parent.parent / "elsewhere" / "outside.jpg")
    (table.parent / "train" / "link.jpg").symlink_to(table.parent.parent / "elsewhere" / "outside.jpg")
    (table.parent / "folder").symlink_to(table.parent.parent / "elsewhere")
    assert f"line 14: '{value}' leads out of the table's folder" in refused(table, f"{CSV}{value},pug\n", skip_bad=True)


def test_a_link_to_an_image_in_the_folder_is_one_more_image(table: Path) -> None:
    (table.parent / "train" / "link.jpg").symlink_to("0a0.jpg")
    assert len(read(table, f"{CSV}link,pug\n").labels) == 13


def test_rows_whose_images_are_not_there_are_refused_with_their_lines_and_skip_bad_leaves_them_out(table: Path) -> None:
    (table.parent / "train" / "0b.heic").touch()
    long = "x" * 5000
    text = f"{CSV}0b,pug\n,pug\n0b.heic,pug\n{long},pug\ntrain/x/y.jpg,pug\n0a0,\n"
    assert refused(table, text).splitlines()[0] == "labels.csv: 6 of 18 rows have no image or no label:"
    lines = refused(table, text).splitlines()[1:]
    assert lines[:2] == ["  line 14: '0b': no such image", "  line 15: '': no path"]
    assert lines[2].startswith("  line 16: '0b.heic': no image by its ending; those that are read: .avif")
    assert lines[3:6] == [
        f"  line 17: '{long}': no such image",
        "  line 18: 'train/x/y.jpg': no such image",
        "  line 19: '0a0': no label under 'breed'",
    ]
    assert lines[6].startswith("Looked in the table's folder, train/. Correct or remove them, or continue without them")
    source = read(table, text, skip_bad=True)
    assert source.fingerprint == read(table, CSV).fingerprint
    skipped = "skipped: 6 of 18 rows without an image or a label, such as line 14: '0b': no such image"
    assert skipped in source.notes


def test_of_many_rows_without_an_image_the_first_twenty_are_named(table: Path) -> None:
    message = refused(table, CSV + "".join(f"x{number},pug\n" for number in range(5000)))
    assert "5,000 of 5,012 rows have no image" in message
    assert "line 33: 'x19': no such image and 4,980 more\n" in message
    assert "x20" not in message


def test_with_no_image_at_all_the_table_is_refused_even_with_skip_bad(tmp_path: Path) -> None:
    message = refused(tmp_path / "labels.csv", CSV, skip_bad=True)
    assert "12 of 12 rows have no image or no label" in message
    assert "None is left to continue with. Is it the right column, --image-column, and the right folder?" in message


def test_images_without_a_row_are_noted_with_their_number_and_the_first(table: Path, save_image: SaveImage) -> None:
    save_images(table.parent / "train", save_image, ["1b", "0b"])
    save_images(table.parent / "test", save_image, ["2b"])
    notes = read(table, CSV).notes
    assert "ignored: 2 of 14 images beside them have no row, such as train/0b.jpg" in notes


def test_studies_and_hidden_folders_beside_the_table_are_no_images_of_it(table: Path, save_image: SaveImage) -> None:
    for place in ("studies/data", ".cache", "@eaDir"):
        save_images(table.parent / place, save_image)
    table.write_text(CSV)
    source = scan(str(table), [table.parent / "studies"])
    assert breeds(source) == list(BREEDS)


def test_names_that_are_no_text_are_images_that_no_table_can_name(table: Path, save_image: SaveImage) -> None:
    save_image(table.parent / "train" / "b.jpg").rename(table.parent / "train" / os.fsdecode(b"B\xe4r.jpg"))
    assert r"ignored: 1 of 13 images beside them have no row, such as train/B\xe4r.jpg" in read(table, CSV).notes


def test_values_with_letters_that_break_lines_are_shown_on_one(table: Path) -> None:
    assert r"line 14: 'a\nb\x1b': no such image" in refused(table, f'{CSV}"a\nb\x1b",pug\n')
