"""Translates a candidate of one space to the nearest values of another."""

from ..architecture import Candidate
from ..dimension import Choice, Dimension, Options
from ..fitting import AS_POOL_SIZE
from ..space import SearchSpace, Values


def values_near(space: SearchSpace, candidate: Candidate) -> Values | None:
    """Return the fitted values of `space` nearest to a candidate of any space and any input.

    A word that is not among the space's options is replaced by the first option; what all layers share in this space
    is taken from the candidate's first layer. None if the nearest candidate exceeds the limits.
    """
    flat: dict[str, Choice] = dict(candidate.flat())
    for number, layer in enumerate(candidate.architecture.layers, start=1):
        if layer.pooling != "none" and layer.pool_stride == layer.pool_size:
            flat[f"layer{number}.pool_stride"] = AS_POOL_SIZE
        if layer.pooling == "none":  # its sizes are 0 and mean nothing
            del flat[f"layer{number}.pool_size"], flat[f"layer{number}.pool_stride"]
    values = {name: _nearest(name, dimension, flat) for name, dimension in space.dimensions.items()}
    fitted = space.fit(values)
    return fitted if space.excess(space.candidate(fitted)) is None else None


def _nearest(name: str, dimension: Dimension, flat: dict[str, Choice]) -> Choice:
    first = dimension.values[0] if isinstance(dimension, Options) else dimension.low
    section, _, key = name.rpartition(".")
    value = flat.get(name, flat.get(f"layer1.{key}", first) if section == "all_layers" else first)
    if value == AS_POOL_SIZE and AS_POOL_SIZE not in (dimension.values or ()):
        value = flat.get(name.replace("pool_stride", "pool_size"), first)
    try:
        return dimension.nearest(value)
    except ValueError:
        return first
