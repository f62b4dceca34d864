"""Files from outside, damaged at random: whatever reads them answers, or says in an InputError what is wrong.

FUZZ_MINUTES (60) says for how long, FUZZ_SEED which damage comes first. It ends with the shortest damage that made
something else come out, if there is one: another exception, or an answer that takes longer than SLOW seconds.
"""

import csv
import io
import json
import os
import resource
import signal
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from convsearch.dashboard.reading.bundle import BundleError, folder_of, winner
from convsearch.dashboard.reading.folders import study_folder
from convsearch.search.command.check import check
from convsearch.search.command.explain import explain
from convsearch.search.command.show import compare, show, studies
from convsearch.search.command.terminal import console
from convsearch.search.data.splits import split
from convsearch.search.delivery.program import DELIVERED, noted_delivery
from convsearch.search.engines.choice import ALGORITHMS, open_engine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.engines.protocol import Engine
from convsearch.search.export.labels import read_labels
from convsearch.search.launch.contract import resumed_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.launch.wiring import engine_for
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.recovery import settle
from convsearch.search.loop.time_used import time_used
from convsearch.search.sources.open import open_data
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.objectives import DEFAULT
from convsearch.search.study.record import FILE as RECORD
from convsearch.search.study.record import Record
from convsearch.search.study.repeats import Repeat
from convsearch.search.study.runs import Runs
from convsearch.search.study.trial import Trial
from convsearch.search.system.backend import import_keras
from convsearch.search.training.checkpoint import DamagedError, load_checkpoint, save_checkpoint, saved_epochs
from convsearch.search.values.answers import answered
from convsearch.search.values.columns import Columns
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import dimensions, load, parse, presets
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace

from .mutations import EDITS, VALUES, Edit, as_json, as_yaml, edited_arrays, edited_bytes, edited_tree

ARCHIVE = Path(__file__).parents[1] / "tests" / "studies" / "format-2.tar.xz"
STUDY = "old"
SLOW = 60  # seconds for one reader of one file: it takes milliseconds if nothing is wrong
ROUND = 200  # cases of a target at a time
STATE = "oracle.json"  # KerasTuner's, beside a file for each trial
GRID = "layers: [1, 2]\neach_layer: {filters: [4, 8], kernel_size: [3, 5]}\n"
PARTS = ("train", "train", "train", "train", "val", "test")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")

Damage = Callable[[bytes, list[Edit]], bytes]


def measure() -> list[tuple[str, str, str]]:
    """Fuzz for the given minutes and return how many cases there were; the first find ends the program."""
    minutes, first = float(os.environ.get("FUZZ_MINUTES", "60")), int(os.environ.get("FUZZ_SEED", "0"))
    until, rounds, cases = time.monotonic() + 60 * minutes, 0, 0
    while time.monotonic() < until:
        for name, target in TARGETS.items():
            cases += fuzz(name, target, ROUND, first + rounds)
        rounds += 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return [
        (f"files damaged at random and read ({', '.join(TARGETS)})", f"{cases:,} in {minutes:g} minutes", ""),
        ("anything but an answer or an InputError", "none", "none"),
        ("memory at most", f"{memory:.1f} GB", ""),
    ]


def fuzz(name: str, target: "Target", count: int, start: int) -> int:
    """Damage the files of one target `count` times, and return how many cases there were.

    Raises:
        Exception: what came out of the shortest damage found; its notes tell the damage.
    """
    done = 0

    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.data())
    def cases(data: st.DataObject) -> None:
        nonlocal done
        done += 1
        case(data)

    with target() as case:
        cases()
    return done


Case = Callable[[st.DataObject], None]
Target = Callable[[], Any]


@contextmanager
def in_time() -> Iterator[None]:
    """Raise a TimeoutError where the block takes too long."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"longer than {SLOW} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SLOW)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def answers(read: Callable[[], object]) -> None:
    """Read something: an InputError is as good as an answer."""
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    with in_time(), redirect_stdout(printed), warnings.catch_warnings(), suppress(InputError):
        warnings.simplefilter("error", RuntimeWarning)  # which users would see between the answers
        read()


def damaged(data: st.DataObject, content: bytes, kind: str) -> bytes:
    """Return a file's bytes damaged as its kind can be: in its structure, or byte by byte."""
    edits = data.draw(EDITS)
    how = data.draw(st.sampled_from(("structure", "structure", "structure", "bytes")))
    if how == "structure":
        return STRUCTURES.get(kind, edited_bytes)(content, edits)
    return edited_bytes(content, edits)


def _json(content: bytes, edits: list[Edit]) -> bytes:
    return as_json(edited_tree(json.loads(content), edits))


