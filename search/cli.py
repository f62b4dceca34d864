"""The command: imports nothing heavy until a verb needs it, and turns the user's mistakes into one message each."""

import gc
import json
import os
import re
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from ..spaces.errors import InputError, WorkError

if TYPE_CHECKING:
    from .home import Home, StudyFolder

app = typer.Typer(
    name="convsearch",
    help="Searches the shape of a convolutional network for your images and hands you the best one as a model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

HomeOption = Annotated[Path, typer.Option(help="Folder of all studies.", envvar="CONVSEARCH_HOME")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study in the home.")]
HOME = Path("studies")


@app.command()
def run(
    data: Annotated[
        str | None,
        typer.Option(help="digits, a folder of class folders, a .npz file, or keras:NAME. [default: digits]"),
    ] = None,
    space: Annotated[str | None, typer.Option(help="A preset's name or a YAML file. [default: classic]")] = None,
    engine: Annotated[str | None, typer.Option(help="optuna or keras-tuner. [default: optuna]")] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            help="Of optuna: tpe, random, nsga2, grid, gp. Of keras-tuner: hyperband, bayesian, random, grid. "
            "[default: the first]"
        ),
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(
            help="Of optuna: hyperband, median or none. [default: hyperband; for a grid and several objectives none]"
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="How many trials in all. [default: 15; without limit by the minutes and for a grid]"),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for everything, from the command to the bundle.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of a trial. [default: as many as suit images and minutes]")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MEASURE",
            help="val_accuracy, and what else counts: parameters, macs, latency_ms, size_kb; once for each. "
            "[default: val_accuracy alone]",
        ),
    ] = None,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="MEASURE=NUMBER",
            help="With several objectives: name the most accurate network up to this, not the one at the knee.",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            help="So many of the best are trained again with another seed, where there are two or more. [default: 3]"
        ),
    ] = None,
    warm_start: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Begin with the best of another study, fitted to this one.")
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="So many trials at a time. auto: one for each GPU, or else for two cores, as far as the memory goes.",
        ),
    ] = "auto",
    workers_per_gpu: Annotated[int, typer.Option(help="So many trials share a GPU: good for small networks.")] = 1,
    gpus: Annotated[
        str | None, typer.Option(metavar="LIST", help="Numbers of the GPUs to use, as 0,2. [default: all]")
    ] = None,
    executor: Annotated[
        str, typer.Option(metavar="local|ray", help="Where trials run: on this machine, or on a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Of the cluster. [default: auto: that of RAY_ADDRESS, or of `ray start` on this machine]",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32, mixed_bfloat16 or mixed_float16, for training. [default: float32]"),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study. [default: data and time]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study where it was.")] = False,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="postgresql://USER@HOST/DATABASE: share the study with other loops, on this machine or others.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of split, proposals and training. [default: 0]")] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="DIMENSION=VALUE",
            help="Answer or narrow a dimension of the space; may be repeated.",
        ),
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Size of all images. [default: the commonest]")
    ] = None,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Make every class count the same in training.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without the images that cannot be used.")] = False,
    home: HomeOption = HOME,
) -> None:
    """Search, train the winner, test it once and export it.

    Without options: the 1,797 handwritten digits that scikit-learn ships, 15 trials, about two minutes.
    """
    began = time.monotonic()
    from .launch import launch
    from .options import Options

    options = Options(
        home=home,
        began=began,
        data=data,
        space=space,
        engine=engine,
        algorithm=algorithm,
        pruner=pruner,
        trials=trials,
        minutes=minutes,
        epochs=epochs,
        repeats=repeats,
        warm_start=warm_start,
        objectives=tuple(objective or ()),
        under=under,
        workers=workers,
        workers_per_gpu=workers_per_gpu,
        gpus=_gpus(gpus),
        executor=executor,
        ray_address=ray_address,
        precision=precision,
        storage=storage,
        study=study,
        resume=resume,
        seed=seed,
        answers=_answers(answer or []),
        image_size=_size(image_size) if image_size else None,
        class_weights=class_weights,
        skip_bad=skip_bad,
    )
    try:
        folder = launch(options, _console(stderr=True))
    except KeyboardInterrupt:
        raise WorkError(
            "stopped at once; what was finished is kept, and `convsearch run --study NAME --resume` goes on"
        ) from None
    from .home import Home
    from .report import next_commands, show

    console = _console()
    console.print(show(folder))
    console.print("\nnext:")
    for command in next_commands(Home(home), folder):
        console.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def studies(home: HomeOption = HOME) -> None:
    """List all studies."""
    from .home import Home
    from .report import study_table

    found = Home(home)
    if not found.studies():
        _console().print(f"no study in {home} yet: `convsearch run` makes one", highlight=False)
        return
    _console().print(study_table(found))


