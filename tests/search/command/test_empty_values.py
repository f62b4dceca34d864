"""An empty value, as a shell makes it of a variable that is not set, is a mistake, and never the default."""

from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from terminal import typed, understood

from convsearch.search.command.main import app
from convsearch.search.engines.choice import choose
from convsearch.spaces.errors import InputError

NEEDED = {  # what each verb cannot do without
    "show": ["birds"],
    "compare": ["birds"],
    "check": ["tiny", "--input=8x8x1"],
    "explain": ["birds"],
    "export": ["birds", "--to=out"],
    "predict": ["bundle", "a.png"],
}
PROGRAM: Any = typer.main.get_command(app)
OPTIONS = [
    (verb, max(one.opts, key=len))
    for verb, command in PROGRAM.commands.items()
    for one in command.params
    if one.param_type_name == "option" and not one.is_flag
]
ARGUMENTS = [(verb, place) for verb, needed in NEEDED.items() for place, word in enumerate(needed) if word[0] != "-"]


@given(option=st.sampled_from(OPTIONS), joined=st.booleans())
def test_an_empty_value_of_any_option_is_refused_with_what_is_expected(option: tuple[str, str], joined: bool) -> None:
    verb, flag = option
    words = [verb, *NEEDED.get(verb, []), *([f"{flag}="] if joined else [flag, ""])]
    with pytest.raises(InputError, match=f"^{flag} '': empty, .*; expected: [A-Z0-9a-z].+"):
        understood(words)


@pytest.mark.parametrize(("verb", "place"), ARGUMENTS)
def test_an_empty_argument_too(verb: str, place: int) -> None:
    words = list(NEEDED[verb])
    words[place] = ""
    with pytest.raises(InputError, match=r"^[A-Z|:\[\]]+.* '': empty, "):
        understood([verb, *words])


def test_one_of_several_values_too() -> None:
    with pytest.raises(InputError, match=r"^--set '': empty"):
        understood(["run", "--set", "layers=1", "--set", ""])


def test_the_command_says_so_in_one_line() -> None:
    done = typed("run", "--data", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "convsearch: --data '': empty, as a variable is that is not set; expected: digits, which is built in, a folder "
        "of class folders (./digits, if that is its name), a table of labels beside the images (.csv, .tsv, .parquet "
        "or .jsonl), a .npz file, or keras:NAME. (default: digits)\n"
    )


@pytest.mark.parametrize("method", [("", None, None), (None, "", None), (None, None, "")])
def test_an_empty_method_is_none_of_the_defaults(method: tuple[str | None, ...]) -> None:
    with pytest.raises(InputError, match="Known: "):
        choose(*method)
