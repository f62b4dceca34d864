"""What a person sees while images are read: a bar on a terminal, plain lines elsewhere."""

import io

from rich.console import Console

from convsearch.search.launch.reading import EVERY, reading


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_without_a_terminal_a_line_is_printed_now_and_then_with_the_share_and_the_time_left() -> None:
    said, clock = io.StringIO(), Clock()
    with reading(Console(file=said, width=40), "photos", clock) as step:
        progress = step("images decoded")
        for done in range(100, 2001, 100):
            clock.seconds += EVERY / 4
            progress(done, 2000)
    assert said.getvalue().splitlines() == [
        "reading photos: 400 of 2,000 images decoded (20%), 40 s left",
        "reading photos: 800 of 2,000 images decoded (40%), 30 s left",
        "reading photos: 1,200 of 2,000 images decoded (60%), 20 s left",
        "reading photos: 1,600 of 2,000 images decoded (80%), 10 s left",
        "reading photos: 2,000 of 2,000 images decoded (100%), 0 s left",
    ]


def test_without_a_terminal_nothing_is_said_of_what_is_read_at_once() -> None:
    said, clock = io.StringIO(), Clock()
    with reading(Console(file=said), "photos", clock) as step:
        step("files hashed")(50, 50)
        step("images decoded")(50, 50)
    assert said.getvalue() == ""


def test_the_time_left_is_that_of_the_step() -> None:
    said, clock = io.StringIO(), Clock()
    with reading(Console(file=said, width=200), "photos", clock) as step:
        step("files hashed")(10, 10)
        clock.seconds += 1000
        progress = step("images decoded")
        clock.seconds += EVERY
        progress(5, 10)
    assert said.getvalue() == "reading photos: 5 of 10 images decoded (50%), 10 s left\n"


def test_on_a_terminal_there_is_a_bar_and_a_name_that_looks_like_markup_is_shown_as_it_is() -> None:
    shown, clock = io.StringIO(), Clock()
    with reading(Console(file=shown, force_terminal=True, width=100), "[red]x[/red]", clock) as step:
        assert "reading [red]x[/red] ..." in shown.getvalue()
        progress = step("images decoded")
        clock.seconds += 5
        progress(50, 200)
    assert "reading [red]x[/red]: 50 of 200 images decoded (25%), 15 s left" in shown.getvalue()
    assert "━━━━━━━━━━" in shown.getvalue()
