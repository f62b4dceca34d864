import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convsearch.search.data import Dataset
from convsearch.search.sources import open_data
from convsearch.search.sources.folder import read_folder
from convsearch.search.sources.npz import read_npz
from convsearch.spaces.errors import InputError, WorkError

MakeClasses = Callable[..., Path]
SaveImage = Callable[..., Path]


def test_a_data_set_is_a_folder_named_by_fingerprint_and_volume(cache: Path) -> None:
    dataset = open_data("digits", cache)
    assert dataset.folder == cache / f"{dataset.fingerprint[:16]}-8x8x1"
    assert len(dataset.fingerprint) == 64
    assert sorted(path.name for path in dataset.folder.iterdir()) == [
        "data.json",
        "given.npy",
        "groups.npy",
        "images.npy",
        "labels.npy",
    ]


def test_a_worker_loads_the_same_data_set_from_its_folder_alone(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"größer Hund": 4, "cat": 30})
    (root / "cat/empty.png").touch()
    dataset = open_data(str(root), cache, skip_bad=True)
    assert dataset.notes
    assert dataset.bad
    assert Dataset.load(dataset.folder) == replace(dataset, notes=())


def test_a_data_set_moved_to_another_folder_still_loads(tmp_path: Path, cache: Path) -> None:
    moved = open_data("digits", cache).folder.rename(tmp_path / "moved")
    assert Dataset.load(moved).images().shape == (1797, 8, 8, 1)


def test_the_images_are_an_ordinary_npy_file(cache: Path) -> None:
    dataset = open_data("digits", cache)
    assert np.array_equal(np.load(dataset.folder / "images.npy"), dataset.images())


def test_a_second_open_finds_the_arrays_and_writes_nothing(cache: Path) -> None:
    first = open_data("digits", cache)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    calls: list[tuple[int, int]] = []
    assert open_data("digits", cache, step=lambda what: lambda *call: calls.append(call)) == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before
    assert not calls


@pytest.mark.parametrize(
    "damage", ["images.npy", "labels.npy", "data.json", "cut", "empty", "classes", "groups", "format"]
)
def test_a_damaged_folder_is_not_loaded_and_made_anew_from_the_source(cache: Path, damage: str) -> None:
    folder = open_data("digits", cache).folder
    match damage:
        case "cut":
            os.truncate(folder / "images.npy", 5000)
        case "empty":
            (folder / "given.npy").write_bytes(b"")
        case "classes":
            np.save(folder / "labels.npy", np.full(1797, 10, np.int32))
        case "groups":
            np.save(folder / "groups.npy", np.zeros(1796, np.int64))
        case "format":
            described = json.loads((folder / "data.json").read_text())
            (folder / "data.json").write_text(json.dumps(described | {"format": 0}))
        case _:
            (folder / damage).unlink()
    with pytest.raises(InputError, match="open the source again"):
        Dataset.load(folder)
    assert len(open_data("digits", cache).images()) == 1797
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_notes_on_a_folder_are_of_what_is_in_it_now_and_not_of_when_it_was_decoded(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    first = open_data(str(root), cache)
    save_image(root / "loose.png")
    (root / "cat/1.heic").touch()
    save_image(root / "cat/@eaDir/0.png")
    (root / "cat/link.png").symlink_to("/nowhere")
    second = open_data(str(root), cache)
    assert second.folder == first.folder
    assert second.notes == (
        "ignored: 1 images outside class folders, such as loose.png",
        "ignored: images in @eaDir/, which systems keep for themselves",
        "ignored: 1 links, such as cat/link.png",
        "ignored: 1 .heic; convert those that are images to .png or .jpg",
        *first.notes,
    )
    (root / "loose.png").unlink()
    assert open_data(str(root), cache).notes == second.notes[1:]


def test_arrays_are_the_same_whether_their_size_was_asked_for_or_not(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 60, "dog": 60})
    save_image(root / "cat/large.png", height=9)
    first = open_data(str(root), cache)
    assert first.notes == ("image size 8x8: 1 of 121 images, of 2 sizes, have another and are resized",)
    second = open_data(str(root), cache, image_size=(8, 8))
    assert (second.folder, second.notes) == (first.folder, first.notes)


def test_of_the_notes_that_an_earlier_version_kept_with_the_arrays_only_what_is_still_true_is_said(
    tmp_path: Path, cache: Path
) -> None:
    for folder, greys in (("train/cat", range(9)), ("train/dog", range(9, 18)), ("test/cat", range(18, 21))):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for grey in greys:
            Image.new("L", (8, 8), grey).save(tmp_path / "set" / folder / f"{grey}.png")
    (tmp_path / "set/train/cat/0.png").write_bytes(b"")
    shutil.copy(tmp_path / "set/train/cat/1.png", tmp_path / "set/train/cat/again.png")
    first = open_data(str(tmp_path / "set"), cache, skip_bad=True)
    assert [note.split()[0] for note in first.notes] == ["small:", "test/", "1", "dark:", "skipped:"]
    file = first.folder / "data.json"
    described = json.loads(file.read_text())
    loose = "ignored: 1 images outside class folders, such as loose.png"
    file.write_text(json.dumps(described | {"notes": [loose, *first.notes]}))
    assert open_data(str(tmp_path / "set"), cache, skip_bad=True).notes == first.notes


