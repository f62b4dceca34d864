"""What the best trials have in common, why others failed, and the contract of `show --json`."""

from pathlib import Path

from convsearch.search.engines.protocol import Proposal, State
from convsearch.search.objectives import Preference
from convsearch.search.record import Record, Trial
from convsearch.search.repeats import Repeat, Repeats
from convsearch.search.report import COMMON, common_lines, failure_lines, standing_lines
from convsearch.spaces.architecture import Architecture, Candidate, Layer, Recipe
from convsearch.spaces.arithmetic import Volume


def ended(
    number: int, value: float | None, layer: Layer, recipe: Recipe | None = None, state: State = "complete"
) -> Trial:
    candidate = Candidate(
        architecture=Architecture(input=Volume(8, 8, 1), layers=(layer,), classes=2), recipe=recipe or Recipe()
    )
    return Trial.begin(Proposal(number, {}, candidate)).model_copy(update={"state": state, "value": value})


def record_of(folder: Path, trials: list[Trial]) -> Record:
    record = Record(folder)
    for trial in trials:
        record.add(trial)
    return record


def test_what_all_of_the_best_have_and_few_of_the_others_is_named_with_its_share(tmp_path: Path) -> None:
    best = [ended(i, 0.9 - i / 100, Layer(filters=8 + i, kernel_size=5)) for i in range(COMMON)]
    rest = [ended(10 + i, 0.3, Layer(filters=8 + i, kernel_size=5 if i == 0 else 3)) for i in range(COMMON)]
    lines = common_lines(record_of(tmp_path, best + rest))
    assert lines == [f"the best {COMMON} have in common:", "  layer1.kernel_size is 5 (in 20% of the others)"]


def test_what_nearly_all_trials_have_says_nothing_of_the_best(tmp_path: Path) -> None:
    best = [ended(i, 0.9, Layer(filters=8 + i)) for i in range(COMMON)]
    rest = [ended(10 + i, 0.3, Layer(filters=8 + i)) for i in range(COMMON)]
    lines = common_lines(record_of(tmp_path, best + rest))
    assert lines == [f"the best {COMMON} have nothing in common that the others lack"]


def test_the_rarest_among_the_others_comes_first(tmp_path: Path) -> None:
    best = [
        ended(i, 0.9, Layer(filters=8 + i, kernel_size=5), Recipe(optimizer="sgd", learning_rate=0.1))
        for i in range(COMMON)
    ]
    rest = [
        ended(10 + i, 0.3, Layer(filters=8 + i, kernel_size=5 if i < 2 else 3), Recipe(learning_rate=0.001 * (1 + i)))
        for i in range(COMMON)
    ]
    lines = common_lines(record_of(tmp_path, best + rest))
    assert lines[-1] == "  layer1.kernel_size is 5 (in 40% of the others)"
    assert set(lines[1:-1]) == {
        "  learning_rate is 0.1 (in 0% of the others)",
        "  optimizer is sgd (in 0% of the others)",
    }


def test_of_too_few_trials_nothing_is_said(tmp_path: Path) -> None:
    best = [ended(i, 0.9, Layer(filters=8 + i, kernel_size=5)) for i in range(COMMON)]
    rest = [ended(10 + i, 0.3, Layer(filters=8 + i)) for i in range(COMMON - 1)]
    assert common_lines(record_of(tmp_path, best + rest)) == []


def test_what_was_trained_again_is_told_with_mean_spread_and_whether_chance_alone_makes_the_difference(
    tmp_path: Path,
) -> None:
    values = {0: 0.80, 1: 0.79, 2: 0.50}
    made = record_of(tmp_path, [ended(number, value, Layer(filters=8 + number)) for number, value in values.items()])
    repeats = Repeats(tmp_path)
    assert standing_lines(made, repeats, Preference(), 500) == []
    for number, value in ((0, 0.78), (1, 0.77)):
        repeats.add(Repeat(number=number, seed=1, value=value, epochs=1, seconds=1.0))
    lines = standing_lines(made, repeats, Preference(), 500)
    assert lines[1] == "  trial 0: 79.0% on average, spread 1.4% (80.0%, 78.0%)"
    assert lines[-1] == "  trials 0 and 1 differ by 1.0%, which is within the noise"
    repeats.add(Repeat(number=2, seed=1, value=0.51, epochs=1, seconds=1.0))
    repeats.all = [repeat for repeat in repeats.all if repeat.number != 1]
    lines = standing_lines(made, repeats, Preference(), 500)
    assert lines[-1] == "  trials 0 and 2 differ by 28.5%, more than the noise"


def test_reasons_of_failures_are_named_once_the_commonest_first(tmp_path: Path) -> None:
    reasons = ["out of memory", "the loss became NaN", "the loss became NaN"]
    trials = [
        ended(i, None, Layer(filters=8 + i), state="failed").model_copy(update={"error": reason})
        for i, reason in enumerate(reasons)
    ]
    trials.append(ended(9, 0.5, Layer(filters=4)))
    assert failure_lines(record_of(tmp_path, trials)) == [
        "failed, 2 x: the loss became NaN",
        "failed, 1 x: out of memory",
    ]
