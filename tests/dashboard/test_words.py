"""On the dashboard's pages and in its figures, whatever others call things is only text, on one line."""

import os
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mlflow.entities import Param
from mlflow.tracking import MlflowClient
from nasty import NAMES, NASTY, require_printable
from samples import a_study
from stores import Written
from test_pages import opened

from convsearch.dashboard.figures.course import course, race
from convsearch.dashboard.figures.fit import fit
from convsearch.dashboard.figures.front import front_figure
from convsearch.dashboard.figures.importances import importances
from convsearch.dashboard.figures.learning_curves import curves
from convsearch.dashboard.figures.parallel import parallel
from convsearch.dashboard.figures.slices import contour_of, slice_of
from convsearch.dashboard.figures.timeline import timeline
from convsearch.dashboard.figures.trial.confusion import confusion
from convsearch.dashboard.page.words import plain, plain_lines, unformat
from convsearch.dashboard.reading.rows import MEASURES, OPTION, heading
from convsearch.dashboard.reading.store import Store
from convsearch.dashboard.serve import serve
from convsearch.spaces.errors import InputError
from convsearch.spaces.printable import is_utf8, printable

MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})
NOTHING = ":red[]"  # an empty span of Streamlit's
# What Streamlit looks for in text whose escapes are gone.
FOUND = re.compile(
    r":material[/_]|:streamlit:|https?://|www\.|[-.\w+]@[-\w]|(?:^|\s)(?:<->|->|<-|--|>=|<=|~=)(?:\s|$)", re.IGNORECASE
)


def blocks(text: str) -> list[str]:
    return [token.type for token in MARKDOWN.parse(text)]


def spoken(text: str) -> str:
    (inline,) = [token for token in MARKDOWN.parse(text) if token.type == "inline"]
    children = inline.children or []
    assert {child.type for child in children} <= {"text", "text_special", "strong_open", "strong_close"}
    return "".join(child.content for child in children)


@pytest.mark.parametrize("frame", ["{}", "**{}**: 90 %", "of {} here"])
@given(name=NAMES)
def test_what_a_page_says_is_the_name_and_nothing_else(frame: str, name: str) -> None:
    shown = spoken(frame.format(plain(name)))
    assert not FOUND.search(shown)
    assert shown.replace(NOTHING, "") == frame.replace("**", "").format(printable(name))
    assert blocks(frame.format(plain(name))) == blocks("name")


@given(name=NAMES)
def test_a_message_on_a_page_keeps_its_lines_and_nothing_else(name: str) -> None:
    assert blocks(plain_lines(f"a\n{name}")) == blocks("name")


def trials_of(name: str, other: str) -> pd.DataFrame:
    count = 4
    began = pd.date_range("2026-01-01", periods=count, freq="min", tz="UTC")
    return pd.DataFrame(
        {
            "trial": range(count),
            "state": ["complete"] * (count - 1) + [name],
            "validation": [0.1, 0.5, 0.3, 0.2],
            "gap": 0.1,
            "parameters": [10.0, 20.0, 30.0, 40.0],
            "architecture": [name, other] * 2,
            "began": began,
            "ended": began + pd.Timedelta("30s"),
            "spells": np.nan,
            "worker": [name, other] * 2,
            f"option.{name}": [name, other] * 2,
            "option.filters": [8, 16, 8, 16],
        }
    )


def figures_of(name: str, other: str) -> Iterator[go.Figure]:
    trials = trials_of(name, other)
    found = {n: pd.DataFrame({"val_accuracy": [0.1, 0.2]}, index=[1, 2]) for n in range(4)}
    yield course(trials, "time")
    yield race({name: trials, other: trials})
    yield fit(trials)
    yield front_figure(trials, "parameters", "validation")
    yield importances({name: 0.5, other: 0.25})
    yield curves(found, "val_accuracy", trials, f"option.{name}")
    yield parallel(trials, [name, "filters"])
    yield slice_of(trials, name)
    yield contour_of(trials, name, "filters")
    yield timeline(trials, pd.Timestamp("2026-01-02", tz="UTC"))
    yield confusion([[1, 2], [3, 4]], [name, other])


