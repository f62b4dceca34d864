"""What the best trials have in common, why others failed, and the contract of `show --json`."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from samples import a_study, write_result

from convsearch.search.report.spread import spread_in_home
from convsearch.search.report.study import (
    COMMON,
    common_lines,
    failure_lines,
    front_table,
    importance_lines,
    next_commands,
    result_lines,
    standing_lines,
    study_table,
)
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.objectives import Preference
from convsearch.search.study.record import Record
from convsearch.search.study.repeats import Repeat, Repeats, standings
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal, State
from convsearch.spaces.architecture import Architecture, Candidate, Layer, Recipe
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace


def ended(
    number: int, value: float | None, layer: Layer, recipe: Recipe | None = None, state: State = "complete"
) -> Trial:
    candidate = Candidate(
        architecture=Architecture(input=Volume(8, 8, 1), layers=(layer,), classes=2), recipe=recipe or Recipe()
    )
    return Trial.begin(Proposal(number, {}, candidate)).model_copy(update={"state": state, "value": value})


def none() -> None:
    """No trial was trained more than once."""


def record_of(folder: Path, trials: list[Trial]) -> Record:
    folder.mkdir(exist_ok=True)
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
    for number, value in ((0, 0.78), (1, 0.77)):
        repeats.add(Repeat(number=number, seed=1, value=value, epochs=1, seconds=1.0))
    lines = standing_lines(made, repeats, Preference(), 500, none)
    assert lines[1] == "  trial 0: mean 79.0%, standard deviation 1.4% (80.0%, 78.0%)"
    assert lines[-1] == "  trials 0 and 1 differ by 1.0%, which is within the noise"
    apart = record_of(tmp_path / "apart", [trial for number, trial in made.trials.items() if number != 1])
    lines = standing_lines(apart, repeats, Preference(), 500, none)
    assert lines[-1] == "  trials 0 and 2 differ by 29.0%, more than the noise"


def test_one_that_was_trained_once_and_reached_more_than_the_first_on_average_is_told(tmp_path: Path) -> None:
    made = record_of(tmp_path, [ended(0, 0.80, Layer(filters=8)), ended(1, 0.79, Layer(filters=9))])
    repeats = Repeats(tmp_path)
    repeats.add(Repeat(number=0, seed=1, value=0.76, epochs=1, seconds=1.0))
    assert standing_lines(made, repeats, Preference(), 500, none)[-1] == (
        "  trial 1, trained once, reached 1.0% more than the mean of trial 0: which one is better is not known"
    )


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (0.79, "trials 0 and 1 differ by 1.0%, which is within the noise"),  # of 500 images that validate
        (
            0.60,
            "trials 0 and 1 differ by 20.0%, and whether that is chance is not known: no trial of this home has been "
            "trained more than once on these images; --resume with more --repeats (and more --minutes, if time was "
            "short) trains the best again",
        ),
    ],
)
def test_where_none_was_trained_again_it_is_said_what_that_means(tmp_path: Path, second: float, said: str) -> None:
    trials = [ended(0, 0.80, Layer(filters=8)), ended(1, second, Layer(filters=9))]
    made, repeats = record_of(tmp_path, trials), Repeats(tmp_path)
    assert standing_lines(made, repeats, Preference(), 500, none) == [said]
    assert standing_lines(record_of(tmp_path / "one", trials[:1]), repeats, Preference(), 500, none) == []


def kept(home: Home, name: str, values: list[float], again: dict[int, float], **facts: object) -> StudyFolder:
    """A study of a home, with a second training of some of its trials."""
    folder = home.study(name)
    data = a_study().data.model_copy(update={"val": 500, **facts})
    with folder.create(a_study(name=name, data=data), "layers: [1]\n"):
        pass
    record_of(folder.path, [ended(number, value, Layer(filters=8 + number)) for number, value in enumerate(values)])
    repeats = folder.repeats()
    for number, value in again.items():
        repeats.add(Repeat(number=number, seed=1, value=value, epochs=1, seconds=1.0))
    return folder


@pytest.mark.parametrize(
    ("second", "apart", "verdict"),
    [(0.60, "20.0%", "more than the noise"), (0.74, "6.0%", "which is within the noise")],
)
def test_where_neither_was_trained_again_what_other_studies_have_shown_on_the_same_images_tells(
    second: float, apart: str, verdict: str, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    folder = kept(home, "mine", [0.80, second], {})
    kept(home, "wide", [0.80, 0.70], {0: 0.82, 1: 0.72})
    kept(home, "deep", [0.60], {0: 0.62})
    kept(home, "other-images", [0.60], {0: 0.95}, fingerprint="e" * 64)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "study.yaml").write_text("format: 99\n")
    lines = standing_lines(folder.record(), folder.repeats(), Preference(), 500, lambda: spread_in_home(folder))
    assert lines == [
        f"trials 0 and 1 differ by {apart}, {verdict}: neither was trained again, but trainings of one network on "
        "these images have a standard deviation of 1.4% (from 6 trainings of 3 trials, those of 2 other studies "
        "included)"
    ]


def test_the_spread_of_other_trials_of_the_study_counts_and_a_copy_of_it_does_not(tmp_path: Path) -> None:
    home = Home(tmp_path)
    folder = kept(home, "mine", [0.80, 0.60, 0.50], {2: 0.52})
    shutil.copytree(folder.path, tmp_path / "copy")
    assert spread_in_home(folder) == spread_in_home(home.study("copy"))
    found = spread_in_home(folder)
    assert found is not None
    assert (found.trials, found.freedom, found.others) == (1, 1, 0)
    assert found.deviation == pytest.approx(0.0141, abs=1e-4)


def test_what_came_after_the_repeats_and_is_to_be_named_is_held_against_the_best_of_them(tmp_path: Path) -> None:
    values = (0.80, 0.79, 0.95)
    made = record_of(tmp_path, [ended(number, value, Layer(filters=8 + number)) for number, value in enumerate(values)])
    repeats = Repeats(tmp_path)
    for number, value in ((0, 0.79), (1, 0.78)):
        repeats.add(Repeat(number=number, seed=1, value=value, epochs=1, seconds=1.0))
    assert standing_lines(made, repeats, Preference(), 500, none)[-1] == (
        "  trials 2 and 0 differ by 15.5%, more than the noise"
    )


def test_of_the_knee_no_lead_is_told(tmp_path: Path) -> None:
    made = record_of(tmp_path, [ended(number, 0.5 + number / 10, Layer(filters=8 + number)) for number in range(3)])
    assert standing_lines(made, Repeats(tmp_path), Preference(("val_accuracy", "parameters")), 500, none) == []
    limited = Preference(("val_accuracy", "parameters"), under=("parameters", 10_000.0))
    assert len(standing_lines(made, Repeats(tmp_path), limited, 500, none)) == 1


def test_the_front_marks_the_trial_that_is_chosen_after_the_repeats(tmp_path: Path) -> None:
    filters = {0: 4, 1: 16, 2: 15, 3: 64}
    values = {0: 0.50, 1: 0.85, 2: 0.84, 3: 0.92}
    made = record_of(tmp_path, [ended(number, values[number], Layer(filters=filters[number])) for number in filters])
    preference, repeats = Preference(("val_accuracy", "parameters")), Repeats(tmp_path)

    def marked() -> list[int]:
        console = Console(file=io.StringIO(), width=200)
        console.print(front_table(made, repeats, preference))
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        return [int(line.split("│")[1]) for line in lines if "the knee of the front" in line]

    (first,) = marked()
    assert first == preference.ranked(made)[0].number
    for number, again in ((first, 0.2), (3 - first, values[3 - first])):
        repeats.add(Repeat(number=number, seed=1, value=again, epochs=1, seconds=1.0))
    (after,) = marked()
    assert after == standings(made, repeats, preference)[0].trial.number != first


def test_where_all_trials_reached_the_same_nothing_mattered(tmp_path: Path) -> None:
    space = SearchSpace(load("tiny"), Volume(8, 8, 1), 2)
    made = record_of(tmp_path, [ended(number, 1.0, Layer(filters=8 + number)) for number in range(12)])
    assert importance_lines(space, made) == ["what mattered: nothing; all 12 trials reached the same"]


def test_of_how_many_trials_nothing_can_be_said_of_what_mattered(tmp_path: Path) -> None:
    space = SearchSpace(load("tiny"), Volume(8, 8, 1), 2)
    assert importance_lines(space, record_of(tmp_path / "none", [])) == []
    one = record_of(tmp_path, [ended(0, 0.8, Layer(filters=8)), ended(1, None, Layer(filters=9), state="failed")])
    assert importance_lines(space, one) == ["what mattered: too few trials to tell (1; 10 are needed)"]


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


@pytest.mark.parametrize(
    ("tests", "shared", "said"),
    [
        (1, False, "(20 images)"),
        (2, False, "(20 images), read 2 times, because the study continued"),
        (1, True, "(20 images), read once by this loop"),
        (3, True, "(20 images), read 3 times by this loop, because the study continued"),
    ],
)
def test_how_often_the_test_images_were_read_is_told_and_by_whom(
    tests: int, shared: bool, said: str, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "mine")
    study = a_study(**({"storage": "postgresql://me@host/x", "loop": "here"} if shared else {}))
    with folder.create(study, "layers: [1]\n"):
        pass
    record_of(folder.path, [ended(0, 0.9, Layer(filters=8))])
    write_result(folder, tests=tests)
    assert result_lines(folder)[1].endswith(said)


def test_a_home_that_was_moved_is_looked_at_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "moved")
    folder = home.study("mine")
    with folder.create(a_study(), "layers: [1]\n"):
        pass
    write_result(folder, mlflow=f"sqlite:///{tmp_path}/before/mlflow.db")
    assert f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/moved/mlflow.db" in next_commands(home, folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    assert "open https://mlflow.example in a browser" in next_commands(home, folder)
    write_result(folder, mlflow=None)  # nothing has been delivered
    assert not [line for line in next_commands(home, folder) if "mlflow" in line]


@pytest.mark.parametrize("content", ["format: 99\n", "seed: 2026-99-99\n", "seed: !!bool x\n", "seed: !!int ''\n"])
def test_a_study_that_cannot_be_read_hides_no_other_one(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path)
    with home.study("good").create(a_study(name="good"), "layers: [1]\n"):
        pass
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "study.yaml").write_text(content)
    console = Console(file=io.StringIO(), width=200)
    console.print(study_table(home))
    printed = console.file.getvalue()
    assert "good" in printed
    assert f"{tmp_path}/strange/study.yaml: " in printed.replace("\n", "")
    home.refuse_a_copy(home.study("good"))