def _jsonl(content: bytes, edits: list[Edit]) -> bytes:
    rows = edited_tree([json.loads(line) for line in content.splitlines()], edits)
    return b"".join(as_json(row) + b"\n" for row in rows) if isinstance(rows, list) else as_json(rows)


def _yaml(content: bytes, edits: list[Edit]) -> bytes:
    return as_yaml(edited_tree(yaml.safe_load(content), edits))


STRUCTURES: dict[str, Damage] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".yaml": _yaml,
    ".npz": edited_arrays,
}


@contextmanager
def spaces() -> Iterator[Case]:
    """The YAML file of a space, checked; and answers to its dimensions."""
    ready = [path.read_bytes() for path in presets().values()]
    ready += [b"input_size: [8, 12, 12x16]\n" + text for text in ready]
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "space.yaml"

        def case(data: st.DataObject) -> None:
            file.write_bytes(damaged(data, ready[data.draw(st.integers(0, len(ready) - 1))], ".yaml"))
            answers(lambda: check(str(file), "16x16x3"))

        yield case


@contextmanager
def given_values() -> Iterator[Case]:
    """Values of dimensions as `--set` takes them."""
    definition = load("classic")
    names = [*(name for name, _ in dimensions(definition)), "layer.filters", "layer.padding", "head.units", "all"]

    def case(data: st.DataObject) -> None:
        name, value = data.draw(st.sampled_from(names)), data.draw(VALUES)
        answers(lambda: answered(definition, {name: value}))

    yield case


@contextmanager
def architectures() -> Iterator[Case]:
    """The file of an architecture, or of a whole candidate, explained."""
    with kept_study() as folder, tempfile.TemporaryDirectory() as place:
        record = folder.record()
        ready = [trial.candidate.model_dump(mode="json") for trial in record.trials.values()]
        ready += [candidate["architecture"] for candidate in ready]
        file = Path(place) / "architecture.json"

        def case(data: st.DataObject) -> None:
            file.write_bytes(damaged(data, as_json(ready[data.draw(st.integers(0, len(ready) - 1))]), ".json"))
            answers(lambda: explain(str(file)))
            answers(lambda: explain(str(file), True))

        yield case


@contextmanager
def arrays() -> Iterator[Case]:
    """Images and labels in an `.npz` file, decoded."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 6, 6, 3), dtype=np.uint8)
    labels = np.arange(12) % 3
    ready = [
        packed(x=images, y=labels),
        packed(images=images[..., 0] / 255, labels=labels[:, np.newaxis].astype(np.uint8)),
        packed(x_train=images, y_train=np.eye(3)[labels], x_test=images[:3], y_test=labels[:3]),
        packed(x=np.asfortranarray(images.astype("<u2")), y=labels.astype(str)),
        packed(images=images[..., 0] > 99, labels=np.array([b"cat", b"dog", b"ox"])[labels]),
        packed(
            x_train=images, y_train=np.eye(3, dtype=bool)[labels], x_test=images, y_test=np.eye(3, dtype="u1")[labels]
        ),
        packed(x=images, y=np.array([-1, 2**40, 7])[labels]),
    ]
    with tempfile.TemporaryDirectory() as place:
        file, cache = Path(place) / "images.npz", Path(place) / "data"

        def case(data: st.DataObject) -> None:
            file.write_bytes(damaged(data, ready[data.draw(st.integers(0, len(ready) - 1))], ".npz"))
            skip_bad = data.draw(st.booleans())
            answers(lambda: split(open_data(str(file), cache, skip_bad=skip_bad), 0))
            emptied(cache)

        yield case


@contextmanager
def tables() -> Iterator[Case]:
    """A table of labels beside its images, read with and without its columns named, and decoded."""
    rows = [
        {"image": f"{number}.png", "label": "cat" if number % 2 else "dog", "split": PARTS[number % 6], "group": number}
        for number in range(12)
    ]
    frame = pd.DataFrame(rows)
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    ready = {
        ".csv": frame.to_csv(index=False).encode(),
        ".tsv": frame.to_csv(sep="\t", lineterminator="\r\n", quoting=csv.QUOTE_ALL, index=False).encode("utf-16"),
        ".jsonl": frame.to_json(orient="records", lines=True).encode(),
        ".parquet": parquet.getvalue(),
    }
    with tempfile.TemporaryDirectory() as place:
        root, cache = Path(place) / "images", Path(place) / "data"
        root.mkdir()
        for number in range(12):
            (root / f"{number}.png").write_bytes(saved(Image.new("L", (4, 4), 20 * number), "PNG"))

        def case(data: st.DataObject) -> None:
            ending = data.draw(st.sampled_from(sorted(ready)))
            file = Path(place) / f"labels{ending}"
            file.write_bytes(damaged(data, ready[ending], ending))
            skip_bad = data.draw(st.booleans())
            said = data.draw(st.sampled_from((Columns(), Columns(image="image", label="label", group="group"))))
            answers(lambda: split(open_data(str(file), cache, columns=said, skip_bad=skip_bad), 0))
            emptied(cache)

        yield case


@contextmanager
def images() -> Iterator[Case]:
    """Image files of all kinds in class folders, decoded."""
    random = np.random.default_rng(0)
    ready = [
        (kind, saved(Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)), kind))
        for kind in FORMATS
        for shape in ((7, 5), (7, 5, 3))
    ]
    # Large enough that most of the image may be there where the end is not.
    large = Image.fromarray(random.integers(0, 256, (70, 50, 3), dtype=np.uint8))
    ready += [("PNG", saved(large, "PNG")), ("JPEG", saved(large, "JPEG")), ("JPEG", saved(large, "JPEG", True))]
    with tempfile.TemporaryDirectory() as place:
        root, cache = Path(place) / "images", Path(place) / "data"
        for name in ("a", "b"):
            (root / name).mkdir(parents=True)
            for number in range(3):
                (root / name / f"{number}.png").write_bytes(ready[1][1])
        file = root / "a" / "damaged.png"

        def case(data: st.DataObject) -> None:
            file.write_bytes(edited_bytes(ready[data.draw(st.integers(0, len(ready) - 1))][1], data.draw(EDITS)))
            skip_bad = data.draw(st.booleans())
            answers(lambda: open_data(str(root), cache, skip_bad=skip_bad))
            emptied(cache)

        yield case


@contextmanager
def labels() -> Iterator[Case]:
    """The labels of a bundle."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "labels.txt"

        def case(data: st.DataObject) -> None:
            file.write_bytes(damaged(data, "ant\nbee\nBär\n".encode(), ".txt"))
            answers(lambda: read_labels(file, 3))

        yield case


