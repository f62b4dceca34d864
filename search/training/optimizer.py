"""Recipe -> a Keras optimizer, with a learning rate schedule that spans the steps of the training."""

from typing import Any

import keras

from ...spaces.architecture import Recipe

WARM_UP = 0.05  # share of the steps during which `warmup_cosine` rises
EXPONENTIAL_END = 0.01  # share of the learning rate that `exponential` ends with
MOMENTUM = 0.9  # of sgd, with Nesterov momentum


def learning_rate(recipe: Recipe, steps: int) -> Any:
    """Return a number or a Keras schedule that reaches its end after `steps` steps."""
    peak, schedules = recipe.learning_rate, keras.optimizers.schedules
    if recipe.schedule == "cosine":
        return schedules.CosineDecay(peak, steps)
    if recipe.schedule == "warmup_cosine":
        rise = max(1, round(WARM_UP * steps))
        return schedules.CosineDecay(0.0, max(1, steps - rise), warmup_target=peak, warmup_steps=rise)
    if recipe.schedule == "exponential":
        return schedules.ExponentialDecay(peak, steps, EXPONENTIAL_END)
    return peak


def optimizer(recipe: Recipe, steps: int | None) -> Any:
    """Return the recipe's optimizer for a training of `steps` steps; None if a callback sets the learning rate.

    Biases and normalisations are excluded from weight decay.
    """
    rate, decay = recipe.learning_rate if steps is None else learning_rate(recipe, steps), recipe.weight_decay or None
    kinds = {
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay),
        "adam": lambda: keras.optimizers.Adam(rate, weight_decay=decay),
        "nadam": lambda: keras.optimizers.Nadam(rate, weight_decay=decay),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True, weight_decay=decay),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, weight_decay=decay),
    }
    made = kinds[recipe.optimizer]()
    # Keras would sum the gradients over replicas, of which there is only one; TensorFlow never frees what it keeps for
    # that, the graph of a step: a worker would grow with each trial, and each would take longer to start.
    made._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables
    if recipe.weight_decay:
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made
