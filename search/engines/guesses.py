"""The first proposals of a study: what somebody who knows ConvNets would write down before any search.

Three layers of 3 x 3 filters that double in number while max pooling halves the sides, batch normalisation, a global
average: the plain descendant of VGG (Simonyan and Zisserman, 2014). A search that begins with it has something to beat,
and an engine that learns has something to learn from. Brought to the space at hand like every other proposal.
"""

from collections.abc import Iterator

from ...spaces.dimension import Choice, Dimension, Options
from ...spaces.space import SearchSpace, Values

WIDTHS = (32, 16, 8, 4)  # filters of the first layer; the first that keeps the limits is taken
LIKED: dict[str, Choice] = {
    "layers": 3,
    "kernel_size": 3,
    "padding": "same",
    "activation": "relu",
    "batch_norm": True,
    "one_by_one": 0,
    "pool_size": 2,
    "dropout": 0,
    "hidden_layers": 0,
    "units": 64,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "schedule": "warmup_cosine",
    "weight_decay": 1e-3,
    "batch_size": 32,
    "label_smoothing": 0,
    "translation": 0.12,
}


def guesses(space: SearchSpace) -> Iterator[Values]:
    """Yield fitted values of the network that suits the space, without and with mirrored images."""
    pools = any(
        name.endswith(".pooling") and not name.startswith("head.") and dimension.values != ("none",)
        for name, dimension in space.all_dimensions.items()
    )
    for mirrored in (False, True):
        likings = LIKED | {"horizontal_flip": mirrored, "stride": 1 if pools else 2}
        for width in WIDTHS:
            values = space.fit({name: _liked(name, d, width, likings) for name, d in space.dimensions.items()})
            if space.excess(space.candidate(values)) is None:
                yield values
                break


def _liked(name: str, dimension: Dimension, width: int, likings: dict[str, Choice]) -> Choice:
    """Return the value of a dimension that is nearest to the liking, or its first where there is none."""
    section, _, key = name.rpartition(".")
    number = section.removeprefix("layer")
    own: dict[str, Choice] = {
        "filters": width * 2 ** min(int(number) - 1, 3) if number.isdigit() else width,
        "pooling": "global_average" if section == "head" else "max",
    }
    first = dimension.values[0] if isinstance(dimension, Options) else dimension.low
    try:
        return dimension.nearest((likings | own).get(key.rstrip("0123456789"), first))
    except ValueError:  # a word that this space does not have
        return first
