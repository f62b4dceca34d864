"""Accuracy with its interval, and the classes one by one."""

import pytest

from convsearch.search.data import Dataset, Split
from convsearch.search.training.evaluation import evaluate
from convsearch.search.values.evaluation import Evaluation, wilson_interval
from convsearch.spaces.architecture import Architecture, Layer


# The last four: Newcombe (1998), Statistics in Medicine 17, table I, method 3; the others by hand.
@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(hits: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_holds_the_share_and_narrows_with_more_images() -> None:
    widths = []
    for count in (10, 100, 1000, 10_000):
        low, high = wilson_interval(count * 9 // 10, count)
        assert low < 0.9 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def test_precision_and_recall_are_those_of_the_confusion_matrix() -> None:
    found = Evaluation(accuracy=0.7, interval_95=(0.4, 0.9), count=10, confusion=((4, 1, 0), (2, 3, 0), (0, 0, 0)))
    assert found.per_class() == [
        (pytest.approx(4 / 6), pytest.approx(4 / 5), 5),
        (pytest.approx(3 / 4), pytest.approx(3 / 5), 5),
        (0.0, 0.0, 0),  # a class without images has no share, and divides nothing by zero
    ]


def test_a_model_is_measured_on_the_images_asked_for_each_with_its_own_label(digits: Dataset, parts: Split) -> None:
    from convsearch.search.system.backend import import_keras

    keras = import_keras()
    from convsearch.spaces.building.model import build

    keras.utils.set_random_seed(1)
    architecture = Architecture(input=digits.input, layers=(Layer(filters=4),), classes=10)
    model = build(architecture)
    indices = parts.test[::-1][:300]  # more than a batch, not in order
    found = evaluate(model, digits, indices)
    guesses = model.predict(digits.images()[indices], verbose=0).argmax(axis=1)
    truth = digits.labels()[indices]
    assert found.count == 300
    assert found.accuracy == pytest.approx((guesses == truth).mean())
    assert sum(map(sum, found.confusion)) == 300
    probabilities = model.predict(digits.images(), verbose=0)
    assert len(found.mistakes) == 100  # of some 270
    sure = [mistake.confidence for mistake in found.mistakes]
    assert sure == sorted(sure, reverse=True)
    for mistake in found.mistakes:
        assert mistake.image in indices
        assert mistake.label == digits.labels()[mistake.image]
        assert mistake.guess == probabilities[mistake.image].argmax() != mistake.label
        assert mistake.confidence == pytest.approx(probabilities[mistake.image].max(), abs=1e-5)
    least = min(sure)
    others = set(indices) - {mistake.image for mistake in found.mistakes}
    assert all(
        probabilities[i].argmax() == digits.labels()[i] or probabilities[i].max() <= least + 1e-5 for i in others
    )
    for true in range(10):
        for taken_for in range(10):
            expected = int(((truth == true) & (guesses == taken_for)).sum())
            assert found.confusion[true][taken_for] == expected
    assert found.interval_95 == wilson_interval(round(found.accuracy * 300), 300)
