"""What stands in the model card as text is shown as text, whatever users and their files are called."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from nasty import NAMES
from samples import a_study

from convsearch.search.export.markdown import plain
from convsearch.search.export.model_card import WIDEST, Facts, model_card
from convsearch.search.study.settings import DataFacts, StudySettings
from convsearch.search.study.trial import Trial
from convsearch.search.values.evaluation import Evaluation
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Architecture, Candidate, Layer, Recipe
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.printable import printable

RENDERERS = [
    MarkdownIt("gfm-like", {"html": True, "linkify": False}),
    MarkdownIt("commonmark", {"html": True}).enable("table"),
]
ACTIVE = {"html_inline", "html_block", "link_open", "image"}


def card(
    classes: list[str], study: str, space: str, data: str, note: str, chosen: str, trained: str, version: str
) -> str:
    """A card that has all these texts from outside."""
    input = Volume(8, 8, 1)
    architecture = Architecture(input=input, layers=(Layer(filters=8),), classes=len(classes))
    candidate = Candidate(architecture=architecture, recipe=Recipe())
    facts = DataFacts(
        name=data,
        source="data",
        fingerprint="0" * 64,
        input=input,
        classes=tuple(classes),
        folder="data",
        train=60,
        val=20,
        test=20,
        notes=(note,),
    )
    terms: dict[str, Any] = {"engine": "optuna", "algorithm": "tpe", "pruner": "none", "trials": 1, "seed": 0}
    terms |= {"class_weights": False, "created_at": "2026-01-01", "data": facts, "epochs": 2}
    terms["versions"] = {version: version}
    described = StudySettings(name=study, space=space, objectives=("val_accuracy", "parameters"), **terms)
    trial = Trial.begin(Proposal(0, {}, candidate)).model_copy(update={"state": "complete", "value": 0.9})
    confusion = tuple(tuple(5 for _ in classes) for _ in classes)
    test = Evaluation(accuracy=0.5, interval_95=(0.4, 0.6), count=20, confusion=confusion)
    return model_card(Facts(described, trial, candidate, {"complete": 1}, 0.9, trained, test, chosen=chosen))


def tokens(parser: MarkdownIt, text: str) -> Iterator[Token]:
    for token in parser.parse(text):
        yield token
        yield from token.children or ()


def structure(parser: MarkdownIt, text: str) -> list[str]:
    """The kinds of all tokens but text, in their order."""
    return [token.type for token in tokens(parser, text) if token.type not in ("text", "text_special")]


def shown(parser: MarkdownIt, text: str) -> list[str]:
    """The text of each block: of a heading, a paragraph, a cell."""
    blocks = (token.children for token in parser.parse(text) if token.type == "inline")
    return ["".join(child.content for child in children or ()) for children in blocks]


@pytest.mark.parametrize("classes", [3, WIDEST + 1], ids=["a matrix", "a list of confusions"])
@pytest.mark.parametrize("parser", RENDERERS, ids=["gfm", "commonmark"])
@settings(max_examples=25)  # for each a card is made and parsed
@given(data=st.data())
def test_no_name_is_markup(parser: MarkdownIt, classes: int, data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, min_size=classes, max_size=classes))
    others = [data.draw(NAMES) for _ in range(7)]
    found, expected = card(names, *others), card([f"class{i}" for i in range(classes)], *["name"] * 7)
    assert structure(parser, found) == structure(parser, expected)
    texts = shown(parser, found)
    assert not ACTIVE & set(structure(parser, found))
    for name in (*names[:WIDEST], *others):
        assert any(printable(name) in text for text in texts), name
    if classes <= WIDEST:
        for name in names:
            assert texts.count(printable(name)) >= 3, "its rows in both tables, and its column"


@pytest.mark.parametrize("parser", RENDERERS, ids=["gfm", "commonmark"])
@pytest.mark.parametrize("frame", ["{}", "# {}", "- {}", "a {} b", "| a |\n| --- |\n| {} |", "**{}**"])
@given(name=NAMES)
@example("<")
@example("www.a.org http://a.org")
def test_text_is_shown_as_it_is_wherever_it_stands(parser: MarkdownIt, frame: str, name: str) -> None:
    found = frame.format(plain(name))
    assert structure(parser, found) == structure(parser, frame.format("name"))
    assert shown(parser, found) == [
        text.replace("name", printable(name)) for text in shown(parser, frame.format("name"))
    ]


@pytest.mark.parametrize(
    "name",
    ["small: 90 images (of 3)", "class_a", "it's 5.5% - or less!", "R&D, C++", "-5", "#1", "3.5", "Zaunkönig", "家族"],
)
def test_ordinary_names_stay_readable_in_the_source(name: str) -> None:
    assert plain(name) == name


@pytest.mark.parametrize(
    ("tests", "shared", "said"),
    [
        (0, False, "read not yet"),
        (1, False, "read once, for the final model"),
        (
            2,
            False,
            "read 2 times, because the study continued after a winner had been tested; the search never used them",
        ),
        (1, True, "read once, for the final model; each loop that shares this study counts only its own readings"),
        (2, True, "the search never used them; each loop that shares this study counts only its own readings"),
    ],
)
def test_the_card_says_how_often_the_test_images_were_read_and_by_whom(tests: int, shared: bool, said: str) -> None:
    study = a_study(**({"storage": "postgresql://me@host/x", "loop": "here"} if shared else {}))
    architecture = Architecture(input=study.data.input, layers=(Layer(filters=8),), classes=10)
    candidate = Candidate(architecture=architecture, recipe=Recipe())
    trial = Trial.begin(Proposal(0, {}, candidate))
    text = model_card(Facts(study, trial, candidate, {"complete": 1}, 0.9, "", None, tests))
    assert f"{said}\n\n## Accuracy" in text


def test_of_a_class_without_test_images_no_recall_is_told() -> None:
    study = a_study()
    architecture = Architecture(input=study.data.input, layers=(Layer(filters=8),), classes=10)
    candidate = Candidate(architecture=architecture, recipe=Recipe())
    trial = Trial.begin(Proposal(0, {}, candidate))
    confusion = tuple(tuple(3 * (i == j < 9) for j in range(10)) for i in range(10))
    test = Evaluation(accuracy=1.0, interval_95=(0.9, 1.0), count=27, confusion=confusion)
    rows = model_card(Facts(study, trial, candidate, {"complete": 1}, 0.9, "", test)).splitlines()
    assert "| 8 | 100.0% | 100.0% | 3 |" in rows
    assert "| 9 | 0.0% | - | 0 |" in rows
