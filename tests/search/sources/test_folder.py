import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from sklearn.datasets import load_sample_images

from convsearch.search.data import split
from convsearch.search.images.decoding import decode
from convsearch.search.sources import open_data

SaveImage = Callable[..., Path]
MakeClasses = Callable[..., Path]


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


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("Train", "Val", "Test"),
        ("training", "validation", "testing"),
        ("Training", "Dev", "Testing"),
        ("training_set", "validation_set", "test_set"),
        ("train_set", "val_set", "test_set"),
        ("Train_Set", "Valid_Set", "Test_Set"),
        ("seg_train", "seg_val", "seg_test"),
    ],
)
def test_train_val_and_test_folders_fix_the_roles(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, train: str, val: str, test: str
) -> None:
    for part, count in ((train, 3), (val, 2), (test, 1)):
        make_classes(tmp_path / "set" / part, {"cat": count, "dog": count})
    dataset = open_data(str(tmp_path / "set"), cache)
    assert dataset.classes == ("cat", "dog")
    assert np.bincount(dataset.given).tolist() == [0, 6, 4, 2]
    parts = split(dataset, seed=0)
    assert (len(parts.train), len(parts.val), len(parts.test)) == (6, 4, 2)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/train", "test/test"),
        ("Train/train", "test"),
        ("train", "test/test/test"),
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
    ],
)
def test_a_part_that_holds_nothing_but_a_folder_of_its_own_name_is_seen_through(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, train: str, test: str
) -> None:
    make_classes(tmp_path / "set" / train, {"cat": 5, "dog/young": 5})
    make_classes(tmp_path / "set" / test, {"cat": 2, "dog": 2})
    (tmp_path / "set" / Path(train).parts[0] / "readme.txt").touch()
    dataset = open_data(str(tmp_path / "set"), cache)
    assert dataset.classes == ("cat", "dog")
    assert np.bincount(dataset.given).tolist() == [10, 0, 0, 4]


