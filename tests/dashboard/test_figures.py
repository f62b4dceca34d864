"""The figures: what they show is what the table says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient
from plotly.colors import qualitative
from stores import Written

from convsearch.dashboard.figures.colours import MISSING
from convsearch.dashboard.figures.course import MINUTES, course, race
from convsearch.dashboard.figures.front import front, front_figure
from convsearch.dashboard.figures.importances import importances
from convsearch.dashboard.figures.learning_curves import curves
from convsearch.dashboard.figures.parallel import MOST, parallel
from convsearch.dashboard.figures.slices import contour_of, slice_of
from convsearch.dashboard.figures.thinned import thinned
from convsearch.dashboard.figures.timeline import timeline
from convsearch.dashboard.reading.order import sortable
from convsearch.dashboard.reading.store import Store
from convsearch.search.report import compare
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Spell

POINTS = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=30)


def table(count: int = 6) -> pd.DataFrame:
    began = pd.date_range("2026-01-01", periods=count, freq="min", tz="UTC")
    return (
        pd.DataFrame(
            {
                "trial": range(count),
                "state": ["complete", "pruned", "failed"] * (count // 3) + ["running"] * (count % 3),
                "validation": [None if n % 3 == 2 else (n * 7 % 10) / 10 for n in range(count)],
                "gap": 0.1,
                "parameters": [10.0 * (n + 1) for n in range(count)],
                "architecture": [f"{n}c3-gap-10" for n in range(count)],
                "began": began,
                "ended": [None if n == count - 1 else moment + pd.Timedelta("30s") for n, moment in enumerate(began)],
                "spells": np.nan,
                "worker": [f"worker-{n % 2}" for n in range(count)],
                "option.filters": [8, 16] * (count // 2) + [8] * (count % 2),
                "option.pooling": ["max", "none"] * (count // 2) + ["max"] * (count % 2),
                "option.learning_rate": [10.0**-n for n in range(count)],
            }
        )
        .astype({"validation": float})
        .assign(ended=lambda t: pd.to_datetime(t["ended"], utc=True))
    )


@given(POINTS)
def test_the_front_is_what_no_trial_beats_in_both_and_nothing_else(points: list[tuple[float, int]]) -> None:
    trials = pd.DataFrame(points, columns=["validation", "parameters"]).assign(state="complete")
    chosen = front(trials, "validation", "parameters")

    def beats(one: pd.Series, other: pd.Series) -> bool:
        as_good = one["validation"] >= other["validation"] and one["parameters"] <= other["parameters"]
        return bool(as_good and tuple(one) != tuple(other))

    rows = [row for _, row in trials.iterrows()]
    undominated = {tuple(row) for row in rows if not any(beats(other, row) for other in rows)}
    assert {tuple(row) for _, row in chosen.iterrows()} == undominated
    assert len(chosen) == sum(tuple(row) in undominated for row in rows)  # of equals all


def test_the_best_so_far_never_falls() -> None:
    for over in ("trial", "time"):
        figure = course(table(), over)
        best = figure.data[-1]
        assert best.name == "best so far"
        assert list(best.y) == sorted(best.y)
        assert {trace.name for trace in figure.data[:-1]} == {"complete", "pruned"}


DAY = 86_400
PAUSED: list[dict[str, Any]] = [  # trials by the seconds of their spells, with the value that they had reached by then
    {"spells": [(0, 60, 0.25)]},
    {"spells": [(30, 90, 0.5), (DAY, DAY + 60, 0.75)]},  # interrupted, and resumed a day later
    {"spells": [], "begin": 90, "state": "interrupted"},  # its launch was killed; the next one found it
    {"spells": [(DAY + 60, DAY + 120, 0.625), (2 * DAY, 2 * DAY + 60, 0.875)], "state": "pruned"},  # at two rungs
    {"spells": [(2 * DAY, 2 * DAY + 90, 1.0), (3 * DAY, 3 * DAY + 90, None)], "state": "failed"},
    {"spells": [(3 * DAY, 3 * DAY + 120, 0.9375)]},
]


def paused(home: Path) -> tuple[Written, Record]:
    """A study of these trials, in MLflow and in its record."""

    def at(seconds: float) -> str:
        return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")

    written = Written(home)
    place = home / "record"
    place.mkdir()
    record = Record(place)
    for facts in PAUSED:
        trial, run = written.trials[written.begin()]
        spells = tuple(Spell(at(begin), at(end), value) for begin, end, value in facts["spells"])
        begin, end = (spells[0].began, spells[-1].ended) if spells else (at(facts["begin"]), at(DAY))
        changes = {"state": facts.get("state", "complete"), "value": spells[-1].value if spells else None}
        changes |= {"started_at": begin, "ended_at": end, "spells": spells}
        trial = trial.model_copy(update=changes)
        written.tracker._client.delete_run(run)  # it began just now
        run = written.tracker.began(trial, written.parent)
        written.tracker.ended(trial, run)
        written.trials[-1] = trial, run
        record.add(trial)
    return written, record


def improvements(trace: go.Scatter) -> list[tuple[float, float]]:
    """Where a line of the best so far rises: seconds and accuracy."""
    found: list[tuple[float, float]] = []
    for minutes, value in zip(trace.x, trace.y, strict=True):
        if not found or value > found[-1][1]:
            found.append((pytest.approx(60 * minutes), value))
    return found


def test_the_dashboard_counts_the_time_of_a_search_as_compare_does(tmp_path: Path) -> None:
    _, record = paused(tmp_path)
    study = Store(tmp_path).study("birds")
    assert study is not None
    expected = compare.course(record)
    assert expected == [(60, 0.25), (90, 0.5), (150, 0.75), (270, 0.875), (420, 0.9375)]
    figure = race({"birds": study.trials})
    assert improvements(figure.data[0]) == expected
    assert figure.layout.xaxis.title.text == MINUTES
    figure = course(study.trials, "time")
    assert improvements(figure.data[-1]) == expected
    assert figure.layout.xaxis.title.text == MINUTES
    some = study.trials[study.trials["trial"] == 5]  # filtered, they are where they were
    assert improvements(course(some, "time", study.trials).data[-1]) == [(420, 0.9375)]


@pytest.mark.parametrize(
    "damage", ["", "[", "[[1]]", '[["a", "b", 1]]', "[[0, 1e400, 2]]", "[[5, 1, 7]]", "[[0, -1, null]]"]
)
def test_a_trial_whose_spells_are_damaged_ran_from_its_beginning_to_its_end(damage: str, tmp_path: Path) -> None:
    written, _ = paused(tmp_path)
    MlflowClient(written.tracker.uri).set_tag(written.trials[1][1], "spells", damage)
    study = Store(tmp_path).study("birds")
    assert study is not None
    figure = race({"birds": study.trials})
    assert improvements(figure.data[0])[:2] == [(60, 0.25), (DAY + 60, 0.75)]


def test_curves_are_coloured_along_a_scale_by_numbers_and_apart_by_words() -> None:
    found = {n: pd.DataFrame({"val_accuracy": [0.1, 0.2]}, index=[1, 2]) for n in range(4)}
    plain = curves(found, "val_accuracy", table())
    assert [trace.name for trace in plain.data] == [f"trial {n}" for n in range(4)]
    words = curves(found, "val_accuracy", table(), "option.pooling")
    assert words.data[0].line.color == words.data[2].line.color != words.data[1].line.color
    numbers = curves(found, "val_accuracy", table(), "option.learning_rate")
    assert len({trace.line.color for trace in numbers.data}) == 4


def heights(figure: go.Figure) -> dict[int, list[float]]:
    """Return how high each trial's line is on each axis."""
    found: dict[int, list[float]] = {}
    for trace in figure.data:
        for trial, height in zip(trace.customdata, trace.y, strict=True):
            if not np.isnan(height):
                found.setdefault(int(trial), []).append(float(height))
    return found


