"""The figures: what they show is what the table says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsearch.dashboard.figures.course import course
from convsearch.dashboard.figures.curves import curves
from convsearch.dashboard.figures.front import front, front_figure
from convsearch.dashboard.figures.importances import importances
from convsearch.dashboard.figures.parallel import MOST, parallel
from convsearch.dashboard.figures.slices import contour_of, slice_of
from convsearch.dashboard.figures.timeline import timeline

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
    trials = pd.DataFrame(points, columns=["validation", "parameters"])
    chosen = front(trials, "validation", "parameters")

    def beats(one: pd.Series, other: pd.Series) -> bool:
        as_good = one["validation"] >= other["validation"] and one["parameters"] <= other["parameters"]
        return bool(as_good and tuple(one) != tuple(other))

    rows = [row for _, row in trials.iterrows()]
    undominated = {tuple(row) for row in rows if not any(beats(other, row) for other in rows)}
    assert {tuple(row) for _, row in chosen.iterrows()} == undominated
    assert len(chosen) == len(undominated)  # of equals one


def test_the_best_so_far_never_falls() -> None:
    for over in ("trial", "time"):
        figure = course(table(), over)
        best = figure.data[-1]
        assert best.name == "best so far"
        assert list(best.y) == sorted(best.y)
        assert {trace.name for trace in figure.data[:-1]} == {"complete", "pruned"}


def test_curves_are_coloured_along_a_scale_by_numbers_and_apart_by_words() -> None:
    found = {n: pd.DataFrame({"val_accuracy": [0.1, 0.2]}, index=[1, 2]) for n in range(4)}
    plain = curves(found, "val_accuracy", table())
    assert [trace.name for trace in plain.data] == [f"trial {n}" for n in range(4)]
    words = curves(found, "val_accuracy", table(), "option.pooling")
    assert words.data[0].line.color == words.data[2].line.color != words.data[1].line.color
    numbers = curves(found, "val_accuracy", table(), "option.learning_rate")
    assert len({trace.line.color for trace in numbers.data}) == 4


def test_parallel_coordinates_place_words_and_what_is_missing() -> None:
    trials = table()
    trials.loc[0, "option.pooling"] = None
    (lines,) = parallel(trials, ["filters", "pooling"]).data
    filters, pooling, reached = lines.dimensions
    assert set(filters["values"]) == {8, 16}
    assert pooling["ticktext"] == ("-", "max", "none")
    assert len(reached["values"]) == 4


def test_of_very_many_trials_parallel_coordinates_show_the_best_and_a_part_of_the_others() -> None:
    source = np.random.default_rng(0)
    trials = pd.DataFrame({"trial": range(3000), "validation": source.random(3000), "option.a": source.random(3000)})
    (lines,) = parallel(trials, ["a"]).data
    assert lines.dimensions[-1]["values"][-1] == trials["validation"].max()  # over all others
    shown = np.sort(lines.dimensions[-1]["values"])[::-1]
    assert len(shown) == MOST
    assert list(shown[: MOST // 2]) == list(np.sort(trials["validation"])[::-1][: MOST // 2])


@pytest.mark.parametrize("option", ["filters", "pooling", "learning_rate"])
def test_a_slice_has_every_trial_that_reached_something(option: str) -> None:
    (trace,) = slice_of(table(), option).data
    assert len(trace.y) == 4


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