def test_in_a_part_seen_through_only_its_class_folders_may_have_the_same_folders(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    for part in ("train/train", "test/test"):
        for name in ("cat", "dog"):
            make_classes(tmp_path / "set" / part / name, {"2019": 3, "2020": 3})
    assert "the class folders 'cat', 'dog' all have the same folders in them" in refused(tmp_path / "set", cache)


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


@pytest.mark.parametrize(
    ("place", "data", "said"),
    [
        ("train", "set", "train/ has 3 images but no class folders"),
        ("images", "set", "only one class folder, 'images'."),
        ("empty/", "set", "class folders without a single image: "),
        ("train", "set/train", "train has 3 images but no class folders"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_folder_without_class_folders_is_refused_with_the_table_that_may_have_the_labels(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, place: str, data: str, said: str, ending: str
) -> None:
    folder = place.removesuffix("/")
    make_classes(tmp_path / "set", {"cat": 3, folder: 0} if place.endswith("/") else {folder: 3})
    (tmp_path / "set" / f"my labels.{ending}").touch()
    message = refused(tmp_path / data, cache)
    assert said in message
    command = f"convsearch run --data '{tmp_path}/set/my labels.{ending}'"
    assert message.endswith(f" Or are the labels in my labels.{ending}? `{command}`")


def test_a_class_may_be_called_train(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "vehicles", {"train": 3, "car": 3})
    assert open_data(str(tmp_path / "vehicles"), cache).classes == ("car", "train")


@pytest.mark.parametrize("part", ["test", "Testing", "val"])
def test_parts_below_the_classes_are_refused_and_not_divided_anew(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, part: str
) -> None:
    for name in ("cat", "dog"):
        make_classes(tmp_path / "set" / name, {"train": 3, part: 3})
    message = refused(tmp_path / "set", cache)
    assert f"the class folder 'cat' has a folder '{part}' in it" in message
    assert "as in train/cat/1.jpg and test/cat/2.jpg" in message


@pytest.mark.parametrize("above", [("2019", "2020"), ("train/cat", "train/dog", "test/cat")])
@pytest.mark.parametrize("inner", [("ant", "bee"), ("images", "masks")])
def test_classes_that_all_have_the_same_folders_in_them_are_refused(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, above: tuple[str, ...], inner: tuple[str, str]
) -> None:
    for folder in above:
        make_classes(tmp_path / "set" / folder, dict.fromkeys(inner, 3))
    message = refused(tmp_path / "set", cache)
    assert f"all have the same folders in them: '{inner[0]}', '{inner[1]}'. If these are the classes, put" in message


@pytest.mark.parametrize(
    "images",
    [
        ("cat/images/0.png", "dog/images/0.png"),
        ("cat/a/0.png", "cat/b/0.png", "dog/a/0.png", "dog/c/0.png"),
        ("cat/a/0.png", "cat/b/0.png", "cat/0.png", "dog/a/0.png", "dog/b/0.png", "dog/0.png"),
        ("vehicle/train/0.png", "vehicle/car/0.png", "animal/0.png"),
    ],
)
def test_other_folders_inside_class_folders_leave_no_doubt(
    tmp_path: Path, cache: Path, save_image: SaveImage, images: tuple[str, ...]
) -> None:
    for name in images:
        for i in range(3):
            save_image((tmp_path / "set" / name).with_stem(str(i)))
    found = open_data(str(tmp_path / "set"), cache)
    assert found.classes == tuple(sorted({name.split("/")[0] for name in images}))
    assert len(found) == 3 * len(images)


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


def test_texts_and_hidden_files_are_passed_over(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    texts = ("cat/Thumbs.db", "cat/.DS_Store", "dog/notes.txt", "dog/._1.png", "dog/LABELS.CSV")
    for name in (*texts, "readme.md", "LICENSE", "set.zip"):
        (root / name).write_bytes(b"no image")
    (root / ".ipynb_checkpoints").mkdir()
    (root / "__MACOSX").mkdir()
    dataset = open_data(str(root), cache)
    assert len(dataset) == 6
    assert not dataset.bad
    assert not any("ignored" in note for note in dataset.notes)


OF_SYSTEMS = (
    "@eaDir",
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "$Recycle.Bin",
    "System Volume Information",
    "lost+found",
    "LOST+FOUND",
    "__MACOSX",
    "@Recycle",
    "@Recently-Snapshot",
    "~snapshot",
    "RECYCLER",
    "FOUND.000",
    "Network Trash Folder",
    "Temporary Items",
)


@pytest.mark.parametrize("name", OF_SYSTEMS)
@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_images_in_folders_that_systems_make_are_passed_over_and_noted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage, parts: tuple[str, ...], name: str
) -> None:
    root = tmp_path / "set"
    for part in parts:
        make_classes(root / part, {"cat": 3, "dog": 3})
    before = open_data(str(root), cache)
    shutil.rmtree(before.folder)
    for place in (root, root / parts[0], root / parts[0] / "cat", root / parts[0] / "dog/puppies"):
        save_image(place / name / "0.jpg" / "SYNOPHOTO_THUMB_M.jpg")
    dataset = open_data(str(root), cache)
    assert dataset.fingerprint == before.fingerprint
    assert dataset.classes == ("cat", "dog")
    assert dataset.notes == (f"ignored: images in {name}/, which systems keep for themselves", *before.notes)


def test_folders_of_systems_without_images_are_not_noted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "lost+found").mkdir()
    save_image(root / "__MACOSX/cat/._0.png")
    (root / "cat/@eaDir/0.png").mkdir(parents=True)
    (root / "cat/@eaDir/0.png/SYNOINDEX_MEDIA_INFO").touch()
    assert not any("ignored" in note for note in open_data(str(root), cache).notes)


def test_a_folder_of_the_system_that_may_not_be_listed_is_no_fault(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "lost+found").mkdir(mode=0)
    if os.access(root / "lost+found", os.R_OK):
        pytest.skip("this user may list every folder")
    assert len(open_data(str(root), cache)) == 6


def test_a_class_that_was_thrown_away_is_refused_with_the_place(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog/#recycle": 3})
    assert "single image: dog/ (images in #recycle/ are not read)." in refused(root, cache)


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_other_files_in_class_folders_are_counted_by_their_extension(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, parts: tuple[str, ...]
) -> None:
    root = tmp_path / "set"
    for part in parts:
        make_classes(root / part, {"cat": 3, "dog": 3})
    (root / parts[0] / "dog/more").mkdir()
    for name in ("cat/1.heic", "cat/2.HEIC", "dog/more/3.heic", "cat/IMG_0001", "dog/2", "dog/4.\x1bnef"):
        (root / parts[0] / name).touch()
    note = "ignored: 3 .heic, 2 without an ending, 1 .\\x1bnef; convert those that are images to .png or .jpg"
    assert note in open_data(str(root), cache).notes


def test_a_class_folder_of_files_that_cannot_be_read_is_refused_with_their_extension(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 0})
    (root / "dog/1.heic").touch()
    message = refused(root, cache)
    assert "without a single image: dog/; ignored: 1 .heic; convert those that are images to .png or .jpg." in message


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


@pytest.mark.parametrize(
    ("train", "test", "beside"),
    [
        ("training_set", "test_set", "single_prediction"),
        ("seg_train/seg_train", "seg_test/seg_test", "seg_pred"),
        ("training_set", "test", "test_set"),
    ],
)
def test_folders_beside_parts_of_other_names_are_passed_over_and_noted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, train: str, test: str, beside: str
) -> None:
    for part in (train, test):
        make_classes(tmp_path / "set" / part, {"cat": 3, "dog": 3})
    make_classes(tmp_path / "set", {beside: 3})
    dataset = open_data(str(tmp_path / "set"), cache)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset) == 12
    assert f"ignored next to train/: '{beside}'" in dataset.notes


def test_all_images_get_the_commonest_size_and_that_is_noted(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4}, height=10, width=12)
    save_image(root / "cat" / "tall.png", height=20, width=6)
    save_image(root / "cat" / "wide.png", height=6, width=20)
    dataset = open_data(str(root), cache)
    assert dataset.input == (10, 12, 3)
    assert "image size 10x12: 2 of 10 images, of 3 sizes, have another and are resized" in dataset.notes


