"""Where things are on disk."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from convsearch.search.data import Split
from convsearch.search.study.folder import StudyFolder, hash_of
from convsearch.search.study.home import Home
from convsearch.search.study.runs import Runs
from convsearch.search.study.settings import DataFacts, StudySettings
from convsearch.search.study.trial import Trial
from convsearch.search.system.files import PARTIAL
from convsearch.search.system.lock import is_held
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.errors import InputError
from convsearch.spaces.printable import printable


def study(name: str = "mine", **more: object) -> StudySettings:
    data = DataFacts(
        name="digits",
        source="digits",
        fingerprint="f" * 64,
        input=Volume(8, 8, 1),
        classes=("zero", "größer", "1e5", "off"),
        folder="ffff-8x8x1",
        train=3,
        val=2,
        test=1,
    )
    values = {
        "name": name,
        "created_at": "2026-01-01T00:00:00+00:00",
        "space": "mine",
        "data": data,
        "engine": "optuna",
        "algorithm": "tpe",
        "pruner": "none",
        "epochs": 3,
        "trials": None,
        "seed": 0,
        "class_weights": False,
        "versions": {"python": "3.11.0"},
    } | more
    return StudySettings.model_validate(values)


def make(
    folder: StudyFolder, settings: StudySettings, space: str = "layers: [1]\n", parts: Split | None = None
) -> None:
    """Create a study that no launch uses."""
    with folder.create(settings, space, parts):
        pass


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def test_what_a_study_was_begun_with_is_read_again_as_it_was(home: Home) -> None:
    written = study(answers={"learning_rate": "0.01", "layers": "[1, 2]"})
    folder = home.study("mine")
    make(folder, written, "layers: [1, 2, 3]\n")
    assert folder.read() == written
    assert folder.definition(written).layers.values == (1, 2)
    assert folder.space(written).fixed["learning_rate"] == 0.01
    assert folder.record().trials == {}
    assert folder.result() is None


def test_a_study_is_there_whole_or_not_at_all(home: Home) -> None:
    full = Split(*(np.array([number]) for number in range(3)))
    folder = home.study("mine")
    with pytest.raises(UnicodeEncodeError):
        make(folder, study(), "\ud800", full)
    assert list(home.path.iterdir()) == []
    make(folder, study(), parts=full)
    assert Split.load(folder.split).test.tolist() == [2]


def test_a_study_that_exists_is_left_as_it_is_by_another_of_its_name(home: Home) -> None:
    folder = home.study("mine")
    make(folder, study())
    with pytest.raises(InputError, match=r"the study 'mine' exists in .*home: continue it with --resume, or choose "):
        make(folder, study(seed=1))
    assert folder.read() == study()
    assert [path.name for path in home.path.iterdir()] == ["mine"]


def test_a_new_study_is_locked_as_long_as_its_launch(home: Home) -> None:
    folder = home.study("mine")
    with folder.create(study(), "layers: [1]\n"):
        assert is_held(folder.path)
    assert not is_held(folder.path)


def test_what_a_killed_launch_has_left_behind_stops_no_other(home: Home) -> None:
    older = home.path / f".mine.{os.getpid()}.partial"  # as versions before named it; in a container PIDs repeat
    left = home.path / PARTIAL.format("left")
    for place in (older, home.path / ".mine.c.foo.partial", left):
        place.mkdir()
        (place / "study.yaml").touch()
    make(home.study("mine"), study())
    assert not left.exists()
    assert [found.name for found in home.studies()] == ["mine"]


def test_files_half_written_and_bundles_half_replaced_are_swept_from_a_study(home: Home) -> None:
    folder = home.study("mine")
    make(folder, study())
    kept = sorted(folder.path.iterdir())
    (folder.path / PARTIAL.format("text")).touch()
    (folder.path / PARTIAL.format("bundle")).mkdir()
    (folder.path / f".study.yaml.{os.getpid()}.partial").touch()
    (folder.path / ".bundle.replaced").mkdir()
    folder.sweep()
    assert sorted(folder.path.iterdir()) == sorted([*kept, folder.bundle])


def test_studies_are_listed_by_name_and_other_folders_are_none(home: Home) -> None:
    for name in ("b", "a"):
        make(home.study(name), study(name))
    (home.path / "notes").mkdir()
    assert [found.name for found in home.studies()] == ["a", "b"]
    assert home.existing("a").path == home.path / "a"


def test_the_decoded_images_of_a_study_move_with_the_home(home: Home, tmp_path: Path) -> None:
    make(home.study("mine"), study())
    home.path.rename(tmp_path / "moved")
    folder = Home(tmp_path / "moved").existing("mine")
    assert folder.data(folder.read()) == tmp_path / "moved" / "data" / "ffff-8x8x1"


def test_a_home_is_made_where_there_is_none_and_nothing_is_left_of_the_try(tmp_path: Path) -> None:
    Home(tmp_path / "deep" / "home").prepare()
    assert list((tmp_path / "deep" / "home").iterdir()) == []


def test_an_unknown_study_is_answered_with_those_that_are_there(home: Home) -> None:
    with pytest.raises(InputError, match=rf"there is none yet: `convsearch run --home {home.path}` creates one"):
        home.existing("mine")
    make(home.study("mine"), study())
    with pytest.raises(InputError, match=r"no study 'nine' in .*: did you mean 'mine'\? Known: mine"):
        home.existing("nine")


@pytest.mark.parametrize(
    "change",
    [
        "format: 3\n",
        "unknown: 1\n",
        "epochs: many\n",
        "epochs: 0\n",
        "trials: 0\n",
        "minutes: 0\n",
        "minutes: .nan\n",
        "repeats: -1\n",
        "]",
    ],
)
def test_a_study_file_that_was_changed_to_something_else_is_refused_by_its_name(home: Home, change: str) -> None:
    folder = home.study("mine")
    make(folder, study())
    folder.file.write_text(folder.file.read_text() + change)
    with pytest.raises(InputError, match=str(folder.file)):
        folder.read()


def test_a_space_that_was_changed_by_hand_is_refused_with_what_to_do(home: Home) -> None:
    written, folder = study(space_hash=hash_of("layers: [1]\n")), home.study("mine")
    make(folder, written)
    assert folder.definition(written).layers.values == (1,)
    folder.space_file.write_text("layers: [2]\n")
    with pytest.raises(
        InputError, match=r"space\.yaml: its hash is .*was changed .*Restore it .*--space .*space\.yaml"
    ):
        folder.definition(written)


def test_a_space_that_cannot_be_read_is_refused_by_its_name(home: Home) -> None:
    folder = home.study("mine")
    make(folder, study())
    folder.space_file.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"space\.yaml: the study's space cannot be read"):
        folder.space(study())
    folder.space_file.unlink()
    with pytest.raises(InputError, match=r"space\.yaml: the study's space cannot be read"):
        folder.space(study())


@pytest.mark.parametrize("values", [{"layer2.filters": 8}, {"layer1.filters": 9}, {"layer1.filters": "many"}])
def test_trials_that_are_not_of_the_space_are_refused_by_number_name_and_value(
    home: Home, values: dict[str, int | str]
) -> None:
    folder = home.study("mine")
    make(folder, study(), "layers: [1]\neach_layer: {filters: [8, 16]}\n")
    candidate = folder.space(study()).candidate({"layer1.filters": 8})
    record = folder.record()
    record.add(Trial.begin(Proposal(0, {"layer1.filters": 8}, candidate)))
    folder.space(study(), record)
    record.add(Trial.begin(Proposal(1, values, candidate)))
    (name, value), *_ = values.items()
    with pytest.raises(InputError, match=rf"space\.yaml: trial 1 has {name} {value}, which it does not allow"):
        folder.space(study(), record)


def test_a_record_that_was_damaged_is_refused_by_its_name(home: Home) -> None:
    folder = home.study("mine")
    make(folder, study())
    (folder.path / "trials.jsonl").write_text('{"number": 0}\n')
    with pytest.raises(InputError, match=r"trials\.jsonl: the record cannot be read"):
        folder.record()


@pytest.mark.parametrize("run", ["", "a!b", "../x", "x" * 300, "\u0663", "a\n"])
def test_a_run_that_mlflow_would_refuse_to_look_for_is_no_run_of_a_trial(home: Home, run: str) -> None:
    folder = home.study("mine")
    make(folder, study())
    (folder.path / "runs.jsonl").write_text(f'{json.dumps([0, run])}\n[1, "0a"]\n')
    runs = Runs(folder.path)
    assert (runs.all, runs.damaged) == (["0a"], True)
    candidate = folder.space(study()).candidate({})
    trial = Trial.begin(Proposal(0, {}, candidate)).model_copy(update={"mlflow_run_id": run})
    (folder.path / "trials.jsonl").write_text(f"{trial.model_dump_json()}\n")  # an earlier version noted it there
    with pytest.raises(InputError, match=r"trials\.jsonl: the record cannot be read"):
        folder.record()


@pytest.mark.parametrize("content", [b"{", b"{}", b"\xff", b'{"at": "2026-01-01", "best": 0}'])
def test_a_result_that_cannot_be_read_is_named_with_what_to_do(home: Home, content: bytes) -> None:
    folder = home.study("mine")
    make(folder, study())
    folder.result_file.write_bytes(content)
    with pytest.raises(
        InputError, match=r"result.json: damaged or of another version: (.|\n)*--resume tests and exports"
    ):
        folder.result()


def test_what_was_read_of_the_test_split_is_counted_before_it_is_read(home: Home) -> None:
    folder = home.study("mine")
    make(folder, study())
    assert folder.tests() == 0
    folder.note_test(3)
    folder.note_test(5)
    assert folder.tests() == 2


@pytest.mark.parametrize("damage", [b"\xff\n", b'{"at": "2026'], ids=["no text", "cut"])
def test_a_damaged_list_of_what_was_read_of_the_test_split_is_gone_on_with(home: Home, damage: bytes) -> None:
    folder = home.study("mine")
    make(folder, study())
    (folder.path / "tests.jsonl").write_bytes(damage)
    folder.note_test(3)
    folder.note_test(5)
    assert folder.tests() == 3
    assert (folder.path / "tests.jsonl").read_bytes().startswith(damage)


def test_only_weights_are_named_as_kept(home: Home) -> None:
    folder = home.study("mine")
    make(folder, study())
    for name in ("12.weights.h5", "3.weights.h5", "4.state.npz", "3.repeat.weights.h5", ".DS_Store"):
        (folder.path / "weights" / name).write_bytes(b"")
    assert folder.kept() == [3, 12]


@pytest.mark.parametrize(
    "name",
    [
        "mlflow.db",
        "MLflow.DB",
        "mlflow.db-wal",
        "mlflow.db.half-made",
        "mlflow.db.half-made-12",
        "mlflow.db.half-made-wal",
        "Data",
        "data",
        "ARTIFACTS",
    ],
)
def test_a_study_cannot_have_the_name_of_a_file_of_the_home_on_any_system(home: Home, name: str) -> None:
    with pytest.raises(InputError, match="the home has a file or folder of its own with that name"):
        home.study(name)


def test_a_study_that_an_earlier_version_gave_such_a_name_is_still_read(home: Home) -> None:
    old = study("Data")
    with StudyFolder(home.path / "Data").create(old, "{}"):
        pass
    assert home.existing("Data").read() == old


def test_a_home_whose_path_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"B\\xe4r: the path is not valid UTF-8"):
        Home(Path(os.fsdecode(os.fsencode(tmp_path) + b"/B\xe4r"))).prepare()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=20), min_size=2, max_size=4), st.text(max_size=20))
@example(["a\x85b", "null"], "\u2028")
@example(["- x: 1", "1e3"], "!!python/object:os.system")
def test_any_text_comes_back_from_the_study_file_as_it_is_shown(home: Home, classes: list[str], note: str) -> None:
    begun = study()
    facts = begun.data.model_copy(update={"classes": tuple(classes), "notes": (note,), "source": note})
    folder = StudyFolder(home.path / "any")
    folder.path.mkdir(exist_ok=True)
    folder.write(begun.model_copy(update={"data": facts}))
    found = folder.read().data
    assert found.source == note
    assert found.classes == tuple(map(printable, classes))
    assert found.notes == (printable(note),)


@pytest.mark.parametrize("number", ["\u00b2", "9" * 5000, "-1", " 1", "1_0", ""])
def test_what_is_no_number_of_a_trial_is_refused(home: Home, number: str) -> None:
    with home.study("mine").create(study(), "{}"), pytest.raises(InputError, match="has no trial"):
        home.named_trial(f"mine:{number}")


def test_a_study_file_that_is_no_text_is_refused_by_its_name(home: Home) -> None:
    with home.study("mine").create(study(), "{}"):
        pass
    for content in (b"\xff\xfe\x00", b"[" * 100_000):
        home.study("mine").file.write_bytes(content)
        with pytest.raises(InputError, match=r"study\.yaml: the study cannot be read"):
            home.study("mine").read()


def test_a_home_is_tried_without_touching_a_file_of_its_user(home: Home) -> None:
    notes = home.path / ".writable"
    notes.write_text("mine")
    home.prepare()
    assert notes.read_text() == "mine"


def test_a_study_is_called_what_its_folder_is(home: Home) -> None:
    make(home.study("mine"), study(), "layers: [1]\n")
    (home.path / "mine").rename(home.path / "geese")
    assert home.study("geese").read() == study().model_copy(update={"name": "geese"})
