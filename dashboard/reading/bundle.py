"""A trial's bundle to download: made by the command `convsearch export`, in a separate process."""

import io
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

from ...search.study.folder import StudyFolder
from ...search.study.runs import FILE as RUNS_FILE
from ...search.study.runs import Runs
from ...search.system.processes import environment
from ...search.values.commands import resume_command, typed
from ...spaces.errors import InputError
from .folders import study_folder

PROGRAM = "from convsearch.search.command.main import main; main()"
PATIENCE = 300  # seconds for a bundle
MAKING = threading.Lock()


class BundleError(Exception):
    """The bundle cannot be made; the message says why."""


def folder_of(home: Path, study: str, identity: str | None, number: int, run: str) -> StudyFolder:
    """Return the folder of the study that a trial's run belongs to.

    Args:
        home: the home.
        study: the name of its experiment.
        identity: of the study, if MLflow has it.
        number: of the trial.
        run: of the trial.

    Raises:
        BundleError: it is not in this home, or the study of this name there is another one.
    """
    folder = study_folder(home, study, identity)
    if folder is None:
        raise BundleError(f"The files of this study are not in {home}: it ran elsewhere, or they were deleted.")
    try:
        runs = Runs(folder.path)
    except OSError as error:
        raise BundleError(f"{folder.path / RUNS_FILE} cannot be read: {error.strerror}.") from error
    known = runs.of(number)
    if known is None and runs.damaged:
        what = "damaged" if (folder.path / RUNS_FILE).exists() else "missing"
        raise BundleError(
            f"{folder.path / RUNS_FILE} is {what}: continue the study with `{resume_command(folder.path)}`, which "
            "writes it anew."
        )
    if known != run:
        raise BundleError(f"The study of this name in {home} is another one, or this trial ran in another loop of it.")
    return folder


def winner(folder: StudyFolder) -> int | None:
    """Return the trial whose network was tested and exported, if there is one."""
    try:
        result = folder.result()
    except InputError:
        return None
    return None if result is None or not folder.bundle.is_dir() else result.best


def reference(study: str, number: int | None) -> str:
    """Return what `convsearch export` takes for a trial; `number` is None for the winner."""
    return study if number is None else f"{study}:{number}"


def bundle(home: Path, study: str, number: int | None) -> bytes:
    """Return the bundle as a zip file.

    Raises:
        BundleError: the command failed; the message is its own.
    """
    if not MAKING.acquire(blocking=False):  # each is a process that imports all of Keras
        raise BundleError("Another bundle is being made; try again in a moment.")
    try:
        with tempfile.TemporaryDirectory() as place:
            return _zipped(["export", reference(study, number), "--home", typed(home)], Path(place))
    finally:
        MAKING.release()


def _zipped(words: list[str], place: Path) -> bytes:
    to = place / "bundle"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, *words, "--to", str(to)],
            capture_output=True,
            text=True,
            errors="replace",
            env=environment(),
            timeout=PATIENCE,
            check=False,
            cwd=place,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"It was not ready after {PATIENCE} seconds.") from error
    if done.returncode:
        raise BundleError(done.stderr.strip().removeprefix("convsearch: "))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(to.rglob("*")):
            archive.write(path, Path(to.name) / path.relative_to(to))
    return packed.getvalue()