def decoded_before(good: Path, now_refused: Path, cache: Path) -> None:
    """Leave the arrays of one source as those of another, which an earlier version read without a doubt."""
    read = read_folder if now_refused.is_dir() else read_npz
    fingerprint = read(now_refused, str(now_refused)).fingerprint
    found = open_data(str(good), cache)
    described = json.loads((found.folder / "data.json").read_text())
    (found.folder / "data.json").write_text(json.dumps(described | {"fingerprint": fingerprint}))
    found.folder.rename(cache / f"{fingerprint[:16]}-{found.input}")


def parts_below_classes(place: Path, make_classes: MakeClasses) -> tuple[Path, Path]:
    for name in ("cat", "dog"):
        make_classes(place / "other" / name, {"train": 3, "test": 3})
    return make_classes(place / "set", {"cat": 6, "dog": 6}), place / "other"


def eight_bits_in_sixteen(place: Path, make_classes: MakeClasses) -> tuple[Path, Path]:
    for name in ("cat", "dog"):
        (place / "other" / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(np.full((8, 8), 200 + i, np.uint16)).save(place / "other" / name / f"{i}.png")
    return make_classes(place / "set", {"cat": 6, "dog": 6}, mode="L"), place / "other"


def an_array_of_no_known_name(place: Path, make_classes: MakeClasses) -> tuple[Path, Path]:
    arrays = {"x": np.full((12, 8, 8), 99, np.uint8), "y": np.arange(12) % 2}
    np.savez(place / "set.npz", **arrays)
    np.savez(place / "other.npz", **arrays, x_holdout=arrays["x"])
    return place / "set.npz", place / "other.npz"


def parts_on_two_scales(place: Path, make_classes: MakeClasses) -> tuple[Path, Path]:
    pixels, labels = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8), np.arange(12) % 2
    np.savez(place / "set.npz", x=pixels, y=labels)
    scaled = (pixels > 127).astype(np.uint8)
    np.savez(place / "other.npz", x_train=pixels[:8], y_train=labels[:8], x_test=scaled[8:], y_test=labels[8:])
    return place / "set.npz", place / "other.npz"


@pytest.mark.parametrize(
    "make", [parts_below_classes, eight_bits_in_sixteen, an_array_of_no_known_name, parts_on_two_scales]
)
def test_arrays_of_a_source_that_is_refused_by_now_are_still_found_so_that_their_studies_go_on(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, make: Callable[[Path, MakeClasses], tuple[Path, Path]]
) -> None:
    good, other = make(tmp_path, make_classes)
    with pytest.raises(InputError):
        open_data(str(other), cache)
    decoded_before(good, other, cache)
    assert len(open_data(str(other), cache)) == 12


def test_an_import_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})

    def interrupt(done: int, total: int) -> None:
        assert list(cache.iterdir()), "it is in the middle of writing"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_data(str(root), cache, step=lambda what: interrupt)
    assert not list(cache.iterdir())


def test_what_an_import_killed_at_once_has_left_is_never_taken_for_data_and_removed_by_the_next(cache: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from convsearch.search.sources import open_data
        open_data("digits", Path(sys.argv[1]), step=lambda what: lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(cache)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(cache.iterdir())) == 1
    dataset = open_data("digits", cache)
    assert len(dataset.images()) == 1797
    assert [path.name for path in cache.iterdir()] == [dataset.folder.name]


def test_what_another_import_is_writing_is_left_alone(cache: Path) -> None:
    found: list[Dataset] = []

    def another(done: int, total: int) -> None:
        (unfinished,) = cache.iterdir()
        os.utime(unfinished, (0, 0))  # so slow that nothing was written for a day
        for path in unfinished.iterdir():
            os.utime(path, (0, 0))
        found.append(open_data("digits", cache, image_size=(4, 4)))

    found.append(open_data("digits", cache, step=lambda what: another))
    assert [len(dataset.images()) for dataset in found] == [1797, 1797]
    assert {path.name for path in cache.iterdir()} == {dataset.folder.name for dataset in found}


def test_several_imports_of_one_source_at_once_end_with_one_data_set(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 40, "dog": 40})
    with ThreadPoolExecutor(4) as pool:
        datasets = list(pool.map(lambda _: open_data(str(root), cache), range(4)))
    assert all(dataset == datasets[0] for dataset in datasets)
    assert [path.name for path in cache.iterdir()] == [datasets[0].folder.name]


