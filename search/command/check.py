"""`convsearch check`."""

from typing import TYPE_CHECKING, Annotated

import typer

from ...spaces.errors import InputError
from ..values.text import answers, memory_size, numbers
from .terminal import JsonOption, console, print_json

if TYPE_CHECKING:
    from ...spaces.arithmetic import Volume
    from ...spaces.memory.limit import Memory

LARGEST, DEEPEST = 4096, 64  # pixels per side, channels: more is a typing error


def check(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="A preset's name or a YAML file.")],
    input: Annotated[str, typer.Option(metavar="HxWxD", help="Volume of one image, as 32x32x3.")],
    classes: Annotated[int, typer.Option(help="Number of classes.", min=2)] = 10,
    answer: Annotated[
        list[str] | None, typer.Option("--set", metavar="DIMENSION=VALUE", help="Set or narrow a dimension.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory of a worker, as in 2GB. (default: that of one of this machine's)"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a space, and show how large it is and what its candidates cost."""
    from ...spaces.definition import load
    from ...spaces.space import SearchSpace
    from ..report.check import check as table
    from ..report.check import checked
    from ..values.answers import answered

    definition = answered(load(space), answers(answer or []))
    found = checked(SearchSpace(definition, _volume(input), classes), _memory(memory))
    if as_json:
        print_json({key: value for key, value in found.items() if not key.startswith("_")})
    else:
        printed = console()
        printed.print(table(found, printed.width))


def _memory(text: str | None) -> "Memory":
    from ...spaces.memory.limit import Memory
    from ..executors.shares import shares
    from ..system.backend import chosen_backend
    from ..system.machine import this_machine

    most = None if text is None else memory_size(text)
    least = min(share.for_training for share in shares(this_machine(), most=most))
    return Memory(limit=least if most is None else most, backend=chosen_backend()[0])


def _volume(text: str) -> "Volume":
    from ...spaces.arithmetic import Volume

    found = numbers(text, 3)
    if found is None or min(found) < 1 or max(found[:2]) > LARGEST or found[2] > DEEPEST:
        raise InputError(f"--input {text}: write HEIGHTxWIDTHxDEPTH, as in 32x32x3")
    return Volume(*found)