@app.command()
def show(study: StudyArgument, as_json: JsonOption = False, home: HomeOption = HOME) -> None:
    """Show a study: its best trials, what they have in common, its test."""
    from . import report

    folder = _home(home).existing(study)
    if as_json:
        print(json.dumps(report.as_json(folder)))
    else:
        _console().print(report.show(folder))


@app.command()
def compare(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY", help="Names of studies.")],
    as_json: JsonOption = False,
    home: HomeOption = HOME,
) -> None:
    """Set studies side by side: accuracy by time, trials, the best networks and what they cost."""
    from . import compare

    folders = [_home(home).existing(name) for name in studies]
    if as_json:
        print(json.dumps(compare.as_json(folders)))
    else:
        _console().print(compare.comparison(folders))


@app.command()
def check(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="A preset's name or a YAML file.")],
    input: Annotated[str, typer.Option(metavar="HxWxD", help="Volume of one image, as 32x32x3.")],
    classes: Annotated[int, typer.Option(help="Number of classes.", min=2)] = 10,
    answer: Annotated[
        list[str] | None, typer.Option("--set", metavar="DIMENSION=VALUE", help="Answer a dimension.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a space is sound, how large it is, and what its candidates cost."""
    from ..spaces.definition import answered, load
    from ..spaces.space import SearchSpace
    from .explain import check, checked

    definition = answered(load(space), _answers(answer or []))
    found = checked(SearchSpace(definition, _volume(input), classes))
    if as_json:
        print(json.dumps({key: value for key, value in found.items() if not key.startswith("_")}))
    else:
        console = _console()
        console.print(check(found, console.width))


@app.command()
def explain(
    what: Annotated[
        str,
        typer.Argument(metavar="FILE|STUDY[:TRIAL]", help="architecture.json, or a study's best or Nth trial."),
    ],
    as_json: JsonOption = False,
    home: HomeOption = HOME,
) -> None:
    """Show a network layer by layer, with the arithmetic filled in."""
    from ..spaces.draw import draw_text
    from .explain import explain, explained

    if what.endswith(".json") or Path(what).is_file():
        architecture = _architecture_file(Path(what))
    else:
        _, trial = _trial(home, what)
        architecture = trial.candidate.architecture
    if as_json:
        print(json.dumps(explained(architecture)))
        return
    console = _console()
    console.print(draw_text(architecture, console.width), highlight=False, markup=False)
    console.print(explain(architecture))


@app.command()
def export(
    what: Annotated[str, typer.Argument(metavar="STUDY[:TRIAL]", help="The study's winner, or one of its trials.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the bundle.")],
    under: Annotated[
        str | None,
        typer.Option(
            metavar="MEASURE=NUMBER", help="Of a search with several objectives: the most accurate network up to this."
        ),
    ] = None,
    home: HomeOption = HOME,
) -> None:
    """Write the winner of a study, or another of its best trials, as a bundle that works without Convsearch."""
    from .export.command import export_bundle, trial_under

    folder, trial = _trial(home, what)
    if under is not None:
        if ":" in what:
            raise InputError(f"--under {under}: '{what}' names a trial already; leave one of the two out")
        trial = trial_under(folder, under)
    difference = export_bundle(folder, trial if ":" in what or under is not None else None, to)
    _console().print(
        f"{to}: checked in a fresh process, largest difference {difference:.1g}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    as_json: JsonOption = False,
) -> None:
    """Name the class of images."""
    from .predict import predict, prediction_table

    found = predict(bundle, images)
    if as_json:
        print(json.dumps(found))
    else:
        _console().print(prediction_table(found))


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)] = 8501,
    host: Annotated[str, typer.Option(help="Address to serve on; any other lets others in.")] = "127.0.0.1",
    home: HomeOption = HOME,
) -> None:
    """Open the dashboard, on this machine alone (127.0.0.1) unless --host says otherwise."""
    from ..dashboard import ADDRESS, serve

    if host != ADDRESS:
        _console(stderr=True).print(
            f"  warning: whoever reaches {host}:{port} can read all studies of {home}; there is no password",
            highlight=False,
            soft_wrap=True,
        )
    serve(_home(home).path.resolve(), port, host)