@contextmanager
def checkpoints() -> Iterator[Case]:
    """The checkpoint of a trial, from which its network is restored."""
    import_keras()
    from convsearch.search.training.model import trainable

    with kept_study() as folder:
        model, network = trainable(folder.record().trials[0].candidate, 100, None)
        file = folder.checkpoint(0)
        save_checkpoint(model, network, file, 2)
        ready = file.read_bytes()

        def restore() -> None:
            with suppress(DamagedError):
                load_checkpoint(model, network, file, 100)

        def case(data: st.DataObject) -> None:
            file.write_bytes(damaged(data, ready, ".npz"))
            answers(lambda: saved_epochs(file))
            answers(restore)

        yield case


@contextmanager
def storages() -> Iterator[Case]:
    """KerasTuner's folder of each of its algorithms, opened by `run --resume`, which goes on to the next trials."""
    with kept_study() as folder:
        homes = [folder.path / algorithm for algorithm in ALGORITHMS["keras-tuner"]]
        for place in homes:
            place.mkdir()
            with closing(storage(place)) as engine:
                for number in range(12):
                    go_on(Record(place), engine, 0.1 + number / 100, leave=number == 11)
        before = {path: path.read_bytes() for place in homes for path in sorted(place.rglob("*.json*"))}

        def resume(place: Path) -> None:
            with closing(storage(place)) as engine:
                settle(Record(place), engine, DEFAULT)
                for number in range(3):
                    engine.resumable()
                    go_on(Record(place), engine, 0.2 + number / 100)

        def case(data: st.DataObject) -> None:
            place = data.draw(st.sampled_from(homes))
            for path in place.rglob("*.json*"):
                path.unlink()
            mine = {path: content for path, content in before.items() if path.is_relative_to(place)}
            for path, content in mine.items():
                path.write_bytes(content)
            files = [path for path in mine if path.name != RECORD]
            state = [path for path in files if path.name == STATE]
            for path in data.draw(st.lists(st.sampled_from(files + state * len(files)), min_size=1, max_size=2)):
                path.write_bytes(damaged(data, mine[path], path.suffix))
            answers(lambda: resume(place))

        yield case


def storage(place: Path) -> Engine:
    """Open the storage of the algorithm after which a folder is named."""
    grid = place.name == "grid"
    space = SearchSpace(parse(GRID, "grid.yaml") if grid else load("tiny"), Volume(8, 8, 1), 10)
    tried = [trial.hash for trial in Record(place).trials.values() if trial.state not in ("interrupted", "running")]
    proposals = Proposals(space, 0, tried, exhaustive=grid)
    return open_engine(place, "keras-tuner", place.name, "none", 9, 0, proposals)


