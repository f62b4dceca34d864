"""The options of `convsearch run`, defined in one place, parsed and checked on construction.

The command line is derived from the fields of `Options`: an instance is valid, as far as that can be checked without
the data. Heavy modules are imported only when there is something to check.
"""

import dataclasses
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ...spaces.errors import InputError, nearest
from ..values.commands import DEFAULT_HOME, HOME_VARIABLE, command
from ..values.text import answers, expanded, memory_size, numbers

if TYPE_CHECKING:
    from ...spaces.sizes import Fit
    from ..engines.choice import Method
    from ..values.columns import Columns
    from ..values.job import Precision

TYPED = "typed"  # the metadata key of a field's Typed
EXECUTORS = ("local", "ray")
AUTO = "auto"
MOST = 1_000_000  # of trials, epochs or repeats: more is a typing error
NO_LIMIT = "none"  # of --under
DEFAULT_TRIALS = 15  # if neither trials nor minutes are given


@dataclass(frozen=True)
class Typed:
    """How an option is read: its description for typer, and the parser of its value."""

    info: Any
    kind: Any = None
    parse: Callable[[Any], Any] = lambda value: value


def option(
    help: str,
    *flags: str,
    default: Any = None,
    kind: Any = None,
    parse: Callable[[Any], Any] = lambda value: value,
    **details: Any,
) -> Any:
    """Return the dataclass field of an option.

    Args:
        help: the help text.
        flags: the flags, if they are not derived from the field's name.
        default: the field's value if the option is not given.
        kind: the type that typer converts to, if it is not the field's type.
        parse: converts that to the field's value, or raises InputError.
        details: further arguments of `typer.Option`.
    """
    return field(default=default, metadata={TYPED: Typed(typer.Option(*flags, help=help, **details), kind, parse)})


def _image_size(text: str) -> tuple[int, int]:
    found = numbers(text, 2) or (2 * (numbers(text, 1) or ()) or None)
    if found is None:
        raise InputError(f"--image-size {text}: write HxW, as in 32x32, or one number for squares")
    return found[0], found[1]


def _gpus(text: str) -> tuple[int, ...]:
    found = [numbers(part, 1) for part in text.split(",")]
    if None in found:
        raise InputError(f"--gpus {text}: write GPU numbers, as in 0,2; `{command('doctor')}` lists them")
    return tuple(part[0] for part in found if part is not None)


def _workers(text: str) -> int | str:
    if text == AUTO:
        return AUTO
    found = numbers(text, 1)
    if found is None or not 1 <= found[0] <= MOST:
        raise InputError(f"--workers {text}: a whole number from 1 up, or '{AUTO}'")
    return found[0]


def _storage(text: str) -> str:
    from ..system.addresses import checked_storage

    return checked_storage(text)


def _precision(text: str) -> "Precision":
    from ..values.job import PRECISIONS

    for precision in PRECISIONS:
        if text == precision:
            return precision
    raise InputError(f"--precision {text}: {nearest(text, PRECISIONS)}")


def _fit(text: str) -> "Fit":
    from ...spaces.sizes import FITS

    for fit in FITS:
        if text == fit:
            return fit
    raise InputError(f"--fit {text}: {nearest(text, FITS)}")


