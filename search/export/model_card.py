"""MODEL_CARD.md: what others need to know about the model.

After Mitchell et al., Model Cards for Model Reporting (2019).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from ...spaces.architecture import Candidate
from ..study.settings import StudySettings
from ..study.trial import Trial
from ..values.evaluation import Evaluation
from .markdown import plain

WIDEST = 30  # classes, up to which the confusion matrix is printed in full
CONFUSIONS = 15  # the number of most common confusions that are listed otherwise


@dataclass(frozen=True)
class Facts:
    """What the card is written from: the trial that won, and the candidate that the weights belong to.

    `test` is None where the test split was not read for this model; `tests` is how often this loop read it.
    `with_validation` says that the weights were trained on the validation images too; `repeats` is the candidate's mean
    and spread, if it was trained with several seeds.
    """

    study: StudySettings
    trial: Trial
    candidate: Candidate
    counts: dict[str, int]
    val_accuracy: float
    trained: str
    test: Evaluation | None
    tests: int = 1
    difference: float | None = None
    chosen: str | None = None
    with_validation: bool = False
    repeats: str | None = None


def model_card(facts: Facts) -> str:
    """Return the card as Markdown."""
    candidate = facts.candidate
    parts = [
        f"# {plain(facts.study.name)}: {candidate.architecture}",
        _summary(facts),
        "## Data\n\n" + _data(facts.study, facts.tests),
        "## Accuracy\n\n" + _accuracy(facts),
        "## How it was found\n\n" + _search(facts),
        "## The network\n\n" + _arithmetic(candidate),
        "## How it was trained\n\n" + _recipe(facts),
        "## Limits\n\n" + _limits(facts),
        "## Versions\n\n"
        + "\n".join(f"- {plain(name)} {plain(found)}" for name, found in facts.study.versions.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(facts: Facts) -> str:
    data, input = facts.study.data, facts.candidate.architecture.input
    return (
        f"A convolutional network that distinguishes {len(data.classes)} classes in images of "
        f"{input.height} x {input.width} pixels and {input.depth} "
        f"channel{'s' if input.depth > 1 else ''}. "
        f"Found and trained by Convsearch on {datetime.now(UTC):%d %B %Y}.\n\n"
        "It takes raw pixels from 0 to 255 and returns a probability for each class, in the order of "
        "`labels.txt`. Try it: `python predict.py IMAGE...`"
    )


def _data(study: StudySettings, tests: int) -> str:
    data = study.data
    notes = "".join(f"\n- {plain(note)}" for note in (*data.notes, *study.warm_notes))
    shown = ", ".join(map(plain, data.classes[:WIDEST])) + (" ..." if len(data.classes) > WIDEST else "")
    return (
        f"- Source: {plain(data.name)} (content fingerprint {data.fingerprint[:16]})\n"
        f"- Classes: {shown}\n"
        f"- Images: {data.train:,} for training, {data.val:,} for validation, {data.test:,} for the test; "
        f"seed {study.seed}, stratified\n"
        f"- The test images were held out before the search and read {_read(study, tests)}{notes}"
    )


def _read(study: StudySettings, tests: int) -> str:
    own = "" if study.storage is None else "; each loop that shares this study counts only its own readings"
    if tests == 0:
        return f"not yet{own}"
    if tests == 1:
        return f"once, for the final model{own}"
    again = "because the study continued after a winner had been tested"
    return f"{tests} times, {again}; the search never used them{own}"


def _accuracy(facts: Facts) -> str:
    text = f"Validation accuracy {facts.val_accuracy:.1%} (the search selected by it, so it is optimistic)."
    if facts.with_validation:
        text = (
            f"Validation accuracy {facts.val_accuracy:.1%} in the trial that the search chose. These weights were "
            "trained longer, on the validation images too: only the test shows how good they are."
        )
    test = facts.test
    if test is None:
        return text + "\n\nThe test split was not read for this model: it is kept for the winner of the search."
    low, high = test.interval_95
    rows = [
        f"| {plain(name)} | {precision:.1%} | {f'{recall:.1%}' if count else '-'} | {count} |"
        for name, (precision, recall, count) in zip(facts.study.data.classes, test.per_class(), strict=True)
    ]
    return (
        f"**Test accuracy {test.accuracy:.1%}**, 95 % interval {low:.1%} to {high:.1%} ({test.count:,} images). "
        + text
        + "\n\n| class | precision | recall | images |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\n"
        + _confusion(facts.study.data.classes, test)
    )


def _confusion(classes: tuple[str, ...], test: Evaluation) -> str:
    if len(classes) <= WIDEST:
        head = "| true \\ predicted | " + " | ".join(map(plain, classes)) + " |"
        rule = "| --- " * (len(classes) + 1) + "|"
        rows = [
            f"| **{plain(name)}** | " + " | ".join(str(n) if n else "" for n in row) + " |"
            for name, row in zip(classes, test.confusion, strict=True)
        ]
        return "\n".join(["Confusion matrix:\n", head, rule, *rows])
    found = sorted(
        ((n, i, j) for i, row in enumerate(test.confusion) for j, n in enumerate(row) if i != j and n),
        key=lambda item: -item[0],
    )
    lines = [f"- {n} x {plain(classes[i])} predicted as {plain(classes[j])}" for n, i, j in found[:CONFUSIONS]]
    return "\n".join(["The most common confusions:\n", *lines])


def _search(facts: Facts) -> str:
    study, counts = facts.study, facts.counts
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return (
        f"Space {plain(study.space)}, engine {plain(study.engine)}, algorithm {plain(study.algorithm)}, "
        f"pruner {plain(study.pruner)}, up to {study.epochs} epochs per trial. Trials: {states}. {_several(facts)}"
        f"This is trial {facts.trial.number}, whose validation accuracy in the search was "
        f"{facts.trial.value or 0:.1%}{'' if facts.repeats is None else f' ({facts.repeats})'}. {plain(facts.trained)}"
    )


def _several(facts: Facts) -> str:
    """Return how accuracy and costs were weighed, if there were several objectives."""
    if len(facts.study.objectives) == 1:
        return ""
    latency = facts.trial.latency_ms
    took = "" if latency is None else f" One image took {latency:.2f} ms on the machine of the search."
    chosen = "" if facts.chosen is None else f" Chosen: {plain(facts.chosen)}."
    return f"Objectives: {', '.join(facts.study.objectives)}.{chosen}{took} "


def _arithmetic(candidate: Candidate) -> str:
    architecture = candidate.architecture
    rows = [
        f"| {step.name} | {step.before} | {step.after} | "
        + (f"{step.kernel_size}, {step.stride}, {step.padding}" if step.is_filter else "")
        + f" | {step.receptive_field} | {step.parameters:,} | {step.macs:,} |"
        for step in architecture.steps
    ]
    return (
        f"{architecture.parameters:,} parameters ({4 * architecture.parameters / 1e6:.2f} MB in float32), "
        f"{architecture.macs:,} multiply-accumulates and {architecture.activation_bytes / 1e6:.2f} MB of activations "
        "for one image.\n\n"
        "| layer | in | out | K, S, padding | receptive field | parameters | MACs |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n" + "\n".join(rows)
    )


def _recipe(facts: Facts) -> str:
    recipe = facts.candidate.recipe
    lines = [f"- {key}: {value}" for key, value in recipe if key != "augmentation"]
    on = [f"{key} {value}" for key, value in recipe.augmentation if value]
    weights = "\n- class weights: every class counts the same" if facts.study.class_weights else ""
    return "\n".join(lines) + f"\n- augmentation: {', '.join(on) or 'none'}" + weights


def _limits(facts: Facts) -> str:
    data, input = facts.study.data, facts.candidate.architecture.input
    size = f"{input.height} x {input.width}"
    fitted = {
        "stretch": f"are stretched to {size}",
        "crop": f"are resized, and what of them is beside the middle {size} is cut off",
        "pad": f"are resized into {size}, with grey beside them",
    }
    lines = [
        f"- It knows {len(data.classes)} classes and assigns one of them to any image, whatever it shows.",
        f"- Images of another size {fitted[data.fit]}; details lost in the process cannot be seen.",
        "- The figures hold for images like those of the data set, and say nothing about others.",
        "- A probability is the network's own confidence; it was not calibrated.",
    ]
    if facts.difference is not None:
        lines.append(
            "- The saved model was loaded in a fresh process without Convsearch; its predictions differed from those "
            f"of the model in memory by at most {facts.difference:.1g}."
        )
    return "\n".join(lines)
