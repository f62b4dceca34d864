"""Studies side by side: how the best accuracy rose by time, and the table."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from convsearch.search.data import Split
from convsearch.search.report.compare import as_json, comparison, course
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.record import Record
from convsearch.search.study.repeats import Repeat
from convsearch.search.study.settings import DataFacts, StudySettings
from convsearch.search.study.trial import Spell, Trial, searched
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe
from convsearch.spaces.arithmetic import Volume

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def trial(number: int, begin: float, end: float | None, value: float | None) -> Trial:
    architecture = Architecture(
        input=Volume(8, 8, 1), layers=(Layer(filters=4 + number),), head=Head(pooling="flatten"), classes=10
    )
    candidate = Candidate(architecture=architecture, recipe=Recipe())
    return Trial(
        number=number,
        state="running" if end is None else "complete" if value is not None else "failed",
        value=value,
        epochs=2,
        seconds=0.0 if end is None else end - begin,
        started_at=at(begin),
        ended_at=None if end is None else at(end),
        spells=() if end is None else (Spell(at(begin), at(end), value),),
        candidate=candidate,
        values={},
        hash=candidate.hash,
        parameters=architecture.parameters,
        macs=architecture.macs,
    )


def record(folder: Path, *trials: Trial) -> Record:
    made = Record(folder)
    for one in trials:
        made.add(one)
    return made


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([], []),
        ([(0, 10, 0.5)], [(10, 0.5)]),
        ([(0, 10, 0.5), (10, 30, 0.4), (30, 40, 0.6)], [(10, 0.5), (40, 0.6)]),  # only what is better counts
        ([(0, 10, 0.5), (5, 25, 0.6)], [(10, 0.5), (25, 0.6)]),  # two workers at a time
        ([(0, 20, 0.5), (5, 10, 0.4)], [(10, 0.4), (20, 0.5)]),
        ([(0, 10, 0.5), (86_400, 86_405, 0.6)], [(10, 0.5), (15, 0.6)]),  # resumed a day later
        ([(0, 10, None), (10, 12, 0.2)], [(12, 0.2)]),
        ([(0, 10, 0.5), (10, None, None)], [(10, 0.5)]),
    ],
)
def test_the_course_is_the_best_accuracy_by_seconds_of_search(
    tmp_path: Path, trials: list[tuple[float, float | None, float | None]], expected: list[tuple[float, float]]
) -> None:
    made = record(tmp_path, *(trial(number, *facts) for number, facts in enumerate(trials)))
    assert course(made) == [(pytest.approx(seconds), value) for seconds, value in expected]


def test_a_trial_that_waited_at_a_rung_counts_for_what_it_had_reached_at_each(tmp_path: Path) -> None:
    waited = trial(0, 0, 100, 0.75).model_copy(
        update={"spells": (Spell(at(0), at(10), 0.5), Spell(at(90), at(100), 0.75))}
    )
    assert course(record(tmp_path, waited, trial(1, 10, 20, 0.6))) == [(10, 0.5), (20, 0.6), (30, 0.75)]


def test_a_trial_that_failed_counts_for_nothing_that_it_had_reached_before(tmp_path: Path) -> None:
    failed = trial(0, 0, 100, None).model_copy(
        update={"state": "failed", "spells": (Spell(at(0), at(10), 0.9), Spell(at(90), at(100), None))}
    )
    assert course(record(tmp_path, failed, trial(1, 10, 20, 0.6))) == [(20, 0.6)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple), max_size=6))
def test_the_seconds_of_search_by_a_moment_are_those_in_which_a_trial_had_run(spells: list[tuple[int, int]]) -> None:
    ran = {second for begin, end in spells for second in range(begin, end)}
    assert searched(spells) == [sum(second < end for second in ran) for _, end in spells]


def divided(train: list[int], val: list[int], test: list[int]) -> Split:
    return Split(*(np.array(part, dtype=np.int64) for part in (train, val, test)))


PARTS = divided([0, 1], [2], [3])


def study(home: Path, name: str, fingerprint: str, *trials: Trial, parts: Split = PARTS) -> StudyFolder:
    folder = StudyFolder(home / name)
    data = DataFacts(
        name="mine",
        source="mine",
        fingerprint=fingerprint,
        input=Volume(8, 8, 1),
        classes=tuple("0123456789"),
        folder="mine",
        train=80,
        val=10,
        test=10,
    )
    file = StudySettings(
        name=name,
        created_at="2026-01-01T00:00:00+00:00",
        space="classic",
        data=data,
        engine="keras-tuner" if name == "b" else "optuna",
        algorithm="hyperband" if name == "b" else "tpe",
        pruner="none",
        epochs=2,
        trials=2,
        seed=0,
        class_weights=False,
        versions={},
    )
    with folder.create(file, "layers: 1\n", parts):
        pass
    record(folder.path, *trials)
    return folder


def printed(folders: list[StudyFolder]) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(comparison(folders))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_column_for_each_study_and_a_row_for_what_each_reached_by_the_same_moments(
    tmp_path: Path,
) -> None:
    one = study(tmp_path, "a", "f", trial(0, 0, 8, 0.5), trial(1, 8, 70, 0.75))
    other = study(tmp_path, "b", "f", trial(0, 0, 40, 0.625))
    rows = {
        cells[0]: cells[1:]
        for line in printed([one, other]).splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]) == 3
    }
    assert rows["engine"] == ["optuna tpe", "keras-tuner hyperband"]
    assert rows["best after 10 s"] == ["50.0%", ""]
    assert rows["best after 1 min"] == ["50.0%", "62.5%"]
    assert rows["best after 2 min"] == ["75.0%", "62.5%"]
    assert rows["best validation"] == ["75.0%", "62.5%"]
    assert rows["best network"] == ["5c3-flat-10", "4c3-flat-10"]
    one_layer = (trial(1, 8, 70, 0.75), trial(0, 0, 40, 0.625))
    assert rows["parameters"] == [f"{made.parameters:,}" for made in one_layer]
    assert rows["MACs"] == [f"{made.macs:,}" for made in one_layer]
    assert rows["epochs trained"] == ["4", "2"]
    assert rows["time in trials"] == ["1 min 10 s", "40 s"]
    assert rows["test"] == ["", ""]
    assert "size kB" not in rows


def test_the_network_that_is_named_has_its_own_accuracy_beside_the_best_that_was_seen(tmp_path: Path) -> None:
    cut = trial(1, 8, 70, 0.75).model_copy(update={"state": "pruned"})
    folder = study(tmp_path, "a", "f", trial(0, 0, 8, 0.5), cut)
    (facts,) = as_json([folder])["studies"]
    assert (facts["best"]["number"], facts["best"]["value"], facts["best"]["spread"]) == (0, 0.5, None)
    assert facts["course"][-1][1] == 0.75
    folder.repeats().add(Repeat(number=0, seed=1, value=0.25, epochs=2, seconds=1.0))
    (facts,) = as_json([folder])["studies"]
    assert facts["best"]["mean"] == 0.375
    said = printed([folder])
    assert "75.0%" in said  # the best of a moment
    assert "mean 37.5%, standard deviation 17.7%" in said


def test_whatever_a_study_looks_at_besides_the_accuracy_has_a_row(tmp_path: Path) -> None:
    folder = study(tmp_path, "a", "f", trial(0, 0, 8, 0.5).model_copy(update={"latency_ms": 1.25}))
    text = folder.file.read_text(encoding="utf-8")
    folder.file.write_text(f"{text}objectives: [val_accuracy, latency_ms, size_kb]\n", encoding="utf-8")
    (facts,) = as_json([folder])["studies"]
    assert facts["best"]["latency_ms"] == 1.25
    assert facts["best"]["size_kb"] == 4 * facts["best"]["parameters"] / 1000
    said = printed([folder])
    assert "latency ms" in said
    assert "1.25" in said
    assert "size kB" in said
    assert "trials on the front" in said


def test_studies_of_different_data_are_said_to_say_little_about_each_other(tmp_path: Path) -> None:
    same = [study(tmp_path, "a", "f", trial(0, 0, 8, 0.5)), study(tmp_path, "b", "f")]
    assert "different data" not in printed(same)
    assert "different data" in printed([*same, study(tmp_path, "c", "g")])


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (PARTS, None),
        (divided([0, 3], [2], [1]), "what one tested with, another may have trained with"),
        (divided([0, 2], [1], [3]), "compare their tests"),
    ],
)
def test_studies_that_divide_the_same_images_otherwise_are_said_to(
    parts: Split, said: str | None, tmp_path: Path
) -> None:
    text = printed([study(tmp_path, "a", "f"), study(tmp_path, "b", "f"), study(tmp_path, "c", "f", parts=parts)])
    assert ("These studies" in text) == (said is not None)
    assert said is None or said in " ".join(text.split())


def test_a_study_without_a_trial_has_its_column_too(tmp_path: Path) -> None:
    (facts,) = as_json([study(tmp_path, "a", "f")])["studies"]
    assert (facts["course"], facts["best"], facts["test"]) == ([], None, None)