def _executor(text: str) -> str:
    if text not in EXECUTORS:
        raise InputError(f"--executor {text}: {nearest(text, EXECUTORS)}")
    return text


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `convsearch run`. None means not given: the default, or the setting of the resumed study.

    Raises:
        InputError: one of them is wrong regardless of the data and the space.
    """

    data: str | None = option(
        "digits, which is built in, a folder of class folders (./digits, if that is its name), a table of labels "
        "beside the images (.csv, .tsv, .parquet or .jsonl), a .npz file, or keras:NAME. (default: digits)"
    )
    space: str | None = option("A preset's name or a YAML file. (default: classic)")
    engine: str | None = option("optuna or keras-tuner. (default: optuna)")
    algorithm: str | None = option(
        "For optuna: tpe, random, nsga2, grid or gp. For keras-tuner: hyperband, bayesian, random or grid. "
        "(default: tpe or hyperband)"
    )
    pruner: str | None = option(
        "For optuna: hyperband, median or none. (default: hyperband; none for a grid and for several objectives)"
    )
    trials: int | None = option(
        "How many trials in all. (default: 15; no limit with --minutes or where the algorithm is grid)"
    )
    minutes: float | None = option(
        "Time limit for everything, from the command to the bundle. With --resume, either limit replaces both old ones."
    )
    epochs: int | None = option("Epochs of a trial. (default: as many as suit the images and the minutes)")
    objectives: tuple[str, ...] = option(
        "What to optimise; repeat it for several: val_accuracy, parameters, macs (multiply-accumulates), latency_ms, "
        "size_kb. "
        "(default: val_accuracy alone)",
        "--objective",
        default=(),
        kind=list[str] | None,
        parse=tuple,
        metavar="MEASURE",
    )
    under: str | None = option(
        "With several objectives: the winner is the most accurate network within this limit, not the one at the knee. "
        "With --resume, none takes a limit back.",
        metavar="MEASURE=NUMBER",
    )
    repeats: int | None = option("How many of the best trials to train again with another seed. (default: 3)")
    warm_start: str | None = option("Start with the best trials of another study, fitted to this one.", metavar="STUDY")
    workers: int | str = option(
        "How many trials run at a time. auto: one per GPU, or one per two cores, as memory allows.",
        default=AUTO,
        kind=str,
        parse=_workers,
        metavar="N|auto",
    )
    workers_per_gpu: int = option("How many trials share a GPU: good for small networks.", default=1)
    memory: int | None = option(
        "Memory of each worker, as in 2GB; what does not fit is trained in smaller batches, or not proposed. "
        "(default: this machine's, divided between them)",
        kind=str | None,
        parse=memory_size,
        metavar="SIZE",
    )
    gpus: tuple[int, ...] = option(
        "Numbers of the GPUs to use, as in 0,2. (default: all)",
        default=(),
        kind=str | None,
        parse=_gpus,
        metavar="LIST",
    )
    executor: str = option(
        "Where trials run: on this machine, or on a Ray cluster.",
        default=EXECUTORS[0],
        parse=_executor,
        metavar="local|ray",
    )
    ray_address: str | None = option(
        "Address of the cluster. (default: auto: that of RAY_ADDRESS, or of `ray start` on this machine)",
        metavar="HOST:PORT",
    )
    precision: "Precision | None" = option(
        "float32, mixed_bfloat16 or mixed_float16, for training. (default: float32)", kind=str | None, parse=_precision
    )
    study: str | None = option("Name of the study. (default: data and time)")
    resume: bool = option("Continue a study.", "--resume", default=False)
    storage: str | None = option(
        "postgresql://USER@HOST/DATABASE: share the study with other loops, on this machine or others.",
        parse=_storage,
        metavar="URL",
    )
    seed: int | None = option("Seed of the split, the proposals and the training. (default: 0)")
    answers: tuple[tuple[str, str], ...] = option(
        "Set or narrow a dimension of the space; may be repeated.",
        "--set",
        default=(),
        kind=list[str] | None,
        parse=lambda given: tuple(answers(given).items()),
        metavar="DIMENSION=VALUE",
    )
    image_size: tuple[int, int] | None = option(
        "Size of all images. (default: sizes that suit them and the time)",
        kind=str | None,
        parse=_image_size,
        metavar="HxW",
    )
    fit: "Fit | None" = option(
        "How images of another shape are brought to a size: stretch, crop (their middle) or pad (grey beside them). "
        "(default: stretch)",
        kind=str | None,
        parse=_fit,
        metavar="stretch|crop|pad",
    )
    image_column: str | None = option(
        "In a table: the column of the images' paths, relative to the table or to a folder beside it. (default: the "
        "one whose values are images that are there)",
        metavar="NAME",
    )
    label_column: str | None = option(
        "In a table: the column of the labels. (default: found by its name, as label, class or breed are)",
        metavar="NAME",
    )
    split_column: str | None = option(
        "In a table: the column that says train, val or test; none for none. (default: found by its name, as split is)",
        metavar="NAME",
    )
    group_column: str | None = option(
        "In a table: the column of what images belong together, such as a patient; a split never divides a group. none "
        "for none. (default: found by its name, as group or patient_id are)",
        metavar="NAME",
    )
    class_weights: bool = option("Make every class count the same in training.", "--class-weights", default=False)
    skip_bad: bool = option("Continue without unreadable images.", "--skip-bad", default=False)
    home: Path = option(
        "Folder of all studies.", default=DEFAULT_HOME, envvar=HOME_VARIABLE, kind=str, parse=expanded, metavar="PATH"
    )
    began: float = field(default_factory=time.monotonic)  # not an option: when the command started

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("epochs", 1), ("repeats", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value <= MOST:
                raise InputError(f"--{name} {value}: a whole number from {least} to {MOST:,}")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise InputError(f"--minutes {self.minutes:g}: a number of minutes above 0")
        if self.seed is not None and not 0 <= self.seed < 2**31:
            raise InputError(f"--seed {self.seed}: a whole number from 0 to {2**31 - 1}")
        if not 1 <= self.workers_per_gpu <= MOST:
            raise InputError(f"--workers-per-gpu {self.workers_per_gpu}: at least 1")
        self._check_executor()
        self._check_storage()
        if self.resume:
            self._check_resume()

    def _check_executor(self) -> None:
        if self.executor != "ray":
            if self.ray_address is not None:
                from ..system.addresses import masked

                raise InputError(f"--ray-address {masked(self.ray_address)}: requires --executor ray")
        elif self.gpus:
            raise InputError("--gpus: only with --executor local; on a cluster Ray assigns the GPUs")
        elif find_spec("ray") is None:
            raise InputError("--executor ray: Ray is not installed: pip install 'convsearch[ray]'")

    def _check_storage(self) -> None:
        if self.storage is None:
            return
        if self.study is None:
            raise InputError("--storage requires --study NAME: the name of the study in all loops")
        if self.engine == "keras-tuner":
            raise InputError(
                "--storage: KerasTuner keeps its state in the files of one loop; --engine optuna supports several"
            )

    def _check_resume(self) -> None:
        if self.study is None:
            raise InputError("--resume requires --study NAME: which study should continue?")
        for name, given in (("warm-start", self.warm_start is not None), ("class-weights", self.class_weights)):
            if given:
                raise InputError(f"--{name} is only for new studies, not for --resume: a study keeps its settings")

    @cached_property
    def columns(self) -> "Columns":
        """The columns of a table that are named."""
        from ..values.columns import Columns

        return Columns(
            image=self.image_column, label=self.label_column, split=self.split_column, group=self.group_column
        )

    @cached_property
    def all_objectives(self) -> tuple[str, ...]:
        """The objectives of a new study, accuracy first."""
        from ..study.objectives import checked_objectives

        return checked_objectives(self.objectives)

    @cached_property
    def method(self) -> "Method":
        """Engine, algorithm and pruner of a new study, with defaults for those not given."""
        from ..engines.choice import choose

        return choose(self.engine, self.algorithm, self.pruner, len(self.all_objectives))

    @property
    def limit(self) -> str | None:
        """What `--under` limits; None if it is not given, or takes a limit back."""
        return None if self.under == NO_LIMIT else self.under

    @property
    def trial_limit(self) -> int | None:
        """How many trials a new study has in all; None if something else ends it."""
        if self.trials is not None or self.minutes is not None or self.method.algorithm == "grid":
            return self.trials
        return DEFAULT_TRIALS


def command_of(use: Callable[[Options], None]) -> Callable[..., None]:
    """Return a function for typer with a parameter for each option; it calls `use` with the parsed options."""
    kinds = get_type_hints(Options, localns={"Precision": str, "Fit": str})
    typed = {one.name: (one, one.metadata[TYPED]) for one in dataclasses.fields(Options) if TYPED in one.metadata}

    def run(**given: Any) -> None:
        began = time.monotonic()
        values = {name: typed[name][1].parse(value) for name, value in given.items() if value is not None}
        use(Options(**values, began=began))

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default or None if how.kind else one.default,  # typer shows only defaults given as text
            annotation=Annotated[how.kind or kinds[name], how.info],
        )
        for name, (one, how) in typed.items()
    ]
    run.__doc__ = use.__doc__
    run.__annotations__ = {}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