@app.command()
def doctor(as_json: JsonOption = False, home: HomeOption = HOME) -> None:
    """Say what this machine has, and try a tiny network on each device."""
    try:
        from .doctor import diagnosis, report
    except ImportError as error:
        raise WorkError(f"{error.name or error} is not installed: pip install convsearch") from error

    if not as_json:
        _console(stderr=True).print("looking, and training a tiny network on each device ...", highlight=False)
    found = diagnosis.diagnose(_home(home))
    if as_json:
        print(json.dumps(report.as_json(found)))
    else:
        _console().print(report.report(found), highlight=False, soft_wrap=True)
    if found.faults:
        raise typer.Exit(1)


# ---------------------------------------------------------------------- what the verbs share


@cache
def _stderr() -> TextIO:
    """Return standard error on a descriptor of its own: while Keras is imported, the other one is held back."""
    return os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8")


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    file = _stderr() if stderr else None
    console = Console(file=file)
    # Where there is no terminal, tables are for files and pipes: do not fold them to 80 columns.
    return console if console.is_terminal else Console(file=file, width=160)


def _home(path: Path) -> "Home":
    from .home import Home

    return Home(path)


def _trial(home: Path, what: str) -> "tuple[StudyFolder, Any]":
    """Return the study and the trial that `STUDY[:TRIAL]` names; without a number, the best one."""
    name, colon, number = what.partition(":")
    folder = _home(home).existing(name)
    record = folder.record()
    if not colon:
        named = folder.named(record)
        if named is None:
            raise InputError(f"the study '{name}' has no finished trial yet")
        return folder, named
    if not number.isdigit() or int(number) not in record.trials:
        last = max(record.trials, default=None)
        known = "it has no trials" if last is None else f"its trials are 0 to {last}"
        raise InputError(f"'{what}': the study '{name}' has no trial '{number}'; {known}")
    return folder, record.trials[int(number)]


def _architecture_file(path: Path) -> Any:
    from pydantic import ValidationError

    from ..spaces.architecture import Architecture, Candidate

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: this is no JSON: {error}") from error
    try:
        if isinstance(data, dict) and "architecture" in data:
            return Candidate.model_validate(data).architecture
        found = Architecture.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict) else f", not {first['input']!r:.80}"
        raise InputError(f"{path}: {key or 'the file'}: {message}{value}") from error
    return found


def _answers(given: list[str]) -> dict[str, str]:
    answers = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set {text}: write NAME=VALUE, as in --set learning_rate=0.001")
        answers[name.strip()] = value.strip()
    return answers


def _numbers(text: str, count: int) -> tuple[int, ...] | None:
    parts = re.split(r"[x×]", text.strip().lower())
    return tuple(map(int, parts)) if len(parts) == count and all(p.isdecimal() for p in parts) else None


def _size(text: str) -> tuple[int, int]:
    found = _numbers(text, 2) or (2 * (_numbers(text, 1) or ()) or None)
    if found is None:
        raise InputError(f"--image-size {text}: write HxW, as in 32x32, or one number for squares")
    return found[0], found[1]


def _gpus(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--gpus {text}: write their numbers, as in 0,2; `convsearch doctor` lists them")
    return tuple(map(int, parts))


def _volume(text: str) -> Any:
    from ..spaces.arithmetic import Volume

    found = _numbers(text, 3)
    if found is None or min(found) < 1 or max(found[:2]) > 4096 or found[2] > 64:
        raise InputError(f"--input {text}: write HEIGHTxWIDTHxDEPTH, as in 32x32x3")
    return Volume(*found)


def _fail(message: str, code: int) -> NoReturn:
    _stderr().write(f"convsearch: {message}\n")
    sys.exit(code)


def main() -> None:
    """Run the command; 0 done, 1 the work failed, 2 the input was wrong."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except WorkError as error:
        _fail(str(error), 1)
    except OSError as error:
        # A full disk, a folder that was taken away: the user's machine, not a bug.
        _fail(f"{error.filename or 'the disk'}: {error.strerror or error}", 1)
    finally:
        gc.freeze()  # or the interpreter looks at all of TensorFlow's objects once more before it ends: two seconds


if __name__ == "__main__":
    main()
