"""`study.yaml`: the settings that a study was started with."""

from pydantic import BaseModel, ConfigDict

from ...spaces.arithmetic import Volume
from ...spaces.space import Values
from ..values.job import Precision
from ..values.printable import Printable
from .objectives import DEFAULT, Preference, checked_limit
from .repeats import DEFAULT_REPEATS

FORMAT = 2  # of study.yaml; a study of another format is refused, not guessed at


class DataFacts(BaseModel):
    """The data of a study: enough to find it again and to detect changes. `folder` is a name in `Home.data`."""

    model_config = ConfigDict(frozen=True)

    name: Printable
    source: str
    fingerprint: str
    input: Volume
    classes: tuple[Printable, ...]
    folder: str
    image_size: tuple[int, int] | None
    train: int
    val: int
    test: int
    notes: tuple[Printable, ...] = ()


class Terms(BaseModel):
    """What a study is before its images are read: the choices that it keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    space: Printable
    answers: dict[str, str] = {}
    engine: str
    algorithm: str
    pruner: str
    objectives: tuple[str, ...] = DEFAULT
    under: str | None = None
    repeats: int = DEFAULT_REPEATS
    trials: int | None
    minutes: float | None = None
    seed: int
    class_weights: bool
    precision: Precision = "float32"
    warm_start: str | None = None

    @property
    def preference(self) -> Preference:
        """Which trial will be chosen."""
        under = None if self.under is None else checked_limit(self.under, self.objectives)
        return Preference(self.objectives, under)


class StudySettings(Terms):
    """`study.yaml`: everything needed to run the study again, except the space, whose YAML file lies beside it.

    `storage` is the database of a shared study, without a password, and `loop` the name of this home's loop in it.
    """

    format: int = FORMAT
    created_at: str
    space_format: int = 1
    data: DataFacts
    epochs: int
    warm_values: tuple[Values, ...] = ()
    versions: dict[str, str]
    storage: str | None = None
    loop: str | None = None
