"""A space without our loop: in an objective of Optuna, and as a HyperModel of KerasTuner, as the guide shows them."""

import re
from pathlib import Path
from random import Random

import numpy as np
import optuna
import pytest

from convsearch.search.data import Dataset, Split
from convsearch.search.system.backend import import_keras
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse, read
from convsearch.spaces.space import SearchSpace

keras = import_keras()

import keras_tuner  # noqa: E402

from convsearch.search.engines.hypermodel import SpaceHyperModel  # noqa: E402
from convsearch.search.training.model import trainable  # noqa: E402

TINY = """
layers: {min: 1, max: 3}
each_layer: {filters: [4, 8], pooling: [none, max]}
recipe: {learning_rate: {min: 0.001, max: 0.03, log: true}, batch_size: [32, 64]}
limits: {max_parameters: 2_000}
"""


@pytest.fixture(scope="module")
def space(digits: Dataset) -> SearchSpace:
    return SearchSpace(parse(TINY, "tiny.yaml"), digits.input, 10)


@pytest.mark.parametrize("name", ["classic", "tiny", "all_convolutional", "network_in_network", "textbook"])
@pytest.mark.parametrize("input", [(8, 8, 1), (32, 32, 3)])
def test_whatever_optuna_suggests_becomes_a_network_that_fits(name: str, input: tuple[int, int, int]) -> None:
    space = SearchSpace(load(name), Volume(*input), 10)

    def objective(trial: optuna.Trial) -> float:
        candidate = space.suggest(trial)
        assert space.excess(candidate) is None
        assert len(candidate.architecture.layers) <= trial.params.get("layers", 99)
        # What has no meaning is not asked for.
        assert f"layer{trial.params.get('layers', 0) + 1}.filters" not in trial.params
        return candidate.architecture.parameters

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=20)
    assert len(study.trials) == 20


def test_the_same_suggestions_make_the_same_candidate(space: SearchSpace) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(10):
        trial = study.ask()
        candidate = space.suggest(trial)
        assert space.suggest(optuna.trial.FixedTrial(trial.params)) == candidate


def test_the_programs_of_the_guide_run_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = Path(__file__).parents[2].joinpath("docs", "guide.md").read_text(encoding="utf-8")
    by_optuna, by_keras_tuner, resizing = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    random = np.random.default_rng(0)
    x, x_val = (random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8) for count in (32, 16))
    y, y_val = (keras.utils.to_categorical(random.integers(0, 10, count), 10) for count in (32, 16))
    names = {"x": x, "y": y, "x_val": x_val, "y_val": y_val, "keras_tuner": keras_tuner}
    exec(by_optuna, names)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(names["objective"], n_trials=1)
    assert 0 <= study.best_value <= 1

    monkeypatch.chdir(tmp_path)  # KerasTuner writes where it is
    assert "max_trials=20" in by_keras_tuner
    exec(by_keras_tuner.replace("max_trials=20", "max_trials=1"), names)  # all is said by one
    assert len(names["tuner"].get_best_models()) == 1

    space = SearchSpace(parse("input_size: [16, 24]\n" + read("tiny"), "sizes.yaml"), Volume(32, 32, 3), 10)
    for size in ((16, 16), (24, 24)):
        values = space.draw(Random(0)) | {"input_size": "x".join(map(str, size))}
        candidate = space.candidate(space.fit(values))
        found = names | {"candidate": candidate, "keras": keras}
        exec(resizing, found)
        model, _ = trainable(candidate, images=len(x), epochs=1)
        model.fit(found["small"], y, verbose=0)
        assert len(model.evaluate(found["small_val"], y_val, verbose=0)) == 2
        assert found["small"].shape == (32, *size, 3)


def test_an_objective_of_optuna_trains_what_it_suggests(space: SearchSpace, digits: Dataset, parts: Split) -> None:
    x, y = digits.images()[parts.train], keras.utils.to_categorical(digits.labels()[parts.train], 10)

    def objective(trial: optuna.Trial) -> float:
        candidate = space.suggest(trial)
        model, _ = trainable(candidate, images=len(x), epochs=8)
        history = model.fit(x, y, batch_size=candidate.recipe.batch_size, epochs=8, verbose=0)
        return float(history.history["accuracy"][-1])

    keras.utils.set_random_seed(0)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=2)
    assert study.best_value > 0.2


def test_a_tuner_of_keras_tuner_searches_the_space(
    space: SearchSpace, digits: Dataset, parts: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = digits.images(), digits.labels()
    tuner = keras_tuner.BayesianOptimization(
        SpaceHyperModel(space, images=len(parts.train), epochs=2),
        objective="val_accuracy",
        max_trials=3,
        directory=tmp_path,
        seed=1,
    )
    tuner.search(
        images[parts.train],
        labels[parts.train],
        validation_data=(images[parts.val], labels[parts.val]),
        epochs=2,
        verbose=0,
    )
    best = tuner.get_best_hyperparameters()[0]
    # Keras's own data sets have labels of shape (n, 1).
    hypermodel = SpaceHyperModel(space, images=len(parts.train), epochs=1)
    validation = (images[parts.val], labels[parts.val][:, None], np.ones(len(parts.val)))
    history = hypermodel.fit(
        best,
        hypermodel.build(best),
        images[parts.train],
        labels[parts.train][:, None],
        validation_data=validation,
        verbose=0,
    )
    assert len(history.history["val_accuracy"]) == 1
    candidate = SpaceHyperModel(space, images=len(parts.train), epochs=2).candidate(best)
    assert space.excess(candidate) is None
    model = tuner.get_best_models()[0]
    assert candidate.architecture.parameters == model.count_params()
    assert np.shape(model.predict(images[:3], verbose=0)) == (3, 10)
