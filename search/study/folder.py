"""The folder of one study, and the files in it."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from ...spaces.definition import FORMAT as SPACE_FORMAT
from ...spaces.definition import Definition, load_yaml, parse
from ...spaces.errors import InputError
from ...spaces.space import SearchSpace
from ..system.files import partial_folder, publish, settle_replacement, write_bytes, write_text
from ..values.commands import command, typed
from .record import Record
from .repeats import Repeats, Standing
from .result import Result
from .settings import FORMAT, StudySettings
from .trial import Trial, now

if TYPE_CHECKING:
    from ..data import Split

DATA = "data"  # the folder of decoded images, in the home
WEIGHTS, CHECKPOINT = ".weights.h5", ".state.npz"  # suffixes of the files of a trial
FILES = re.compile(rf"([0-9]+)({re.escape(WEIGHTS)}|{re.escape(CHECKPOINT)})")


def hash_of(space: str) -> str:
    """Return the hash of a space's YAML text by which a change of the file is noticed."""
    return hashlib.sha256(space.encode()).hexdigest()


class TakenError(InputError):
    """A study of this name exists already."""

    def __init__(self, folder: "StudyFolder") -> None:
        super().__init__(
            f"the study '{folder.name}' exists in {folder.path.parent}: continue it with --resume, or choose another "
            "name with --study"
        )


