"""Which column says what."""

from pathlib import Path

import pytest
from tables import BREEDS, CSV, NAMES, SaveImage, breeds, read, refused, save_images, with_column


@pytest.fixture
def table(tmp_path: Path, save_image: SaveImage) -> Path:
    """A place for a table beside its images."""
    save_images(tmp_path / "train", save_image)
    return tmp_path / "labels.csv"


def test_the_columns_taken_are_noted_and_those_that_are_not(table: Path) -> None:
    text = with_column("patient_id,split,age", [f"p{number // 4},train,{number}" for number in range(12)])
    assert read(table, text).notes[0] == (
        "columns: images from 'id' in train/, labels from 'breed' (2 classes), splits from 'split', groups from "
        "'patient_id' (3); not read: 'age'"
    )


def test_the_column_of_images_is_the_one_whose_values_are_images(table: Path) -> None:
    text = "image,where it is,label\n" + "".join(
        f"{i},{n},{b}\n" for i, (n, b) in enumerate(zip(NAMES, BREEDS, strict=True))
    )
    assert "images from 'where it is'" in read(table, text).notes[0]


def test_of_two_columns_whose_values_are_images_the_one_that_is_called_so_is_taken(
    table: Path, save_image: SaveImage
) -> None:
    save_images(table.parent / "train", save_image, ["0", "1"])
    text = "label,id\n" + "".join(f"{number % 2},{name}\n" for number, name in enumerate(NAMES))
    source = read(table, text)
    assert source.classes == ("0", "1")
    assert "images from 'id'" in source.notes[0]


@pytest.mark.parametrize("name", ["id", "ID", "Image", "image_id", "imageId", "file name", "img-path", "filepaths"])
def test_common_names_of_the_column_of_images_are_known(table: Path, name: str) -> None:
    missing = f"{name},breed,age\nx,pug,3\n"
    assert "line 2: 'x': no such image" in refused(table, missing)


@pytest.mark.parametrize("name", ["label", "Labels", "class", "Class Name", "category", "target", "breed", "dx"])
def test_common_names_of_the_column_of_labels_are_known(table: Path, name: str) -> None:
    assert breeds(read(table, with_column("age", range(12)).replace("breed", name))) == list(BREEDS)


def test_of_two_columns_the_other_one_is_the_label_whatever_it_is_called(table: Path) -> None:
    assert breeds(read(table, CSV.replace("breed", "what is it"))) == list(BREEDS)


def test_names_go_before_their_numbers_as_labels(table: Path) -> None:
    source = read(table, with_column("class_id", [number % 2 for number in range(12)]))
    assert source.classes == ("beagle", "pug")
    source = read(
        table, with_column("class_id,age", [f"{number % 2},{number}" for number in range(12)]), label="class_id"
    )
    assert source.classes == ("0", "1")


def test_the_index_that_pandas_writes_without_a_name_is_no_column_of_labels(table: Path) -> None:
    text = "".join(f"{number},{line}\n" if number else f",{line}\n" for number, line in enumerate(CSV.splitlines()))
    source = read(table, text.replace("breed", "what is it"))
    assert breeds(source) == list(BREEDS)
    assert not any("not read" in note for note in source.notes)


@pytest.mark.parametrize("name", ["group", "patient", "Patient ID", "subject_id", "camera", "groups", "participant"])
def test_clear_names_of_a_column_of_groups_are_known(table: Path, name: str) -> None:
    source = read(table, with_column(name, [number % 5 for number in range(12)]))
    assert source.groups is not None
    assert len(set(source.groups.tolist())) == 5


@pytest.mark.parametrize("name", ["user", "date", "age", "day", "source"])
def test_no_other_column_is_guessed_to_be_one_of_groups(table: Path, name: str) -> None:
    text = with_column(name, [number % 5 for number in range(12)])
    assert read(table, text).groups is None
    assert read(table, text, group=name).groups is not None


@pytest.mark.parametrize("name", ["split", "Set", "subset", "data set", "fold"])
def test_common_names_of_the_column_of_splits_are_known_where_they_say_train_or_test(table: Path, name: str) -> None:
    said = read(table, with_column(name, ["train", "train", "train", "test"] * 3))
    assert said.given.any()
    other = read(table, with_column(name, [number % 4 for number in range(12)]))
    assert not other.given.any()
    assert f"not read: '{name}'" in other.notes[0]


def test_a_column_that_looks_like_one_of_splits_or_groups_can_be_passed_over(table: Path) -> None:
    text = with_column("split,camera", ["train,1", "test,2"] * 6)
    source = read(table, text, split="none", group="none")
    assert source.groups is None
    assert not source.given.any()
    assert "not read: 'split', 'camera'" in source.notes[0]


def test_a_column_may_be_called_none(table: Path) -> None:
    assert read(table, with_column("none", ["a", "b"] * 6), group="none").groups is not None


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        (CSV, {"label": "bred"}, "--label-column bred: labels.csv has no such column: did you mean 'breed'?"),
        (CSV, {"image": "none"}, "--image-column none: labels.csv has no such column: "),
        (CSV, {"image": "id", "label": "id"}, "--image-column and --label-column name one column, 'id'"),
        (with_column("breed", BREEDS), {}, "several columns may be that of the labels: 'breed', 'breed'"),
        (with_column("breed", BREEDS), {"label": "breed"}, "labels.csv has 2 columns of that name"),
        (
            with_column("species", BREEDS),
            {},
            "several columns may be that of the labels: 'breed', 'species'. Say which one: --label-column NAME",
        ),
        (
            with_column("a,b", ["1,2"] * 12).replace("breed", "c"),
            {},
            "several columns may be that of the labels: 'c', 'a', 'b'",
        ),
        (
            with_column("patient_id,camera", ["1,2"] * 12),
            {},
            "several columns may be that of the groups: 'patient_id', 'camera'. Say which one: --group-column NAME; or "
            "--group-column none",
        ),
        (
            with_column("split,subset", ["train,train"] * 12),
            {},
            "several columns may be that of the splits: 'split', 'subset'",
        ),
        (with_column("path", NAMES), {}, "several columns may be that of the images: 'id', 'path'. Say which one"),
        ("a,b\nc,d\n", {}, "none of its columns names images that are there: 'a', 'b'. Which one has their paths"),
        ("id,group\n0a1,1\n", {}, "has no column of labels: 'id', 'group'. Add one"),
    ],
)
def test_a_column_that_is_not_there_or_may_be_several_is_refused_with_the_names(
    table: Path, text: str, columns: dict[str, str], said: str
) -> None:
    assert said in refused(table, text, **columns)
