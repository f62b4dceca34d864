"""What a table says of its images: labels, splits and groups; and when it is the same data."""

from pathlib import Path

import numpy as np
import pytest
from image_files import cut
from tables import BREEDS, CSV, NAMES, SaveImage, breeds, read, refused, save_images, with_column

from convsearch.search.data.source import Role, check_classes
from convsearch.search.sources import open_data
from convsearch.spaces.errors import InputError

THIRDS = ["train", "val", "test"] * 4


@pytest.fixture
def table(tmp_path: Path, save_image: SaveImage) -> Path:
    """A place for a table beside its images."""
    save_images(tmp_path / "train", save_image)
    return tmp_path / "labels.csv"


# Labels


def test_the_images_are_decoded_with_the_labels_of_their_rows(table: Path, cache: Path) -> None:
    table.write_text(CSV)
    dataset = open_data(str(table), cache)
    assert dataset.name == "labels"
    assert dataset.input == (8, 8, 3)
    assert dataset.class_counts() == {"beagle": 6, "pug": 6}
    assert dataset.images().shape == (12, 8, 8, 3)


def test_numbers_are_classes_in_the_order_of_their_values_and_text_by_name(table: Path) -> None:
    assert read(table, CSV.replace("pug", "10").replace("beagle", "9")).classes == ("9", "10")
    assert read(table, CSV.replace("pug", "-1").replace("beagle", "1.5")).classes == ("-1", "1.5")
    assert read(table, CSV.replace("pug", "10").replace("beagle", "9a")).classes == ("10", "9a")


@pytest.mark.parametrize("word", ["NA", "None", "nan", "null", "007", "1e3", "True"])
def test_a_label_is_its_text_whatever_a_spreadsheet_would_make_of_it(table: Path, word: str) -> None:
    assert word in read(table, CSV.replace("pug", f" {word} ")).classes


def test_two_labels_for_one_image_are_refused_with_both_lines(table: Path) -> None:
    for again in ("0a3,pug", "0a3.jpg,pug", "train/0a3.jpg,pug"):
        message = refused(table, f"{CSV}{again}\n", skip_bad=True)
        assert "train/0a3.jpg has two labels: 'beagle' in line 5, 'pug' in line 14. Keep the one" in message


def test_the_same_label_twice_counts_once_with_a_note(table: Path) -> None:
    source = read(table, f"{CSV}0a3,beagle\n0a4.jpg,pug\n")
    assert len(source.labels) == 12
    assert "2 rows say again what others say of the same images, such as line 14" in source.notes
    assert source.fingerprint == read(table, CSV).fingerprint


def test_two_splits_or_groups_for_one_image_are_refused_with_both_lines(table: Path) -> None:
    text = with_column("split", THIRDS) + "0a3,beagle,test\n"
    assert "train/0a3.jpg has two splits: 'train' in line 5, 'test' in line 14" in refused(table, text)
    text = with_column("group", range(12)) + "0a3,beagle,7\n"
    assert "train/0a3.jpg has two groups: '3' in line 5, '7' in line 14" in refused(table, text)


def test_labels_that_would_be_shown_alike_are_refused(table: Path) -> None:
    message = refused(table, CSV.replace("pug", '"a\nb"').replace("beagle", "a\\nb"))
    assert r"'breed': two labels are shown by one name, 'a\nb': 'a\nb' and 'a\\nb'. If they are one class" in message
    message = refused(table, CSV.replace("pug", "Ba\u0308r").replace("beagle", "B\u00e4r"))
    assert "two labels are shown by one name, 'B\u00e4r': 'Ba\\u0308r' and 'B\\xe4r'" in message


def test_a_single_class_is_refused(table: Path, cache: Path) -> None:
    table.write_text(CSV.replace("pug", "beagle"))
    with pytest.raises(InputError, match="only one class, 'beagle'; a search needs images of two or more"):
        open_data(str(table), cache)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            [number for number in range(300) for _ in range(2)],
            "300 different numbers over 600 images, such as '0',",
        ),
        ([number / 7 for number in range(30) for _ in range(3)], "30 different numbers over 90 images"),
        ([f"photo {number}" for number in range(60)], "60 different values over 60 images"),
        ([number // 2 if number < 20 else f"photo {number}" for number in range(40)], "30 different values over 40 im"),
    ],
)
def test_numbers_that_were_measured_and_names_of_the_images_are_no_classes(
    tmp_path: Path, save_image: SaveImage, labels: list[object], said: str
) -> None:
    message = refused(tmp_path / "labels.csv", many(tmp_path, save_image, labels))
    assert f"column 'age' has {said}" in message
    assert "labels are classes, of many images each. Which column has them? --label-column" in message


@pytest.mark.parametrize(
    "labels",
    [
        [number for number in range(100) for _ in range(3)],
        [f"breed {number}" for number in range(120) for _ in range(3)],
        [number / 2 for number in range(10) for _ in range(3)],
        [f"photo {number}" for number in range(12)],
    ],
    ids=["a hundred numbers", "many names", "half steps", "too few images"],
)
def test_many_classes_are_no_fault_nor_numbers_as_such(
    tmp_path: Path, save_image: SaveImage, labels: list[object]
) -> None:
    assert len(read(tmp_path / "labels.csv", many(tmp_path, save_image, labels)).classes) == len(set(labels))


def many(folder: Path, save: SaveImage, labels: list[object]) -> str:
    """Save as many images; return their table."""
    for number in range(len(labels)):
        save(folder / "images" / f"{number}.png", height=1, width=1)
    return "id,age\n" + "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels))


