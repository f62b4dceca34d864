"""What is printed while a study is prepared and searched: foreign text is never taken for markup."""

import io

from rich.console import Console

from convsearch.search.launch.messages import status

ODD = "birds[/old] [red]cat[/red] :smile:"


def test_a_status_line_shows_text_that_looks_like_markup_as_it_is() -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=100)
    with status(terminal, f"reading {ODD}") as show:
        terminal.print("below which the line is drawn anew")
        show(f"{ODD}: 1 of 2 images")
        terminal.print("and again")
    assert f"reading {ODD} ..." in shown.getvalue()
    assert f"{ODD}: 1 of 2 images" in shown.getvalue()
