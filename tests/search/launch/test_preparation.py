"""From the options to a study on disk: the name that it gets, also beside others, and its images."""

import hashlib
import io
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from rich.console import Console

from convsearch.search.data import Dataset
from convsearch.search.launch.contract import folder_after, folder_of, new_contract, resumed_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.loop.budget import Budget
from convsearch.search.study.home import Home
from convsearch.search.study.settings import StudySettings
from convsearch.search.system.lock import is_held
from convsearch.spaces.errors import InputError

MakeClasses = Callable[..., Path]
SaveImage = Callable[..., Path]

LAUNCHES = 20
PATIENCE = 100  # seconds until a launch that does not end is given up
UNNAMED = "digits-20261130-101500"


def prepare_at_once(
    place: Path, name: str | None, number: int, barrier: Barrier, results: "Queue[tuple[int, str]]"
) -> None:
    """Create a study when the others do, add a line to its record, and wait for the others before its lock goes."""
    home = Home(place)
    contract = new_contract(home, home.study(name or UNNAMED), Options(home=place, space="tiny", study=name))
    with ExitStack() as held:
        barrier.wait(PATIENCE / 2)
        try:
            found = prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
        except InputError as error:
            results.put((number, str(error)))
        else:
            assert found is not None
            assert is_held(found.folder.path)
            with (found.folder.path / "lines").open("a") as file:
                file.write(f"{number}\n")
            results.put((number, found.folder.name))
        barrier.wait(PATIENCE / 2)


def fork_launches(place: Path, name: str | None, results: "Queue[tuple[int, str]]") -> None:
    """Be a process without threads that has imported everything, and fork the launches."""
    context = get_context("fork")
    barrier = context.Barrier(LAUNCHES)
    processes = [
        context.Process(target=prepare_at_once, args=(place, name, number, barrier, results))
        for number in range(LAUNCHES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))


def launched_at_once(home: Home, name: str | None) -> dict[int, str]:
    """Let launches create a study at one moment; return what became of each: its study, or the error."""
    context = get_context("spawn")
    results = context.Queue()
    process = context.Process(target=fork_launches, args=(home.path, name, results))
    process.start()
    found = dict(results.get(timeout=PATIENCE) for _ in range(LAUNCHES))
    process.join(PATIENCE)
    assert process.exitcode == 0
    return found


@pytest.mark.usefixtures("blank_main")
def test_of_many_launches_at_once_with_one_name_one_has_the_study_and_the_others_are_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    found = launched_at_once(home, "mine")
    owners = [number for number, said in found.items() if said == "mine"]
    assert len(owners) == 1
    refused = f"the study 'mine' exists in {tmp_path}: continue it with --resume, or choose another name with --study"
    assert [said for number, said in found.items() if number not in owners] == [refused] * (LAUNCHES - 1)
    assert (tmp_path / "mine" / "lines").read_text() == f"{owners[0]}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "mine"]
    assert not is_held(tmp_path / "mine")


@pytest.mark.usefixtures("blank_main")
def test_of_many_launches_at_once_without_a_name_each_has_a_study_of_its_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    found = launched_at_once(home, None)
    names = [UNNAMED, *(f"{UNNAMED}-{number}" for number in range(2, LAUNCHES + 1))]
    assert sorted(found.values()) == sorted(names)
    for number, name in found.items():
        folder = home.existing(name)
        assert folder.read().name == name
        assert (folder.path / "lines").read_text() == f"{number}\n"


def test_a_study_without_a_name_takes_the_first_that_is_free(tmp_path: Path) -> None:
    home, now = Home(tmp_path), datetime.now()
    for seconds in range(-1, 600):  # however long the test takes
        (tmp_path / f"digits-{now + timedelta(seconds=seconds):%Y%m%d-%H%M%S}").mkdir()
    assert folder_of(home, Options(home=tmp_path)).name.removesuffix("-2") in {path.name for path in tmp_path.iterdir()}
    names = [home.study(UNNAMED)]
    for _ in range(10):
        names.append(folder_after(home, names[-1]))
    assert [folder.name for folder in names] == [UNNAMED, *(f"{UNNAMED}-{number}" for number in range(2, 12))]


# ---------------------------------------------------------------------- images