def go_on(record: Record, engine: Engine, value: float, *, leave: bool = False) -> None:
    """Ask for a trial and tell its end, unless it is to be left running; both in the record first."""
    if (proposal := engine.ask()) is None:
        return
    trial = record.trials.get(proposal.number) or Trial.begin(proposal)
    record.add(trial)
    if not leave:
        epochs = proposal.epochs or 9
        engine.report(proposal.number, epochs, value)
        reached = {"epochs": epochs, "value": value, "val_accuracy": (value,) * epochs}
        record.add(trial.model_copy(update={"state": "complete" if epochs == 9 else "pruned"} | reached))
        engine.tell(proposal.number, "complete", value)


@contextmanager
def study() -> Iterator[Case]:
    """The files of a study, read by every verb that reads them, by `run --resume`, and by the dashboard."""
    with kept_study() as folder:
        home = folder.path.parent
        np.savez(folder.checkpoint(0), epochs=np.asarray(2), weight0=np.ones(5))
        places = (*folder.path.iterdir(), *folder.path.glob("weights/*"), *home.glob("data/*/*"))
        files = [path for path in places if path.suffix in READ]
        before = {path: path.read_bytes() for path in sorted(files)}

        def case(data: st.DataObject) -> None:
            for path, content in before.items():  # what the case before has changed
                if not path.exists() or path.read_bytes() != content:
                    replaced(path, content)
            for path in data.draw(st.lists(st.sampled_from(list(before)), min_size=1, max_size=2, unique=True)):
                replaced(path, damaged(data, before[path], path.suffix))
            for read in readers(home):
                answers(read)

        yield case


READ = {".yaml", ".json", ".jsonl", ".npz", ".npy", ".txt"}


def readers(home: Path) -> list[Callable[[], object]]:
    """Return everything that reads a study's files and needs neither Keras nor another process."""
    folder = Home(home).study(STUDY)
    return [
        lambda: studies(home),
        lambda: show(STUDY, False, home),
        lambda: show(STUDY, True, home),
        lambda: compare([STUDY], False, home),
        lambda: compare([STUDY], True, home),
        lambda: explain(STUDY, True, home),
        lambda: explain(f"{STUDY}:0", False, home),
        lambda: resumed(home),
        lambda: time_used(folder.path),
        lambda: winner(folder),
        lambda: noted_delivery(folder.path / DELIVERED),
        lambda: Runs(folder.path).all,
        lambda: folder.tests(),
        lambda: folder.note_test(0),
        lambda: saved_epochs(folder.checkpoint(0)),
        lambda: to_export(folder),
        lambda: study_folder(home, STUDY, "0" * 32),
    ]


def to_export(folder: StudyFolder) -> None:
    """Look for the study of a run as the dashboard does before it makes a bundle."""
    with suppress(BundleError):
        folder_of(folder.path.parent, STUDY, folder.read().id, 0, "0" * 32)


def resumed(home: Path) -> None:
    """Do what `run --resume` does before it trains."""
    options = Options(study=STUDY, resume=True, home=home)
    folder = Home(home).existing(STUDY)
    budget = Budget(None, None)
    with ExitStack() as held:
        prepared = prepare(Home(home), resumed_contract(folder, options), budget, console(stderr=True), held)
        assert prepared is not None, "only a shared study can be joined"
        with closing(engine_for(prepared, budget)) as engine:
            settle(prepared.record, engine, prepared.study.objectives)


@contextmanager
def kept_study() -> Iterator[StudyFolder]:
    """Unpack the study that is kept for the tests, with everything that a study may have."""
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(place, filter="data")
        folder = Home(Path(place)).study(STUDY)
        study = folder.read()  # with its identity
        size = str(study.sizes[0])
        folder.write(study.model_copy(update={"input_sizes": (size,), "first_size": size}))
        for number in (0, 0, 1):
            folder.repeats().add(Repeat(number=number, seed=7, value=0.5, epochs=2, seconds=1.0))
        yield folder


def packed(**arrays: Any) -> bytes:
    """Return arrays as an `.npz` file."""
    with closing(io.BytesIO()) as file:
        np.savez(file, **arrays)
        return file.getvalue()


def saved(image: Image.Image, kind: str, progressive: bool = False) -> bytes:
    """Return an image as a file of some format."""
    with closing(io.BytesIO()) as file:
        image.save(file, kind, progressive=progressive)
        return file.getvalue()


def replaced(path: Path, content: bytes) -> None:
    """Write a file anew: the old one may be mapped."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def emptied(cache: Path) -> None:
    """Remove what was decoded."""
    for folder in cache.glob("*"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


TARGETS: dict[str, Target] = {
    "spaces": spaces,
    "given values": given_values,
    "architectures": architectures,
    "arrays": arrays,
    "tables": tables,
    "images": images,
    "labels": labels,
    "checkpoints": checkpoints,
    "KerasTuner's storages": storages,
    "study": study,
}