def test_parallel_coordinates_place_numbers_words_and_what_is_missing() -> None:
    trials = table()
    trials.loc[0, "option.pooling"] = None
    figure = parallel(trials, ["filters", "pooling", "learning_rate"])
    assert [*figure.layout.xaxis.ticktext] == ["filters", "pooling", "learning_rate", "validation"]
    lines = heights(figure)
    assert sorted(lines) == [0, 1, 3, 4]
    filters, pooling, rate, reached = (
        dict(zip(lines, column, strict=True)) for column in zip(*lines.values(), strict=True)
    )
    assert {trial: filters[trial] for trial in lines} == {0: 0, 1: 1, 3: 1, 4: 0}
    assert pooling[0] < pooling[4] < pooling[1]  # missing, max, none
    assert rate == pytest.approx({0: 1, 1: 0.75, 3: 0.25, 4: 0})  # by its logarithm
    assert max(reached, key=reached.__getitem__) == trials["validation"].idxmax()
    assert {note.text for note in figure.layout.annotations} >= {"-", "max", "none", "8", "16"}


def test_of_very_many_trials_parallel_coordinates_show_the_best_and_a_part_of_the_others() -> None:
    source = np.random.default_rng(0)
    trials = pd.DataFrame({"trial": range(3000), "validation": source.random(3000), "option.a": source.random(3000)})
    figure = parallel(trials, ["a"])
    lines = heights(figure)
    assert len(lines) == MOST
    assert set(trials.nlargest(MOST // 2, "validation")["trial"]) <= set(lines)
    assert trials["validation"].idxmax() in figure.data[-1].customdata  # drawn last, over all others


def test_what_is_thinned_keeps_the_most_accurate_in_their_order() -> None:
    source = np.random.default_rng(0)
    trials = pd.DataFrame({"trial": range(500), "validation": source.random(500)})
    trials.loc[::7, "validation"] = np.nan
    fewer = thinned(trials, 100)
    assert len(fewer) == 100
    assert fewer["trial"].is_monotonic_increasing
    assert set(trials.nlargest(50, "validation")["trial"]) <= set(fewer["trial"])
    assert thinned(trials, 500) is trials


@pytest.mark.parametrize("values", [[1.0, None, 3.0], ["a", None, "b"], [None, None, None]])
def test_curves_of_trials_without_the_option_are_grey(values: list[object]) -> None:
    trials = pd.DataFrame({"trial": [0, 1, 2], "option.a": pd.Series(values, dtype=object)})
    found = {number: pd.DataFrame({"val_accuracy": [0.5]}, index=[1]) for number in range(3)}
    lines = curves(found, "val_accuracy", trials, "option.a").data
    greys = [line.line.color == MISSING for line in lines]
    assert greys == [value is None for value in values]
    assert [line.name for line in lines][1] == "trial 1: –"


@pytest.mark.parametrize("option", ["filters", "pooling", "learning_rate"])
def test_a_slice_has_every_trial_that_reached_something(option: str) -> None:
    (trace,) = slice_of(table(), option).data
    assert len(trace.y) == 4


SIZES = ["128x171", "32x43", "64x86", "32x43", "128x171", "64x86"]


def test_sizes_of_images_are_in_the_order_of_their_pixels_in_every_figure() -> None:
    in_order = ["32x43", "64x86", "128x171"]
    trials = table().assign(validation=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).assign(**{"option.input_size": SIZES})
    assert list(slice_of(trials, "input_size").layout.xaxis.categoryarray) == in_order
    assert list(contour_of(trials, "input_size", "filters").data[0].x) == in_order
    assert list(contour_of(trials, "filters", "input_size").data[0].y) == in_order
    notes = {note.text: note.y for note in parallel(trials, ["input_size"]).layout.annotations if note.x == 0}
    assert sorted(notes, key=notes.__getitem__) == in_order
    found = {n: pd.DataFrame({"val_accuracy": [0.1]}, index=[1]) for n in range(3)}
    colours = {
        line.name[9:]: line.line.color for line in curves(found, "val_accuracy", trials, "option.input_size").data
    }
    assert [colours[size] for size in in_order] == qualitative.Plotly[:3]


def test_a_table_is_sorted_by_the_pixels_of_sizes_and_by_anything_else_as_it_is() -> None:
    sizes = pd.Series([*SIZES[:3], None])
    assert sizes.iloc[sortable(sizes).argsort()[:3]].tolist() == ["32x43", "64x86", "128x171"]
    assert sortable(sizes).isna().tolist() == [False, False, False, True]
    for other in (pd.Series(["8x8", "none"]), pd.Series([1.0, None]), pd.Series([None, None], dtype=object)):
        assert sortable(other) is other


def test_a_contour_has_the_best_at_each_pair() -> None:
    (grid,) = contour_of(table(), "filters", "pooling").data
    assert list(grid.x) == ["8", "16"]
    assert list(grid.y) == ["max", "none"]
    best = table().dropna(subset=["validation"]).groupby(["option.filters", "option.pooling"])["validation"].max()
    assert grid.z[0][0] == best[8, "max"]


def test_a_front_and_all_trials_are_in_one_figure() -> None:
    all_trials, best = front_figure(table(), "parameters", "validation").data
    assert len(all_trials.x) == 4
    assert set(best.x) <= set(all_trials.x)


def test_workers_have_a_bar_for_each_trial_up_to_now() -> None:
    now = pd.Timestamp("2026-01-01T01:00", tz="UTC")
    bars = timeline(table(), now).data
    assert sum(len(bar.x) for bar in bars) == 6
    last = max(moment + pd.Timedelta(milliseconds=x) for bar in bars for moment, x in zip(bar.base, bar.x, strict=True))
    assert pd.Timestamp(last) == now.tz_localize(None)  # which plotly leaves out: all is UTC


def test_the_most_important_stands_at_the_top() -> None:
    (bars,) = importances({"a": 0.1, "b": 0.7, "c": 0.2}, most=2).data
    assert list(bars.y) == ["c", "b"]
