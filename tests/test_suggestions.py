"""Commands in messages, wherever they come from: each can be typed as it stands, and means the home it is about."""

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from samples import a_study, completed, write_result
from stores import SPACE, Written
from terminal import understood

import convsearch.dashboard
import convsearch.search
from convsearch.dashboard.reading.bundle import BundleError, folder_of
from convsearch.dashboard.reading.progress import progress_of
from convsearch.dashboard.reading.reader import StoreError
from convsearch.dashboard.reading.store import Store
from convsearch.search.executors.shares import shares
from convsearch.search.export.of_trial import export_bundle
from convsearch.search.export.predictions import predictions
from convsearch.search.loop.epochs import epochs_for, require_time_to_export
from convsearch.search.report.study import next_commands
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial
from convsearch.search.system.machine import Machine
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.errors import InputError

BIRDS = "my bird's images"
VERBS = "run|studies|show|compare|check|explain|export|predict|dashboard|doctor"
WRITTEN = re.compile(rf"convsearch ({VERBS})\b")
NAMED = "' is being searched by another `convsearch run`: wait for it, or stop it with Ctrl-C"  # it says who, not what


@pytest.fixture(autouse=True)
def no_home_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONVSEARCH_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study with one trial, in a home that a shell would take apart."""
    found = StudyFolder(tmp_path / "my 'best' $tudies" / "birds")
    found.path.parent.mkdir()
    with found.create(a_study(name="birds"), "layers: [1]\n"):
        pass
    values = SPACE.draw(Written(found.path.parent).source)
    found.record().add(completed(Trial.begin(Proposal(0, values, SPACE.candidate(values)))))
    return found


def refused(work: Callable[[], object]) -> str:
    with pytest.raises((InputError, BundleError, StoreError)) as caught:
        work()
    return f"{caught.value} {getattr(caught.value, 'remedy', '')}"


def interrupted(folder: StudyFolder) -> str:
    written = Written(folder.path.parent, "birds")
    written.finish(finished=False)
    study = Store(folder.path.parent).study("birds")
    assert study is not None
    return re.sub(r"interrupted: (.*) continues it", r"`\1`", progress_of(study, folder.path.parent).text)


def damaged_runs(folder: StudyFolder) -> str:
    (folder.path / "runs.jsonl").write_text("[\n")
    return refused(lambda: folder_of(folder.path.parent, "birds", None, 0, "run"))


def damaged_store(folder: StudyFolder) -> str:
    (folder.path.parent / "mlflow.db").write_bytes(b"no database" * 100)
    said = refused(Store(folder.path.parent).names)
    return re.sub(r".*(convsearch doctor.*) says what is wrong with it\.", r"`\1`", said)


def changed_space(folder: StudyFolder) -> str:
    folder.space_file.write_text("layers: [2]\n")
    study = folder.read().model_copy(update={"space_hash": "0" * 64})
    study = study.model_copy(update={"data": study.data.model_copy(update={"source": BIRDS})})
    return refused(lambda: folder.definition(study))


def no_study(folder: StudyFolder) -> str:
    folder.file.unlink()
    return refused(lambda: Home(folder.path.parent).existing("birds"))


def next_ones(folder: StudyFolder) -> str:
    write_result(folder)
    return "\n".join(f"`{line}`" for line in next_commands(Home(folder.path.parent), folder))


MESSAGES: list[Callable[[StudyFolder], str]] = [
    interrupted,
    damaged_runs,
    damaged_store,
    changed_space,
    next_ones,
    no_study,
    lambda folder: refused(lambda: export_bundle(folder, None, folder.path.parent.parent / "bundle")),
    lambda folder: refused(lambda: require_time_to_export(0.01, folder.path)),
]
OF_NO_HOME = [
    lambda: epochs_for(SPACE, 4000, 0.1),
    lambda: shares(Machine((0,), 2**33), "auto", 1, [3]),
    lambda: predictions(Path("nothing"), []),
]


def suggested(message: str) -> list[list[str]]:
    """The words of the commands in a message, as a shell takes them."""
    found = re.findall(r"`convsearch ([^`]*)`", message)
    assert found, message
    return list(map(shlex.split, found))


@pytest.mark.parametrize("message", MESSAGES)
def test_a_command_in_a_message_can_be_typed_as_it_stands(
    message: Callable[[StudyFolder], str], folder: StudyFolder
) -> None:
    for words in suggested(message(folder)):
        found = understood(words)
        assert Path(found.get("home", folder.path.parent)) == folder.path.parent
        assert found.get("study") in (None, "birds")
        assert Path(str(found.get("bundle", folder.bundle))) == folder.bundle


def test_a_new_space_is_suggested_with_the_data_and_the_file_that_there_are(folder: StudyFolder) -> None:
    (words,) = suggested(changed_space(folder))
    found = understood(words)
    assert (found["data"], found["space"], found["warm_start"]) == (BIRDS, str(folder.space_file), "birds")


@pytest.mark.parametrize("work", OF_NO_HOME)
def test_a_command_that_needs_no_study_can_be_typed_too(work: Callable[[], object]) -> None:
    for words in suggested(refused(work)):
        understood(words)


def test_no_message_has_a_command_of_its_own_making() -> None:
    written = [
        text
        for package in (convsearch.search, convsearch.dashboard)
        for file in Path(str(package.__file__)).parent.rglob("*.py")
        for text in texts(ast.parse(file.read_text(encoding="utf-8")))
        if WRITTEN.search(text)
    ]
    assert written == [NAMED]


def texts(tree: ast.Module) -> Iterator[str]:
    """The texts in a module that are no docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
