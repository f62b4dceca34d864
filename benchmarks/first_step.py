"""The second trial of a study: from the question for a proposal to the first training step, against bare Keras."""

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

from convsearch.search.data import split
from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.executors.local import LocalExecutor
from convsearch.search.executors.protocol import Started
from convsearch.search.sources import open_data
from convsearch.search.values.job import EpochReport, Job, Length, Outcome
from convsearch.spaces.architecture import Candidate
from convsearch.spaces.building.model import build
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace

TRIALS = 6


def measure() -> list[tuple[str, str, str]]:
    """Return the median over some trials after the first, each with the bare run of the same network."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = open_data("digits", folder / "data")
        split(data, 0).save(folder / "split.npz")
        space = SearchSpace(load("classic"), data.input, len(data.classes))
        engine = OptunaEngine("tpe", "none", 2, 0, Proposals(space, 0))
        executor = LocalExecutor(folder / "logs")
        extra = []
        try:
            for number in range(TRIALS):
                begin = time.perf_counter()
                proposal = engine.ask()
                asked = time.perf_counter() - begin
                assert proposal is not None
                outcome, waited = _run(executor, proposal.number, proposal.candidate, data.folder, folder)
                engine.tell(proposal.number, "complete", outcome.value)
                clock = outcome.seconds
                ours = asked + waited + clock.building + clock.tracing
                if number:
                    extra.append(ours - _bare(proposal.candidate, data))
        finally:
            executor.close()
            engine.close()
    median = statistics.median(extra)
    return [("second trial, proposal to first step, beyond bare Keras", f"{median:+.2f} s", "+3 s")]


def _run(executor: LocalExecutor, number: int, candidate: Candidate, data: Path, folder: Path) -> tuple[Outcome, float]:
    weights = str(folder / "best.weights.h5")
    executor.submit(
        Job(
            number=number,
            candidate=candidate,
            data=str(data),
            split=str(folder / "split.npz"),
            seed=0,
            weights=weights,
            length=Length(epochs=2, patience=2),
        )
    )
    waited = 0.0
    while True:
        match executor.next_event(60):
            case Started() as started:
                waited = started.waited
            case EpochReport():
                executor.answer(number, True)
            case Outcome() as outcome:
                return outcome, waited
            case other:
                raise RuntimeError(f"unexpected: {other}")


def _bare(candidate: Candidate, data: object) -> float:
    """Return the seconds that bare Keras takes to build the network and trace its first step and first evaluation."""
    images, labels = np.array(data.images()), data.labels()  # type: ignore[attr-defined]
    batch = candidate.recipe.batch_size
    keras.backend.clear_session()
    begin = time.perf_counter()
    model = build(candidate.architecture)
    model.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[:batch], labels[:batch], verbose=0)
    model.evaluate(images[:batch], labels[:batch], verbose=0)
    return time.perf_counter() - begin
