"""The sizes at which a new study's candidates may take their images: those that suit the images and the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...spaces.arithmetic import Volume
from ...spaces.definition import Definition
from ...spaces.errors import InputError
from ...spaces.memory.limit import Memory
from ...spaces.sizes import AUTO, Size, sizes_in
from ...spaces.space import SearchSpace
from ..data.sizes import THUMBNAIL
from .budget import SEARCH_SHARE
from .cost import Costs
from .epochs import epochs_for, first_guess, usual_epochs

SIDES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
"""The shorter sides that are offered of larger images."""

FIRST_SHARE, FIRST_SECONDS = 0.1, 60.0
"""What the first trial may take: a share of the time, or seconds where there is no limit."""

LONGEST_SHARE, LONGEST_SECONDS = 0.25, 180.0
"""What the first network may take at the largest size on offer: a share of the search, or seconds."""

ENOUGH = 0.5
"""The share of a trial's usual epochs that it needs: with fewer, it gets further on smaller images."""

FACTOR = 2
"""The sides on offer are between those of the first trial divided by this, and multiplied by it."""


class OnOffer(NamedTuple):
    """The sizes that candidates may have, the smallest first, and that of the first trial."""

    sizes: tuple[Size, ...]
    first: Size


@dataclass(frozen=True)
class Wanted:
    """What the sizes are for: images of so many classes to train on, and what limits the trials.

    `seconds` are those of the whole launch, of which `elapsed` have passed already; None where there is no limit.
    `epochs` of a trial are None where they depend on the size. Networks have to fit into the `memory` of a worker.
    """

    depth: int
    classes: int
    images: int
    seconds: float | None
    epochs: int | None
    elapsed: float = 0.0
    memory: Memory | None = None


def sizes_on_offer(definition: Definition, own: Size, wanted: Wanted) -> OnOffer:
    """Return the sizes at which candidates may take images whose own size is `own`, and that of the first trial.

    The first trial has the largest size at which it can have ENOUGH epochs within its share of the time. Where the
    space leaves the sizes to us, thumbnails stay as they are, and of larger images those sizes are offered that are
    neither much smaller nor larger than the first, and never larger than the images are.

    Raises:
        InputError: at none of the sizes can a network be built within the limits.
    """
    auto = definition.input_size.values == (AUTO,)
    given = _sides_of(own) if auto else sizes_in(definition.input_size, own).sizes
    spaces = _spaces(definition, given, wanted)
    smallest = next(iter(spaces))
    first = next((size for size in reversed(spaces) if _suits(spaces[size], wanted)), None)
    if not auto:
        return OnOffer(tuple(given), first or smallest)
    if first is None:
        return OnOffer((smallest,), smallest)
    epochs = _epochs(spaces[first], wanted)
    offered = [
        size
        for size, space in spaces.items()
        if min(first) / FACTOR <= min(size) <= min(first) * FACTOR
        and (size.pixels <= first.pixels or _seconds(space, epochs, wanted) <= _longest(wanted))
    ]
    return OnOffer(tuple(offered), first)


def _sides_of(own: Size) -> list[Size]:
    if min(own) <= THUMBNAIL:
        return [own]
    return [own.with_shorter_side(side) for side in SIDES if side <= min(own)]


def _spaces(definition: Definition, sizes: Sequence[Size], wanted: Wanted) -> dict[Size, SearchSpace]:
    """Return the space at each size alone, as far as a network can be built there."""
    found: dict[Size, SearchSpace] = {}
    problem: InputError | None = None
    for size in sizes:
        try:
            found[size] = SearchSpace(definition.at(size), Volume(*size, wanted.depth), wanted.classes, wanted.memory)
        except InputError as error:
            problem = error
    if not found:
        assert problem is not None
        raise problem
    return found


def _suits(space: SearchSpace, wanted: Wanted) -> bool:
    try:
        epochs = _epochs(space, wanted)
    except InputError:  # no trial fits into the time
        return False
    enough = wanted.epochs is not None or epochs >= ENOUGH * usual_epochs(space, wanted.images)
    most = FIRST_SECONDS if wanted.seconds is None else FIRST_SHARE * wanted.seconds
    return enough and _seconds(space, epochs, wanted) <= most


def _epochs(space: SearchSpace, wanted: Wanted) -> int:
    if wanted.seconds is None:
        return wanted.epochs or usual_epochs(space, wanted.images)
    return epochs_for(space, wanted.images, wanted.seconds / 60, wanted.epochs, wanted.elapsed)


def _seconds(space: SearchSpace, epochs: int, wanted: Wanted) -> float:
    return Costs(wanted.images).trial(first_guess(space, wanted.images), epochs)


def _longest(wanted: Wanted) -> float:
    return LONGEST_SECONDS if wanted.seconds is None else LONGEST_SHARE * SEARCH_SHARE * wanted.seconds