def test_another_size_can_be_asked_for(tmp_path: Path, cache: Path, make_classes: MakeClasses) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    dataset = open_data(str(root), cache, image_size=(5, 7))
    assert dataset.images().shape == (6, 5, 7, 3)
    assert np.array_equal(dataset.images()[0], decode(root / "cat/0.png", (5, 7), 3))
    assert "image size 5x7: 6 of 6 images have another and are resized" in dataset.notes


def test_the_depth_is_one_only_where_every_image_is_grey(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3}, mode="L")
    save_image(root / "cat" / "alpha.png", mode="LA")
    assert open_data(str(root), cache).input.depth == 1
    save_image(root / "cat" / "colour.png", mode="RGB")
    assert open_data(str(root), cache).input.depth == 3


# What is looked at, and when


def test_a_moved_copy_is_the_same_data_and_is_not_decoded_again(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    first = open_data(str(root), cache)
    moved = shutil.move(root, tmp_path / "moved")
    calls: list[tuple[int, int]] = []
    second = open_data(str(moved), cache, step=lambda what: lambda done, total: calls.append((done, total)))
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
    open_data(str(root), cache, step=lambda what: lambda done, total: calls.append((done, total)))
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
    for _ in range(2):
        found = open_data(str(root), cache)
        note = "1 of 7 images are exact copies of others; each lot is kept on one side of the split"
        assert note in found.notes
        assert found.groups().tolist() == [0, 1, 2, 0, 3, 4, 5]


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


def test_photographs_too_large_for_any_search_ask_for_an_image_size(tmp_path: Path, cache: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("1", (5000, 10), i % 2).save(tmp_path / "set" / name / f"{i}.png")
    message = refused(tmp_path / "set", cache)
    assert "the size of the images is 10x5000" in message
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
