"""A space's dimensions as KerasTuner's hyperparameters, and values converted in both directions."""

import keras_tuner

from ...spaces.dimension import Choice, Dimension, Options
from ...spaces.space import SearchSpace


def hyperparameters(space: SearchSpace) -> keras_tuner.HyperParameters:
    """Return the dimensions of a space for KerasTuner; those of a layer are conditional on there being such a layer."""
    hps = keras_tuner.HyperParameters()
    for name, dimension in space.dimensions.items():
        if (needs := space.condition(name)) is None:
            register(hps, name, dimension)
            continue
        parent, least = needs
        values = space.dimensions[parent].values or ()
        enough = [encoded(space.dimensions[parent], value) for value in values if int(value) >= least]
        with hps.conditional_scope(parent, enough):
            register(hps, name, dimension)
    return hps


def register(hps: keras_tuner.HyperParameters, name: str, dimension: Dimension) -> None:
    """Add one dimension."""
    if isinstance(dimension, Options):
        hps.Choice(name, [encoded(dimension, value) for value in dimension.values])
        return
    sampling, step = "linear", dimension.step
    if dimension.log:
        sampling, step = "log", None  # on a logarithmic scale, KerasTuner's step is a factor
    elif dimension.whole:
        step = int(step or 1)
    kind, number = (hps.Int, int) if dimension.whole else (hps.Float, float)
    kind(name, number(dimension.low), number(dimension.high), step=step, sampling=sampling)


def encoded(dimension: Dimension, value: Choice) -> Choice:
    """Return a value as KerasTuner takes it: the options of a choice are all of one type."""
    if not isinstance(dimension, Options) or len({type(option) for option in dimension.values}) == 1:
        return value
    numbers = all(type(option) in (int, float) for option in dimension.values)
    return float(value) if numbers else str(value)


def decoded(dimension: Dimension, value: Choice) -> Choice:
    """Return the dimension's own value of one that KerasTuner has stored."""
    if not isinstance(dimension, Options):
        return dimension.nearest(value)
    return next(option for option in dimension.values if encoded(dimension, option) == value)