def test_unreadable_images_are_named_and_skip_bad_goes_on_without_them(table: Path, cache: Path) -> None:
    table.write_text(CSV)
    cut(table.parent / "train" / "0a3.jpg")
    with pytest.raises(InputError, match=r"1 of 12 images cannot be read:\n  train/0a3\.jpg: "):
        open_data(str(table), cache)
    assert len(open_data(str(table), cache, skip_bad=True)) == 11


# Splits


def test_a_column_may_say_train_val_and_test_in_any_words(table: Path) -> None:
    words = [
        "Train",
        "validation",
        "TESTING",
        "training",
        "Val",
        "test",
        " train ",
        "dev",
        "test",
        "train",
        "valid",
        "test",
    ]
    source = read(table, with_column("split", words))
    assert source.given.tolist() == [Role.TRAIN, Role.VAL, Role.TEST] * 4
    assert source.places == {Role.TRAIN: "'split' train", Role.VAL: "'split' val", Role.TEST: "'split' test"}


def test_without_validation_images_those_for_training_are_still_to_be_divided(table: Path) -> None:
    source = read(table, with_column("split", ["train", "train", "train", "train", "test", "test"] * 2))
    assert source.given.tolist() == ([Role.UNDECIDED] * 4 + [Role.TEST] * 2) * 2


@pytest.mark.parametrize(("word", "hint"), [("tests", "did you mean 'test'?"), ("", "Known: train"), ("7", "Known: ")])
def test_any_other_split_is_refused_with_its_line_and_the_nearest(table: Path, word: str, hint: str) -> None:
    message = refused(table, with_column("split", ["train", "val", "test", word] * 3), skip_bad=True)
    assert f"line 5: '{word}' under 'split' is no split: {hint}" in message


def test_splits_without_training_images_are_refused(table: Path) -> None:
    message = refused(table, with_column("split", ["val", "test"] * 6))
    assert "'split' has 'test', 'val' but no 'train'" in message


def test_a_class_that_is_tested_and_never_trained_is_refused_in_the_words_of_the_table(table: Path) -> None:
    source = read(table, with_column("split", ["train", "test"] * 6))
    with pytest.raises(InputError, match="'split' test has classes that 'split' train lacks: 'beagle'"):
        check_classes(source)


# Groups


def test_images_of_one_group_have_one_number_and_an_image_of_none_has_its_own(table: Path) -> None:
    values = ["b", "a", "b", "", "a", "", "c", "c", " c ", "b", "x", "y"]
    source = read(table, with_column("patient_id", values))
    assert source.groups is not None
    assert source.groups.dtype == np.int64
    names = [value.strip() or str(number) for number, value in enumerate(values)]
    assert len(set(source.groups.tolist())) == 7
    for one in range(12):
        for other in range(12):
            assert (source.groups[one] == source.groups[other]) == (names[one] == names[other])
    assert "2 images have no 'patient_id': each of them is a group of its own" in source.notes


def test_without_a_column_of_groups_there_are_none(table: Path) -> None:
    assert read(table, CSV).groups is None


def test_a_group_on_several_given_sides_stays_and_is_noted(table: Path) -> None:
    parts = ["train", "val", "test"] * 4
    source = read(table, with_column("split,patient_id", [f"{part},p{n // 6}" for n, part in enumerate(parts)]))
    assert source.given.tolist().count(Role.TEST) == 4
    assert any(
        note.startswith("2 groups are on several sides of the given split, such as 'p0' in test and train and val")
        for note in source.notes
    )
    source = read(table, with_column("split,patient_id", [f"{part},{part}" for part in parts]))
    assert not any("several sides" in note for note in source.notes)


# What is the same data


def test_another_label_split_or_group_is_other_data_and_so_is_another_image(table: Path, save_image: SaveImage) -> None:
    texts = [
        CSV,
        CSV.replace("0a3,beagle", "0a3,pug"),
        with_column("split", ["train", "test"] * 6),
        with_column("split", ["train", "train", "train", "test"] * 3),
        with_column("group", range(12)),
        with_column("group", ["a", "b"] * 6),
        with_column("age", range(12)).replace("0a3,beagle", "0a3,pug"),
    ]
    found = [read(table, text).fingerprint for text in texts]
    assert len(set(found)) == 6
    assert found[1] == found[6]  # a column that is not read does not count
    save_image(table.parent / "train" / "0a3.jpg")
    assert read(table, CSV).fingerprint not in found


def test_a_moved_copy_is_the_same_data_and_a_folder_of_the_same_images_is_not(
    table: Path, cache: Path, tmp_path: Path
) -> None:
    table.write_text(CSV)
    first = open_data(str(table), cache)
    (tmp_path / "train").rename(tmp_path / "moved")
    assert open_data(str(table), cache).fingerprint != first.fingerprint  # the name of an image counts, as in folders
    (tmp_path / "moved").rename(tmp_path / "train")
    for name, breed in zip(NAMES, BREEDS, strict=True):
        (tmp_path / "classes" / breed).mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / f"{name}.jpg").rename(tmp_path / "classes" / breed / f"{name}.jpg")
    folder = open_data(str(tmp_path / "classes"), cache)
    assert (folder.classes, folder.fingerprint == first.fingerprint) == (first.classes, False)
    source = read(table, CSV.replace("0a", "classes/beagle/0a"), skip_bad=True)
    assert breeds(source) == ["beagle"] * 6
