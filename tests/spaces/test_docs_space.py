"""The guides of the space and of the arithmetic say what the code does: examples, messages, numbers, pictures."""

import doctest
import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from convsearch.search.report.explain import formula
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import (
    DEFAULTS,
    AugmentationSection,
    Definition,
    HeadSection,
    LayerSection,
    Limits,
    RecipeSection,
    parse,
    presets,
)
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace

DOCS = Path(__file__).parents[2] / "docs"
SPACE = (DOCS / "space.md").read_text(encoding="utf-8")
ARITHMETIC = (DOCS / "arithmetic.md").read_text(encoding="utf-8")

# An example with a ```text block behind it is wrong, and the text is what Convsearch says.
_EXAMPLE = re.compile(r"```yaml\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
EXAMPLES = [found.groups() for found in _EXAMPLE.finditer(SPACE)]


def pictures() -> Any:
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, its head and rule left out."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


# ---------------------------------------------------------------------- space.md


@pytest.mark.parametrize("text", [text for text, message in EXAMPLES if message is None])
def test_every_space_of_the_guide_loads(text):
    space = SearchSpace(parse(text, "my.yaml"), Volume(8, 8, 1), classes=10)
    assert space.architectures > 0


@pytest.mark.parametrize(("text", "message"), [example for example in EXAMPLES if example[1] is not None])
def test_every_error_of_the_guide_is_the_real_one(text, message):
    with pytest.raises(InputError) as found:
        SearchSpace(parse(text, "my.yaml"), Volume(12, 12, 1), classes=10)
    assert str(found.value) == message.rstrip("\n")


def test_the_guide_has_examples_of_both_kinds():
    messages = [message for _, message in EXAMPLES]
    assert messages.count(None) >= 6
    assert len(messages) - messages.count(None) >= 5


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("Sections", Definition),
        ("Keys of a layer", LayerSection),
        ("Keys of the head", HeadSection),
        ("Keys of the recipe", RecipeSection),
        ("Augmentation", AugmentationSection),
        ("Limits", Limits),
    ],
)
def test_every_key_has_its_row(heading, section):
    assert {row[0].strip("`") for row in rows(SPACE, heading)} == set(section.model_fields)


@pytest.mark.parametrize(
    ("heading", "section"),
    [("Keys of a layer", "layer"), ("Keys of the head", "head"), ("Keys of the recipe", "recipe")],
)
def test_the_defaults_are_the_real_ones(heading, section):
    for key, _, default, _ in rows(SPACE, heading):
        assert yaml.safe_load(default.strip("`")) == DEFAULTS[section][key.strip("`")], key


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("Keys of a layer", "each_layer"),
        ("Keys of the head", "head"),
        ("Keys of the recipe", "recipe"),
        ("Augmentation", "augmentation"),
    ],
)
def test_the_words_and_bounds_are_the_real_ones(heading, section):
    def load(key: str, value: Any) -> Definition:
        return parse(yaml.safe_dump({"layers": 1, section: {key: value}}), "my.yaml")

    for key, values, *_ in rows(SPACE, heading):
        key = key.strip("`")
        words = [w for w in re.findall(r"`(\w+)`", values) if w != "as"]
        for word in words:
            load(key, yaml.safe_load(word))
        for low, high in re.findall(r"([\d.]+) to ([\d.]+)", values):
            for bound, step in ((float(low), -1), (float(high), 1)):
                load(key, bound)
                with pytest.raises(InputError):
                    load(key, bound + step * (1 if bound == int(bound) else 1e-3))
        with pytest.raises(InputError):
            load(key, "nonsense")


def test_every_preset_is_in_the_table():
    assert {row[0].strip("`") for row in rows(SPACE, "Presets")} == set(presets())


# ---------------------------------------------------------------------- arithmetic.md


def test_the_table_of_the_whole_network_is_that_of_its_steps():
    network = pictures().EXAMPLE
    expected = [
        [
            f"`{step.name}`",
            str(step.before),
            str(step.after),
            formula(step.before.height, step) if step.is_filter else "",
            str(step.receptive_field),
            f"{step.parameters:,}",
            f"{step.macs:,}",
        ]
        for step in network.steps
    ]
    assert rows(ARITHMETIC, "The whole network") == [
        *expected,
        ["all", "", "", "", "", f"{network.parameters:,}", f"{network.macs:,}"],
    ]


def test_the_table_of_receptive_fields_is_that_of_the_steps():
    fields = {step.name: step.receptive_field for step in pictures().EXAMPLE.steps}
    found = {row[0]: row[3] for row in rows(ARITHMETIC, "What a value sees")}
    assert len(found) == 7
    for name, how in found.items():
        assert int(how.split(" = ")[1]) == fields[name.split("`")[1]]


def test_every_sum_written_out_is_right():
    # As in (16 - 3) / 1 + 1 = 14 or 5·5·3·16 + 16 = 1,216.
    text = ARITHMETIC.replace("√(9 + 16)", "√25")
    sums = re.findall(r"((?:\(|\d)[\d\s,.()+·/-]*[+·/-][\d\s,.()+·/-]*) = ([\d,.]*\d)", text)
    assert len(sums) >= 25
    for left, right in sums:
        assert eval(left.replace(",", "").replace("·", "*")) == float(right.replace(",", "")), left


@pytest.mark.parametrize("name", ["space.md", "arithmetic.md"])
def test_the_python_in_the_guides_runs_and_prints_what_they_say(name):
    failures, tried = doctest.testfile(str(DOCS / name), module_relative=False, encoding="utf-8")
    assert tried
    assert not failures


@pytest.mark.parametrize("name", ["space.md", "arithmetic.md"])
def test_links_lead_to_what_is_there(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        page = DOCS / path if path else DOCS / name
        assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, target


# ---------------------------------------------------------------------- the pictures


def test_the_pictures_are_what_their_command_draws(tmp_path):
    drawn = {path.name: path.read_bytes() for path in pictures().write(tmp_path)}
    kept = {path.name: path.read_bytes() for path in (DOCS / "images").glob("*.svg") if path.name in drawn}
    assert kept == drawn


def test_every_picture_is_valid_has_a_title_and_is_used():
    for name, draw in pictures().PICTURES.items():
        root = ET.fromstring(draw())
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert f"images/{name})" in ARITHMETIC