def test_the_home_may_be_among_the_images(
    tmp_path: Path, make_classes: MakeClasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_classes(tmp_path, {"cat": 9, "dog": 9})
    monkeypatch.chdir(tmp_path)
    home, prints = Home(Path("studies")), set()
    for name in ("first", "second"):
        options = Options(home=home.path, data=".", space="tiny", study=name)
        with ExitStack() as held:
            contract = new_contract(home, folder_of(home, options), options)
            found = prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
        assert found is not None
        assert found.study.data.classes == ("cat", "dog")
        assert "ignored: studies/, where studies are kept" in found.study.data.notes
        prints.add(found.study.data.fingerprint)
    assert len(prints) == 1


def begun(
    home: Home,
    data: Path,
    name: str,
    *,
    resume: bool = False,
    epochs: int | None = None,
    seconds: float | None = None,
    image_size: tuple[int, int] | None = None,
) -> StudySettings:
    """Create a study with these images, or go on with it; return its settings."""
    source = None if resume else str(data)
    options = Options(
        home=home.path, data=source, space="tiny", study=name, resume=resume, epochs=epochs, image_size=image_size
    )
    folder = folder_of(home, options)
    contract = resumed_contract(folder, options) if resume else new_contract(home, folder, options)
    with ExitStack() as held:
        found = prepare(home, contract, Budget(None, seconds), Console(file=io.StringIO()), held)
    assert found is not None
    return found.study


def test_a_new_study_is_refused_in_the_folder_of_images_itself(tmp_path: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path, {"cat": 9, "dog": 9})
    with pytest.raises(InputError, match=rf"--home {tmp_path}: is the folder of images itself.* {tmp_path}/studies\."):
        begun(Home(tmp_path), tmp_path, "one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat", "dog"]
    assert begun(Home(tmp_path / "studies"), tmp_path, "one").data.classes == ("cat", "dog")


@pytest.mark.parametrize("image", ["0.png", "new/0.png"])
def test_a_new_study_is_refused_in_a_folder_of_images_that_would_be_left_out(
    tmp_path: Path, make_classes: MakeClasses, save_image: SaveImage, image: str
) -> None:
    make_classes(tmp_path, {"kitchens": 9, "baths": 9})
    home = Home(tmp_path / "studies")
    begun(home, tmp_path, "one")
    save_image(home.path / "one" / "bundle" / "0.png")  # what is among the studies is none of the data
    begun(home, tmp_path, "two")
    save_image(home.path / image)
    with pytest.raises(InputError, match=rf"--home {home.path}: holds images of --data .* such as studies/{image}, "):
        begun(home, tmp_path, "three")
    assert not (home.path / "three").exists()
    begun(home, tmp_path, "two", resume=True)


def test_a_study_that_an_earlier_version_began_in_the_folder_of_images_goes_on(
    tmp_path: Path, make_classes: MakeClasses
) -> None:
    images = make_classes(tmp_path / "set", {"cat": 9, "dog": 9})
    first = begun(Home(tmp_path / "home"), images, "one")
    for part in (tmp_path / "home").iterdir():
        part.rename(images / part.name)
    (images / "artifacts").mkdir()
    assert begun(Home(images), images, "one", resume=True).data == first.data


def test_images_that_were_moved_are_found_from_then_on_where_resume_was_told(
    tmp_path: Path, make_classes: MakeClasses
) -> None:
    home, images = Home(tmp_path / "home"), make_classes(tmp_path / "set", {"cat": 9, "dog": 9})
    first = begun(home, images, "one")
    moved = images.rename(tmp_path / "moved")
    options = Options(home=home.path, data=str(moved), study="one", resume=True)
    with ExitStack() as held:
        contract = resumed_contract(folder_of(home, options), options)
        prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
    assert begun(home, moved, "one", resume=True).data == first.data.model_copy(update={"source": str(moved)})


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("training_set", "test_set")])
def test_a_study_whose_parts_an_earlier_version_took_for_classes_keeps_its_images_and_is_refused_with_both(
    tmp_path: Path, make_classes: MakeClasses, train: str, test: str
) -> None:
    for part in (train, test):
        make_classes(tmp_path / "set" / part, {"cat": 9, "dog": 9})
    home = Home(tmp_path / "home")
    data = begun(home, tmp_path / "set", "one").data
    earlier = hashlib.sha256(b"folder\n")
    for path in sorted((tmp_path / "set").rglob("*.png")):
        earlier.update(f"{path.relative_to(tmp_path / 'set')}\0".encode())
        earlier.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    arrays = home.path / "data" / f"{earlier.hexdigest()[:16]}-8x8x3"
    (home.path / "data" / data.folder).rename(arrays)
    for path in (home.path / "one" / "study.yaml", arrays / "data.json"):
        text = path.read_text(encoding="utf-8").replace(data.folder, arrays.name)
        text = text.replace(data.fingerprint, earlier.hexdigest())
        path.write_text(re.sub(r"\bdog\b", train, re.sub(r"\bcat\b", test, text)), encoding="utf-8")
    before = Dataset.load(arrays)
    assert before.classes == (test, train)
    with pytest.raises(InputError, match=f"its classes are 'cat', 'dog', the study has '{test}', '{train}'"):
        begun(home, tmp_path / "set", "one", resume=True)
    assert begun(home, tmp_path / "set", "two").data.classes == ("cat", "dog")
    assert Dataset.load(arrays) == before


def test_a_study_in_which_an_earlier_version_read_thumbnails_is_refused_with_what_is_not_read_any_more(
    tmp_path: Path, make_classes: MakeClasses
) -> None:
    images = make_classes(tmp_path / "set", {"cat": 9, "dog": 9})
    for name in ("cat", "dog"):
        make_classes(images / name, {"thumbnails": 9})
    begun(Home(tmp_path / "home"), images, "one")
    for name in ("cat", "dog"):
        (images / name / "thumbnails").rename(images / name / "@eaDir")
    passed_over = "ignored: images in @eaDir/, which systems keep for themselves"
    with pytest.raises(InputError, match=rf"the study has \w{{16}}; 18 images now, 36 then; {passed_over}$"):
        begun(Home(tmp_path / "home"), images, "one", resume=True)


def test_without_time_for_a_trial_a_study_that_keeps_its_epochs_and_images_is_not_offered_others(
    tmp_path: Path, make_classes: MakeClasses
) -> None:
    images = make_classes(tmp_path / "set", {"cat": 3, "dog": 3}, height=129, width=128)
    home = Home(tmp_path / "home")
    with pytest.raises(InputError, match=r"--minutes [\d.]+, or fewer --epochs, or --image-size 64x64\. "):
        begun(home, images, "one", epochs=1_000_000, seconds=3600, image_size=(129, 128))
    begun(home, images, "one", epochs=1_000_000, image_size=(129, 128))
    with pytest.raises(InputError, match=r"use at least --minutes [\d.]+\. "):
        begun(home, images, "one", resume=True, seconds=3600)
