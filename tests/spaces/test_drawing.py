"""What the drawings of an architecture show, for any candidate of any preset."""

import random
import xml.etree.ElementTree as ET
from collections import Counter
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convsearch.spaces.architecture import Architecture, Head, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.drawing.picture import MARK, draw_svg, picture
from convsearch.spaces.drawing.svg import BLUE, Picture
from convsearch.spaces.drawing.text import differing, draw_text, stages
from convsearch.spaces.space import SearchSpace

SVG = "{http://www.w3.org/2000/svg}"
INPUTS = [Volume(8, 8, 1), Volume(32, 32, 3), Volume(96, 64, 3), Volume(7, 300, 3)]
BLOCKS = "█▄▀"


@cache
def space(preset: str, volume: Volume) -> SearchSpace:
    return SearchSpace(load(preset), volume, classes=10)


def drawn(preset: str, volume: Volume, seed: int) -> Architecture:
    found = space(preset, volume)
    return found.candidate(found.draw(random.Random(seed))).architecture


architectures = st.builds(drawn, st.sampled_from(sorted(presets())), st.sampled_from(INPUTS), st.integers(0, 2**32))

LENET = Architecture(
    input=Volume(28, 28, 1),
    layers=(
        Layer(filters=6, kernel_size=5, padding=2, pooling="average", pool_size=2, pool_stride=2),
        Layer(filters=16, kernel_size=5, padding="valid", stride=2, batch_norm=True, dropout=0.1, one_by_one=8),
    ),
    head=Head(pooling="flatten", units=(120,), activation="tanh", dropout=0.25),
    classes=10,
)

LARGEST = Architecture(
    input=Volume(65536, 65536, 4096),
    layers=(
        Layer(
            filters=4096,
            kernel_size=64,
            stride=64,
            activation="leaky_relu",
            batch_norm=True,
            pooling="average",
            pool_size=64,
            pool_stride=64,
            dropout=0.95,
            one_by_one=4096,
            padding=63,
        )
        if i == 0
        else Layer(filters=4096)
        for i in range(32)
    ),
    head=Head(pooling="flatten", units=(8192, 8192, 8192, 8192), activation="leaky_relu", dropout=0.95),
    classes=10000,
)


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def heights(text: str) -> list[float]:
    """The heights of the blocks of a drawing of one strip, in rows, from left to right."""
    lines = [line for line in text.splitlines() if any(block in line for block in BLOCKS)]
    wide = max(map(len, lines))
    columns = ["".join(line.ljust(wide)[i] for line in lines) for i in range(wide)]
    found, before = [], False
    for column in columns:
        solid = "█" in column
        if solid and not before:
            found.append(column.count("█") + (column.count("▄") + column.count("▀")) / 2)
        before = solid
    return found


# ---------------------------------------------------------------------- the stages


def test_a_stage_is_a_volume_with_all_that_is_applied_to_its_values():
    found = [(stage.role, str(stage.volume), stage.notes) for stage in stages(LENET)]
    assert found == [
        ("input", "28x28x1", ()),
        ("conv", "28x28x6", ("relu",)),
        ("pool", "14x14x6", ()),
        ("conv", "5x5x16", ("batch norm", "relu")),
        ("mix", "5x5x8", ("batch norm", "relu", "dropout 0.1")),
        ("head", "1x1x200", ("dropout 0.25",)),
        ("dense", "1x1x120", ("tanh", "dropout 0.25")),
        ("dense", "1x1x10", ("softmax",)),
    ]


@given(architectures)
def test_the_stages_are_all_volumes_of_the_steps_that_make_a_new_one(architecture):
    kept = ("batch_norm", "activation", "dropout")
    made = [step.after for step in architecture.steps if step.kind not in kept]
    assert [stage.volume for stage in stages(architecture)] == [architecture.input, *made]


# ---------------------------------------------------------------------- text


@given(architectures, st.integers(40, 250))
def test_text_is_never_wider_than_asked(architecture, width):
    assert max(map(len, draw_text(architecture, width).splitlines())) <= width


def test_even_the_largest_volumes_keep_to_the_least_width():
    assert max(map(len, draw_text(LARGEST, 40).splitlines())) <= 40


@given(architectures, st.integers(40, 250))
def test_text_names_every_volume_and_every_filter(architecture, width):
    text = draw_text(architecture, width)
    found = stages(architecture)
    labels = Counter(str(stage.volume) for stage in found if not stage.vector)
    assert all(text.split().count(label) == count for label, count in labels.items())
    vectors = [str(stage.volume.depth) for stage in found if stage.vector]
    assert [word for word in text.split() if word in vectors][-1] == str(architecture.classes)
    for kind, short in (("conv", "conv"), ("max", "max"), ("average", "avg"), ("l2", "l2")):
        for step in architecture.steps:
            if step.kind == kind:
                stride = f" /{step.stride}" if step.stride > 1 else ""
                assert f"{short} {step.kernel_size}x{step.kernel_size}{stride}" in text


def test_text_says_padding_normalisation_activation_and_dropout():
    text = draw_text(LENET)
    for word in ("pad 2", "valid", "batch norm", "relu", "tanh", "dropout 0.1", "dropout 0.25", "flatten", "softmax"):
        assert word in text


def test_half_the_side_is_one_row_less_and_twice_the_depth_one_column_more():
    layers = (Layer(filters=8, stride=2), Layer(filters=16, stride=2), Layer(filters=32))
    architecture = Architecture(input=Volume(32, 32, 4), layers=layers, classes=64)
    text = draw_text(architecture, 200)
    assert heights(text) == [6, 5, 4, 4, 1, 1]
    arrows = next(line for line in text.splitlines() if "▶" in line)
    assert [len(block) for block in arrows.replace("─", " ").replace("▶", " ").split()] == [3, 4, 5, 6, 6, 7]


