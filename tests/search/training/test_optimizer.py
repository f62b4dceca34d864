"""Recipes as Keras's optimizers."""

import numpy as np
import pytest

from convsearch.search.data import Dataset
from convsearch.search.system.backend import import_keras
from convsearch.spaces.architecture import Architecture, Head, Layer, Optimizer, Recipe, Schedule, names

import_keras()

from convsearch.search.training.optimizer import EXPONENTIAL_END, learning_rate, optimizer  # noqa: E402
from convsearch.spaces.building.model import build  # noqa: E402


def rate(schedule: Schedule, step: int, steps: int = 200) -> float:
    found = learning_rate(Recipe(learning_rate=0.5, schedule=schedule), steps)
    return float(found if isinstance(found, float) else found(step))


def test_schedules_lay_the_learning_rate_over_all_steps_of_the_training() -> None:
    assert rate("constant", 0) == rate("constant", 200) == 0.5
    assert [rate("cosine", step) for step in (0, 100, 200)] == pytest.approx([0.5, 0.25, 0.0], abs=1e-6)
    assert rate("warmup_cosine", 0) == pytest.approx(0.0)
    assert rate("warmup_cosine", 10) == pytest.approx(0.5)  # 5 % of 200
    assert rate("warmup_cosine", 105) == pytest.approx(0.25)
    assert rate("warmup_cosine", 200) == pytest.approx(0.0, abs=1e-6)
    assert rate("exponential", 0) == pytest.approx(0.5)
    assert rate("exponential", 200) == pytest.approx(0.5 * EXPONENTIAL_END)


def test_a_training_of_a_single_step_has_a_schedule_too() -> None:
    for schedule in names(Schedule):
        assert 0 <= rate(schedule, 0, steps=1) <= 0.5  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names(Optimizer))
def test_weight_decay_shrinks_kernels_and_spares_biases_and_normalisations(name: Optimizer, digits: Dataset) -> None:
    layers = (Layer(filters=4, batch_norm=True),)
    model = build(Architecture(input=digits.input, layers=layers, head=Head(pooling="flatten"), classes=10))
    recipe = Recipe(optimizer=name, learning_rate=0.1, schedule="constant", weight_decay=0.5)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    made = optimizer(recipe, 10)
    made.build(model.trainable_variables)
    made.apply([np.zeros(variable.shape, "float32") for variable in model.trainable_variables])
    changed = {variable.name for variable in model.trainable_variables if not np.allclose(variable.numpy(), 1.0)}
    assert changed == {"kernel"}