class StudyFolder:
    """The folder of one study: the paths of its files, and how they are read and written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.file = path / "study.yaml"
        self.space_file = path / "space.yaml"
        self.split = path / "split.npz"
        self.logs = path / "logs"
        self.result_file = path / "result.json"
        self._tests_file = path / "tests.jsonl"
        self.bundle = path / "bundle"
        self.winner_weights = path / "final.weights.h5"

    def data(self, study: StudySettings) -> Path:
        """Return the folder of the study's decoded images; it moves with the home."""
        return self.path.parent / DATA / study.data.folder

    def weights(self, number: int) -> Path:
        """Return the file with the weights of a trial's best epoch, kept while it is among the best few."""
        return self.path / "weights" / f"{number}{WEIGHTS}"

    def kept(self) -> list[int]:
        """Return the trials whose weights are kept."""
        if not (self.path / "weights").is_dir():
            return []
        files = (FILES.fullmatch(path.name) for path in (self.path / "weights").iterdir())
        return sorted(int(found[1]) for found in files if found and found[2] == WEIGHTS)

    def checkpoint(self, number: int) -> Path:
        """Return the file with the checkpoint of a trial, kept while the trial may be resumed."""
        return self.path / "weights" / f"{number}{CHECKPOINT}"

    @contextmanager
    def create(self, study: StudySettings, space: str, split: "Split | None" = None) -> Iterator[None]:
        """Create the folder atomically, with the YAML text of the space, and hold the study's lock in the block.

        The folder is locked before it gets its name, so no other launch can use it first.

        Raises:
            TakenError: a study of this name exists, or has been created meanwhile; it is left as it is.
        """
        with partial_folder(self.path.parent) as place:
            made = StudyFolder(place)
            (place / "weights").mkdir()
            write_text(made.space_file, space)
            if split is not None:
                split.save(made.split)
            made.write(study)
            try:
                publish(place, self.path)
            except FileExistsError as error:
                raise TakenError(self) from error
            yield

    def sweep(self) -> None:
        """Remove partial files that a killed launch has left behind; no other launch may use the folder."""
        settle_replacement(self.bundle)
        for place in (self.path, self.path / "weights"):
            for path in [*place.glob("*.partial*"), *place.glob("*.repeat.*")]:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def write(self, study: StudySettings) -> None:
        """Write `study.yaml`, unless it has these settings already."""
        text = yaml.dump(study.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        if not self.file.exists() or self.file.read_bytes() != text.encode():
            write_text(self.file, text)

    def read(self) -> StudySettings:
        """Return `study.yaml`; the study has the folder's name, which may be another than when it was written.

        Raises:
            InputError: it is damaged, or written by another version.
        """
        try:
            data = load_yaml(self.file.read_text(encoding="utf-8"))
            found = data.get("format") if isinstance(data, dict) else None
            if found != FORMAT:
                raise InputError(f"{self.file}: format {found!r}, but this version of Convsearch reads format {FORMAT}")
            return StudySettings.model_validate(data).model_copy(update={"name": self.name})
        except (OSError, yaml.YAMLError, UnicodeDecodeError, ValidationError, RecursionError) as error:
            raise InputError(f"{self.file}: the study cannot be read: {error}") from error

    def record(self) -> Record:
        """Return the study's trials."""
        try:
            return Record(self.path)
        except (OSError, ValidationError) as error:
            raise InputError(f"{self.path / 'trials.jsonl'}: the record cannot be read: {error}") from error

    def repeats(self) -> Repeats:
        """Return the repeats of the study's best trials."""
        try:
            return Repeats(self.path)
        except (OSError, ValidationError) as error:
            raise InputError(f"{self.path / 'repeats.jsonl'}: the repeats cannot be read: {error}") from error

    def result(self) -> Result | None:
        """Return the result of the study, or None if there is none yet."""
        if not self.result_file.exists():
            return None
        try:
            return Result.model_validate_json(self.result_file.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{self.result_file}: damaged or of another version: {error}\nMove it away, and --resume tests and "
                "exports the winner again"
            ) from error

    def tests(self) -> int:
        """Return how many times the test split was read; of a shared study, by this home's loop alone."""
        return len(self._tests_file.read_bytes().splitlines()) if self._tests_file.exists() else 0

    def note_test(self, number: int) -> None:
        """Record that the test split is about to be read for a trial; it counts as read whatever happens next."""
        before = self._tests_file.read_bytes() if self._tests_file.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"  # damaged, and must not swallow the line: it is counted
        write_bytes(self._tests_file, before + json.dumps({"at": now(), "trial": number}).encode() + b"\n")

    def named(self, record: Record) -> Trial | None:
        """Return the winner, or the best trial so far if there is none yet."""
        if result := self.result():
            return record.trials.get(result.best)
        return next(iter(record.best()), None)

    def standing(self, record: Record) -> Standing | None:
        """Return the winner, or the best trial so far, with all the values that its candidate reached."""
        named = self.named(record)
        return self.repeats().standing(named) if named else None

    def space(self, study: StudySettings, record: Record | None = None) -> SearchSpace:
        """Return the study's space, bound to its data.

        Raises:
            InputError: see `definition`; or a trial of the record, if one is given, is not of this space.
        """
        definition = self.definition(study).at(*study.sizes)
        space = SearchSpace(definition, study.data.input, len(study.data.classes), study.memory)
        for trial in record.trials.values() if record is not None else ():
            for name, value in trial.values.items():
                if name not in space.dimensions or not space.dimensions[name].has(value):
                    raise self._changed(study, f"trial {trial.number} has {name} {value}, which it does not allow")
        return space

    def _changed(self, study: StudySettings, how: str) -> InputError:
        words = (
            "--data",
            study.data.source,
            *study.data.columns.options,
            "--space",
            typed(self.space_file),
            "--warm-start",
            study.name,
        )
        return InputError(
            f"{self.space_file}: {how}: the study's space was changed after the study had begun. Restore it (in "
            "MLflow, the run of each launch has it as space.yaml), or start a new study: "
            f"`{command('run', *words, home=self.path.parent)}`"
        )

    def definition(self, study: StudySettings) -> Definition:
        """Return the study's definition with its answers.

        Raises:
            InputError: its space has another format, cannot be read, or is not the one that the study began with.
        """
        from ..values.answers import answered

        if study.space_format != SPACE_FORMAT:
            raise InputError(
                f"{self.file}: space_format {study.space_format}: this version of Convsearch has space format "
                f"{SPACE_FORMAT}, whose candidates would not be the same. Continue with the version that started the "
                f"study ({study.versions.get('convsearch', 'unknown')}), or start a new study with --warm-start "
                f"{study.name}"
            )
        try:
            text = self.space_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.space_file}: the study's space cannot be read: {error}") from error
        if study.space_hash not in (None, hash_of(text)):
            raise self._changed(study, f"its hash is {hash_of(text)[:16]}, the study has {study.space_hash[:16]}")
        return answered(parse(text, str(self.space_file)), study.answers)


class _Dumper(yaml.SafeDumper):
    """Quotes texts with characters that YAML takes for line breaks, such as NEL: it would read them as spaces."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _quoted)