def test_a_good_folder_that_has_just_replaced_a_damaged_one_is_not_replaced_in_turn(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just when the first import takes the damaged folder away, a second begins, and comes as far as it can."""
    folder = open_data("digits", cache).folder
    os.truncate(folder / "images.npy", 5000)
    rename, remove, lock = Path.rename, shutil.rmtree, fcntl.flock
    published: list[Path] = []
    second: list[Future[Dataset]] = []
    begun, stopped = Event(), Event()

    def begin_second(place: object) -> None:
        if place == folder and not begun.is_set():
            begun.set()
            second.append(pool.submit(open_data, "digits", cache))
            second[0].add_done_callback(lambda _: stopped.set())
            assert stopped.wait(100)

    def renaming(place: Path, target: Path) -> Path:
        begin_second(place)
        done = rename(place, target)
        if target == folder:
            published.append(place)
        return done

    def removing(place: Any, *args: Any, **options: Any) -> None:
        begin_second(place)
        remove(place, *args, **options)

    def locking(descriptor: int, kind: int) -> None:
        if begun.is_set() and not kind & fcntl.LOCK_NB:
            stopped.set()
        lock(descriptor, kind)

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as watched:
        watched.setattr(Path, "rename", renaming)
        watched.setattr(shutil, "rmtree", removing)
        watched.setattr(fcntl, "flock", locking)
        first = open_data("digits", cache)
        assert first == second[0].result(100)
    assert len(published) == 1
    assert len(Dataset.load(folder).images()) == 1797
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_a_cache_that_cannot_be_made_is_a_work_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkError, match=r"digits: the images cannot be kept in .*file/cache"):
        open_data("digits", tmp_path / "file/cache")


def test_images_that_cannot_fit_on_the_disk_are_refused_before_any_is_written(tmp_path: Path, cache: Path) -> None:
    # 300,000 images of 1 x 1 asked for at 4096 x 4096: five terabytes.
    np.savez(tmp_path / "set.npz", x=np.zeros((300_000, 1, 1), np.uint8), y=np.arange(300_000) % 2)
    with pytest.raises(WorkError, match=r"need 5\.0 TB in .*, where .*B are free\. Make room"):
        open_data(str(tmp_path / "set.npz"), cache, image_size=(4096, 4096))
    assert not list(cache.iterdir())


# The peak of `getrusage` would begin at that of the process that has started this one.
MEASURE = """
    import re, sys
    from pathlib import Path
    from convsearch.search.sources import open_data

    def peak():
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

    size = int(sys.argv[3])
    before = peak()
    dataset = open_data(sys.argv[1], Path(sys.argv[2]), image_size=(size, size) if size else None)
    print(peak() - before, dataset.images().nbytes // 1024)
"""


def memory(source: Path, cache: Path, size: int = 0) -> tuple[int, int]:
    """Return by how many KiB a process grew while it opened the source, and how many its images are."""
    command = [sys.executable, "-c", textwrap.dedent(MEASURE), str(source), str(cache), str(size)]
    grown, images = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(grown), int(images)


def test_arrays_larger_than_the_memory_used_are_read_a_part_at_a_time(tmp_path: Path, cache: Path) -> None:
    rows = np.random.default_rng(0).random((100, 128, 128, 3), dtype=np.float32)
    np.savez(tmp_path / "set.npz", x=np.tile(rows, (20, 1, 1, 1)), y=np.arange(2000) % 2)
    assert (tmp_path / "set.npz").stat().st_size > 390e6
    grown, images = memory(tmp_path / "set.npz", cache)
    assert images == 96_000
    assert grown < 96_000, f"{grown} KiB for a file of 390 MB"


def test_small_arrays_that_are_much_enlarged_are_written_a_part_at_a_time(tmp_path: Path, cache: Path) -> None:
    np.savez(tmp_path / "set.npz", x=np.zeros((300, 8, 8), np.uint8), y=np.arange(300) % 2)
    grown, images = memory(tmp_path / "set.npz", cache, size=1024)
    assert images == 307_200
    assert grown < 100_000, f"{grown} KiB for images of 307 MB"


def test_image_files_larger_together_than_the_memory_used_are_read_a_part_at_a_time(
    tmp_path: Path, cache: Path
) -> None:
    photograph = tmp_path / "photograph.jpg"
    Image.radial_gradient("L").resize((512, 512)).convert("RGB").save(photograph)
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(300):
            shutil.copy(photograph, tmp_path / "set" / name / f"{i}.jpg")
    grown, images = memory(tmp_path / "set", cache)
    assert images == 460_800
    assert grown < 150_000, f"{grown} KiB for images of 460 MB"