STORED = NAMES.filter(is_utf8)  # by MLflow, as text
NOT_SHOWN = {"template", "uirevision"}


def texts(part: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts of a figure with their keys."""
    if isinstance(part, str):
        yield key, part
    elif isinstance(part, dict):
        for name, value in part.items():
            if name not in NOT_SHOWN:
                yield from texts(value, name)
    elif isinstance(part, list | tuple | np.ndarray):
        for value in part:
            yield from texts(value, key)


@settings(max_examples=12)
@given(names=st.lists(STORED, min_size=2, max_size=2, unique_by=printable))
@example(['<a href="http://x">x</a>', "%{x}<br>"])
def test_all_text_in_figures_is_text(names: list[str]) -> None:
    usual = list(figures_of("name", "other"))
    for figure, same in zip(figures_of(*names), usual, strict=True):
        unformat(figure)
        unformat(same)
        assert [text for key, text in texts(figure.to_plotly_json()) if key.endswith("template")] == [
            text for key, text in texts(same.to_plotly_json()) if key.endswith("template")
        ]
        said = [text for key, text in texts(figure.to_plotly_json()) if not key.endswith("template")]
        for text in said:
            assert "<" not in text
            assert "%{" not in text
            require_printable(unescape(text))
            assert "\n" not in text
            assert not re.search("&(?!amp;|lt;|gt;|#37;)", text)


@given(
    options=st.sets(NAMES | st.sampled_from([*MEASURES.values(), "trial", "option.", "option.gap", "option.option."]))
)
def test_no_two_columns_of_a_table_have_one_heading(options: set[str]) -> None:
    columns = ["trial", "state", *MEASURES.values(), *(OPTION + name for name in options)]
    assert len(set(map(heading, columns))) == len(columns)
    assert [heading(name) for name in MEASURES.values()] == list(MEASURES.values())
    assert heading("option.learning_rate") == "learning_rate"


def test_names_that_look_like_numbers_or_times_are_places_by_name() -> None:
    bars = timeline(trials_of("2026-01-01", "2026-02-01"), pd.Timestamp("2026-01-02", tz="UTC"))
    assert bars.layout.yaxis.type == importances({"1": 0.5, "20": 0.25}).layout.yaxis.type == "category"


def test_a_home_whose_name_is_markup_is_named_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "**b** [a](x) www.x.org"
    Written(home).add([0.5])
    app = opened(home, "trial", study="birds")
    (info,) = [info for info in app.info if info.proto.title == "Its files are not here"]
    assert str(home) in spoken(info.value).replace(NOTHING, "")
    assert not FOUND.search(spoken(info.value))


def test_a_home_that_pages_cannot_name_is_not_served() -> None:
    with pytest.raises(InputError, match=r"--home B\\xe4r: the path is not valid UTF-8"):
        serve(Path(os.fsdecode(b"B\xe4r")), 8501, "256.0.0.1")  # which nobody can serve on either


def test_what_mlflow_has_been_told_of_names_is_read_on_one_line(tmp_path: Path) -> None:
    names = [name for name in NASTY if is_utf8(name) and "\0" not in name]
    study = a_study(space="".join(names))
    written = Written(tmp_path, data=study.data.model_copy(update={"name": "".join(names)}), space=study.space)
    number = written.begin()
    parameters = [Param(f"name {place}", name) for place, name in enumerate(names)]
    MlflowClient(written.tracker.uri).log_batch(written.trials[number][1], params=parameters)
    written.end(number, None, "failed", study.space)
    found = Store(tmp_path).study("birds")
    assert found is not None
    assert found.data == found.space == printable("".join(names))
    trial = found.row(number)
    assert trial["error"] == printable(study.space)
    assert [trial[OPTION + one.key] for one in parameters] == list(map(printable, names))
