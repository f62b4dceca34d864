"""The part of a figure that is looked at: by a frame, by an address, and back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import Written
from test_pages import opened

from convsearch.dashboard.page.zoom import Part, of_frame, of_words

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_an_address_names_the_part_that_it_was_made_of(left: float, right: float, bottom: float, top: float) -> None:
    found = of_words(str(Part(left, right, bottom, top)))
    assert found is not None
    assert list(vars(found).values()) == pytest.approx([left, right, bottom, top], rel=1e-4)


def test_moments_are_kept_as_they_are() -> None:
    part = Part("2026-01-01 04:20:00", "2026-01-01 18:46:40", -0.5, 1.5)
    assert of_words(str(part)) == part


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "1,2,3,4,5", "1,2,3,many", "1,2,nan,4", "1,2,3,inf", "<b>,1,2,3"])
def test_an_address_that_names_no_part_shows_all(text: str) -> None:
    assert of_words(text) is None


def test_a_frame_may_be_drawn_from_any_corner_and_a_click_is_none() -> None:
    drawn = of_frame({"x": [3, 1], "y": [2, 4]})
    assert drawn == Part(1, 3, 2, 4)
    assert of_words(str(drawn)) == drawn  # whole numbers, where a frame ends at the edge
    assert of_frame({"x": [3, 3], "y": [2, 4]}) is None


def test_the_part_of_an_address_is_shown_until_all_is_asked_for(tmp_path: Path) -> None:
    Written(tmp_path).add([0.5, 0.9, 0.7])
    app = opened(tmp_path, "study", study="birds", view="Best", zoom="0,1,0.4,0.6")
    assert "0,1,0.4,0.6" in app.query_params["zoom"]
    (button,) = [found for found in app.button if found.label == "Show all"]
    button.click().run()
    assert not app.exception
    assert "zoom" not in app.query_params
    assert "Draw a frame to zoom into it." in [caption.value for caption in app.caption]


def test_a_frame_in_parallel_coordinates_lists_the_trials_behind_it_for_whoever_has_the_address(tmp_path: Path) -> None:
    Written(tmp_path).add([0.5, 0.9, 0.7, 0.6])
    view = {"study": "birds", "view": "Parallel", "axes": "layers"}
    whole = opened(tmp_path, "study", **view)
    assert not whole.dataframe
    app = opened(tmp_path, "study", **view, zoom="0.5,1.5,0.4,1.1")  # the upper half of the last axis: the accuracy
    assert app.dataframe[0].value["trial"].tolist() == [1, 2]
    (button,) = [found for found in app.button if found.label == "No frame"]
    button.click().run()
    assert not app.exception
    assert not app.dataframe