def test_a_narrow_page_gets_strips_and_a_wide_one_a_single_one():
    assert draw_text(LENET, 250).count("\n\n") == 0
    assert draw_text(LENET, 60).count("\n\n") >= 2


def test_text_has_neither_colour_codes_nor_spaces_at_the_ends_of_lines():
    text = draw_text(LENET, 80)
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


# ---------------------------------------------------------------------- SVG


@given(architectures)
def test_svg_is_valid_and_labels_every_volume_and_every_filter(architecture):
    svg = draw_svg(architecture)
    found = Counter(words(svg))
    labels = Counter(
        str(stage.volume.depth) if stage.vector else " × ".join(map(str, stage.volume))
        for stage in stages(architecture)
    )
    filters = Counter(f"{s.kind} {s.kernel_size} × {s.kernel_size}" for s in architecture.steps if s.is_filter)
    assert labels <= found
    assert filters <= found
    assert str(architecture) in (ET.fromstring(svg).findtext(f"{SVG}title") or "")


@given(architectures)
def test_everything_in_the_svg_lies_within_its_page(architecture):
    root = ET.fromstring(draw_svg(architecture))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for polygon in root.iter(f"{SVG}polygon"):
        points = [tuple(map(float, point.split(","))) for point in polygon.attrib["points"].split()]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    for element in root.iter(f"{SVG}text"):
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        reach = len(element.text or "") * float(element.attrib["font-size"]) * 0.55
        left = x - reach / 2 if element.attrib["text-anchor"] == "middle" else x
        assert left >= 0
        assert left + reach <= width
        assert y <= height


@given(architectures)
def test_what_is_larger_is_never_drawn_smaller(architecture):
    root = ET.fromstring(draw_svg(architecture))
    fronts = list(root.iter(f"{SVG}rect"))[1:]
    found = [
        (stage.volume, float(rect.attrib["width"]), float(rect.attrib["height"]))
        for stage, rect in zip(stages(architecture), fronts, strict=True)
        if not stage.vector
    ]
    for one, one_width, one_height in found:
        for other, other_width, other_height in found:
            if one.depth > other.depth:
                assert one_width >= other_width
            if one.height > other.height:
                assert one_height >= other_height


def test_svg_says_stride_padding_and_the_scale():
    found = words(draw_svg(LENET))
    assert "S = 1, P = 2" in found
    assert "S = 2, P valid" in found
    assert any("square-root scales" in line for line in found)


def test_svg_grows_with_the_layers():
    wide = [
        float(
            ET.fromstring(
                draw_svg(Architecture(input=Volume(32, 32, 3), layers=(Layer(filters=16),) * n, classes=10))
            ).attrib["width"]
        )
        for n in (6, 12)
    ]
    assert wide[1] > 1.6 * wide[0]


@pytest.mark.parametrize("draw", [draw_text, draw_svg])
def test_equal_architectures_are_drawn_alike(draw):
    again = Architecture.model_validate_json(LENET.model_dump_json())
    assert draw(again) == draw(LENET)


def test_svg_needs_no_script_no_font_and_no_other_file():
    svg = draw_svg(LENET)
    addresses = [part for part in svg.split('"') if "://" in part]
    assert addresses == ["http://www.w3.org/2000/svg"]
    assert not any(word in svg for word in ("<script", "@import", "href", "url("))


def test_words_on_a_picture_are_escaped():
    nasty = '<b>&"cats" & </text>'
    page = Picture(100, 50, nasty, nasty)
    page.text(1, 2, nasty)
    page.rect(0, 0, 1, 1, '"/><script>')
    page.box(1, 2, 3, 4, (1, 1), BLUE)
    root = ET.fromstring(page.svg())
    assert words(page.svg()) == [nasty]
    assert root.findtext(f"{SVG}title") == nasty
    assert root.find(f"{SVG}script") is None


# ---------------------------------------------------------------------- what differs


@given(architectures)
def test_nothing_differs_between_equal_architectures(architecture):
    assert differing([architecture, architecture, architecture]) == [frozenset()] * 3


@given(architectures, architectures)
@example(
    drawn("all_convolutional", Volume(8, 8, 1), 16),  # a layer of the one is like two of the other
    drawn("all_convolutional", Volume(8, 8, 1), 8563),
)
def test_what_is_left_when_the_differing_stages_are_taken_away_agrees(one, other):
    def rest(architecture, lacking):
        left = [stage for place, stage in enumerate(stages(architecture)) if place not in lacking]
        return [(stage.role, stage.notes, stage.step and stage.step[5:7]) for stage in left]

    of_one, of_other = differing([one, other])
    assert rest(one, of_one) == rest(other, of_other)


def test_a_layer_that_is_there_once_more_differs_and_no_other():
    more = LENET.model_copy(update={"layers": (LENET.layers[0], LENET.layers[0], LENET.layers[1])})
    without, lacking = differing([LENET, more])
    assert without == frozenset()
    assert len(lacking) == 2  # its filter and its pool


def test_marked_stages_are_set_off_and_the_page_keeps_its_size():
    plain, marked = picture(LENET), picture(LENET, {1, 2})
    assert (marked.width, marked.height) == (plain.width, plain.height)
    assert plain.svg().count(MARK) == 0
    assert marked.svg().count(MARK) == 2
