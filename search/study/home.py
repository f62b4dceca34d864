"""The home: the folder of all studies."""

import re
from pathlib import Path
from tempfile import TemporaryFile

from ...spaces.errors import InputError, nearest
from ...spaces.printable import is_utf8, printable
from ..values.commands import command
from .folder import DATA, StudyFolder
from .trial import Trial

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
NUMBER = re.compile(r"[0-9]{1,9}")  # of a trial
# Of the home itself, with what SQLite keeps beside a database; many disks do not tell capitals apart.
RESERVED = re.compile(rf"{DATA}|artifacts|mlflow\.db(\.half-made(-[0-9]+)?)?(-wal|-shm|-journal)?", re.IGNORECASE)


class Home:
    """The folder of all studies, with their MLflow store and the decoded images."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / DATA
        self.artifacts = path / "artifacts"

    def prepare(self) -> None:
        """Create the folder and check that it is writable.

        Raises:
            InputError: it is not, or its name cannot be stored as text.
        """
        self.check_path()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise InputError(
                f"--home {self.path}: cannot be written to: {error.strerror}; choose a folder that can"
            ) from error

    def check_path(self) -> None:
        """Check that the path can be stored and shown as text: MLflow and the dashboard need it.

        Raises:
            InputError: it cannot.
        """
        if not is_utf8(str(self.path.absolute())):
            raise InputError(f"--home {self.path}: the path is not valid UTF-8; choose another folder")

    def study(self, name: str) -> StudyFolder:
        """Return the folder of a study, whether or not it exists.

        Raises:
            InputError: the name is not a valid one.
        """
        if not NAME.fullmatch(name):
            raise InputError(
                f"study name '{printable(name)}': letters, digits, '.', '_' and '-' only, beginning with a letter or "
                "digit, at most 80"
            )
        folder = StudyFolder(self.path / name)
        if RESERVED.fullmatch(name) and not folder.file.exists():
            raise InputError(f"study name '{name}': the home has a file or folder of its own with that name")
        return folder

    def studies(self) -> list[StudyFolder]:
        """Return all studies, by name."""
        if not self.path.is_dir():
            return []
        found = (path.parent for path in sorted(self.path.glob("*/study.yaml")))
        return [StudyFolder(path) for path in found if NAME.fullmatch(path.name)]  # half-made folders have others

    @property
    def own(self) -> list[Path]:
        """The folders in the home that are not the user's: those of the studies, the images and MLflow's files."""
        return [self.data, self.artifacts, *(study.path for study in self.studies())]

    def existing(self, name: str) -> StudyFolder:
        """Return the folder of an existing study.

        Raises:
            InputError: there is none; the message suggests others.
        """
        folder = self.study(name)
        if not folder.file.exists():
            names = [study.name for study in self.studies()]
            none = f"there is none yet: `{command('run', home=self.path)}` creates one"
            hint = nearest(name, names) if names else none
            raise InputError(f"no study '{name}' in {self.path}: {hint}")
        return folder

    def named_trial(self, reference: str) -> tuple[StudyFolder, Trial]:
        """Return the study and the trial that `STUDY[:TRIAL]` names; without a number, the winner or the best one.

        Raises:
            InputError: there is no such study or trial.
        """
        name, colon, number = reference.partition(":")
        folder = self.existing(name)
        record = folder.record()
        if not colon:
            named = folder.named(record)
            if named is None:
                raise InputError(f"the study '{name}' has no finished trial yet")
            return folder, named
        if not NUMBER.fullmatch(number) or int(number) not in record.trials:
            last = max(record.trials, default=None)
            existing = "it has no trials" if last is None else f"its trials are 0 to {last}"
            raise InputError(f"'{reference}': the study '{name}' has no trial '{number}'; {existing}")
        return folder, record.trials[int(number)]

    def refuse_a_copy(self, folder: StudyFolder) -> None:
        """Refuse to go on with a study of which the home has a copy: both would write to the same runs in MLflow.

        Raises:
            InputError: another folder of the home has the same study.
        """
        own = folder.read().id
        for other in self.studies():
            if _identity(other) == own and not other.path.samefile(folder.path):
                raise InputError(
                    f"'{folder.name}' and '{other.name}' in {self.path} are copies of one study, and both would write "
                    "to its runs in MLflow: move one of them out of the home, or start a new study with "
                    f"--warm-start {folder.name}"
                )


def _identity(folder: StudyFolder) -> str | None:
    """Return a study's identity; None where it cannot be read."""
    try:
        return folder.read().id
    except InputError:
        return None
