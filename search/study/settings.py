"""`study.yaml`: the settings that a study was started with."""

from typing import Annotated, Any, Self
from uuid import UUID, uuid5

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ...spaces.architecture import Input
from ...spaces.memory.limit import Memory
from ...spaces.printable import printable_lines
from ...spaces.sizes import MAX_SIDE, Fit, Size, size_of
from ...spaces.space import Values
from ..values.bounds import Count, Finite, Moment
from ..values.columns import Columns
from ..values.job import Precision
from ..values.printable import Printable
from .objectives import DEFAULT, Preference, checked_limit, checked_objectives
from .repeats import DEFAULT_REPEATS

NAMESPACE = UUID("8b6f0a52-6a2e-4c0a-9d3e-3f1f5a7c2b10")  # of identities that are derived
IDENTITY = r"^[0-9a-f]{32}$"
DERIVED = 5  # the version of UUIDs that are derived from a text (RFC 9562); those of new studies are random
FORMAT = 2  # of study.yaml; a study of another format is refused, not guessed at


def _size(word: str) -> str:
    size = size_of(word)
    if size is None or not all(1 <= side <= MAX_SIDE for side in size):
        raise ValueError(f"{word!r} is not a size of images, such as 64x96")
    return word


class DataFacts(BaseModel):
    """The data of a study: enough to find it again and to detect changes. `folder` is a name in `Home.data`.

    `rows` tells which images are left if bad ones were skipped, and `skip_bad` whether that is allowed; None where an
    earlier version did not store them. `columns` are those of a table that were named.
    """

    model_config = ConfigDict(frozen=True)

    name: Printable
    source: str
    fingerprint: str
    input: Input
    classes: Annotated[tuple[Printable, ...], Field(min_length=2)]
    folder: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")  # nothing that leads out of the home
    fit: Fit = "stretch"
    train: Count
    val: Count
    test: Count
    notes: tuple[Printable, ...] = ()
    rows: str | None = None
    skip_bad: bool | None = None
    columns: Columns = Columns()

    @property
    def count(self) -> int:
        """The number of images."""
        return self.train + self.val + self.test

    def has_images_of(self, other: "DataFacts") -> bool:
        """Whether both have the same images of the same source in the same order, at whatever size.

        An earlier version did not store which images it had: then their number must do.
        """
        unknown = None in (self.rows, other.rows)
        same = self.count == other.count if unknown else self.rows == other.rows
        return self.fingerprint == other.fingerprint and same

    def is_earlier_state_of(self, other: "DataFacts") -> bool:
        """Whether these are images of the same classes under the same name or path, but not the same images."""
        same_place = self.name == other.name or self.source == other.source
        return self.classes == other.classes and same_place and not self.has_images_of(other)

    @property
    def skipped(self) -> bool:
        """Whether bad images were left out, as far as an earlier version's notes tell it."""
        return any(note.startswith("skipped: ") for note in self.notes) if self.skip_bad is None else self.skip_bad


class Terms(BaseModel):
    """What a study is before its images are read: the choices that it keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Printable
    space: Printable
    answers: dict[str, str] = {}
    engine: Printable
    algorithm: Printable
    pruner: Printable
    objectives: Annotated[tuple[str, ...], AfterValidator(checked_objectives), Field(min_length=1)] = DEFAULT
    under: str | None = None
    repeats: Count = DEFAULT_REPEATS
    trials: Annotated[Count, Field(ge=1)] | None
    minutes: Annotated[Finite, Field(gt=0)] | None = None
    seed: Count
    class_weights: bool
    precision: Precision = "float32"
    warm_start: str | None = None

    @model_validator(mode="after")
    def _limit_is_of_an_objective(self) -> Self:
        if self.under is not None:
            checked_limit(self.under, self.objectives)
        return self

    @property
    def preference(self) -> Preference:
        """Which trial will be chosen."""
        under = None if self.under is None else checked_limit(self.under, self.objectives)
        return Preference(self.objectives, under)


class StudySettings(Terms):
    """`study.yaml`: everything needed to run the study again, except the space, whose YAML file lies beside it.

    `id` is the study's identity, which tells it from others of its name, in MLflow and in a database; studies of
    earlier versions, which had none, get one that all their loops derive alike. `space_hash` tells whether that file is
    still the one that the study began with; None where an earlier version did not store it. `input_sizes` are the sizes
    at which candidates may take their images, and `first_size` is that of the portfolio; a study of an earlier version
    has none, and takes all images at the size of its data. `memory` is that of the worker with the least when the study
    began, which decides the batches for all loops; None where an earlier version did not look at it. `warm_start_id` is
    the identity of the study with whose best this one starts, None where there is none or an earlier version did not
    store it; `warm_notes` tell what that one knows of the test images. `storage` is the database of a shared study,
    without a password, and `loop` the name of this home's loop in it.
    """

    id: str = Field(pattern=IDENTITY)
    format: int = FORMAT
    created_at: Moment
    space_format: int = 1
    space_hash: str | None = None
    data: DataFacts
    input_sizes: tuple[Annotated[str, AfterValidator(_size)], ...] = ()
    memory: Memory | None = None
    first_size: Annotated[str, AfterValidator(_size)] | None = None
    epochs: Annotated[Count, Field(ge=1)]
    warm_start_id: Annotated[str, Field(pattern=IDENTITY)] | None = None
    warm_values: tuple[Values, ...] = ()
    warm_notes: tuple[Printable, ...] = ()
    versions: dict[str, str]
    storage: str | None = None
    loop: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_identity(cls, values: Any) -> Any:
        """Give a study of an earlier version the identity that all who read it derive alike."""
        if not isinstance(values, dict) or "id" in values:
            return values
        facts = values.get("data")
        fingerprint = facts.get("fingerprint") if isinstance(facts, dict) else getattr(facts, "fingerprint", None)
        text = f"{values.get('name')}\n{values.get('created_at')}\n{fingerprint}"
        return {**values, "id": uuid5(NAMESPACE, printable_lines(text)).hex}

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes at which its candidates may take their images."""
        words = self.input_sizes or (f"{self.data.input.height}x{self.data.input.width}",)
        return tuple(size for word in words if (size := size_of(word)) is not None)

    @property
    def input(self) -> str:
        """The volumes at which its candidates may take their images, for people: `32x43 to 96x128x3`."""
        smallest, *others = self.sizes
        return f"{smallest} to {self.data.input}" if others else str(self.data.input)

    @property
    def is_of_before(self) -> bool:
        """Whether an earlier version began the study, without an identity."""
        return UUID(self.id).version == DERIVED
