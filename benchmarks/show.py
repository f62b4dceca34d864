"""How long `convsearch show --json` takes for a study of 2,000 trials."""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.record import Record
from convsearch.search.study.settings import DataFacts, StudySettings
from convsearch.search.study.trial import Trial
from convsearch.search.values.job import Outcome, Seconds
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.space import SearchSpace

TRIALS, EPOCHS, ROUNDS = 2000, 12, 5


def measure() -> list[tuple[str, str, str]]:
    """Return the median of some runs on a generated study."""
    command = [str(Path(sys.executable).with_name("convsearch")), "show", "large", "--json", "--home"]
    with tempfile.TemporaryDirectory() as home:
        _write(Path(home))
        times = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            subprocess.run([*command, home], check=True, capture_output=True)
            times.append(time.perf_counter() - begin)
    return [(f"`show --json` of {TRIALS:,} trials", f"{statistics.median(times):.2f} s", "3 s")]


def _write(home: Path) -> None:
    """Write a study as the loop would have, without training."""
    volume, source = Volume(32, 32, 3), random.Random(0)
    space = SearchSpace(load("classic"), volume, 10)
    folder = StudyFolder(home / "large")
    facts = DataFacts(
        name="made",
        source="made",
        fingerprint="0" * 64,
        input=volume,
        classes=tuple(map(str, range(10))),
        folder=".",
        train=4000,
        val=1000,
        test=1000,
    )
    study = StudySettings(
        id=uuid4().hex,
        name="large",
        created_at="2026-01-01T00:00:00",
        space="classic",
        data=facts,
        engine="optuna",
        algorithm="tpe",
        pruner="none",
        epochs=EPOCHS,
        trials=TRIALS,
        seed=0,
        class_weights=False,
        versions={},
    )
    with folder.create(study, presets()["classic"].read_text(encoding="utf-8")):
        pass
    record = Record(folder.path)
    for number in range(TRIALS):
        values = space.draw(source)
        trial = Trial.begin(Proposal(number, values, space.candidate(values)))
        curve = tuple(source.random() for _ in range(EPOCHS))
        outcome = Outcome(
            number=number,
            ended="complete",
            value=max(curve),
            best_epoch=curve.index(max(curve)) + 1,
            gap=0.1,
            loss=curve,
            accuracy=curve,
            val_loss=curve,
            val_accuracy=curve,
            seconds=Seconds(training=10.0),
        )
        record.add(trial)
        record.add(trial.end("complete", outcome, 0.1))
