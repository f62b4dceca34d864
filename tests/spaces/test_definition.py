from pathlib import Path

import pytest

from convsearch.search.values.answers import answered
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import Definition, dimensions, load, parse
from convsearch.spaces.dimension import Choice, Options, Range
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace


def refused(text: str) -> str:
    """Return the message that a space is refused with."""
    with pytest.raises(InputError) as error:
        parse(text, "my.yaml")
    return str(error.value)


def dimension(text: str, name: str) -> Options | Range:
    return dict(dimensions(parse(text, "my.yaml")))[name]


def in_layer(key_and_value: str) -> str:
    return f"layers: [2, 3]\neach_layer:\n  {key_and_value}\n"


def set_refused(name: str, text: str, space: str = "classic") -> str:
    with pytest.raises(InputError) as error:
        answered(load(space), {name: text})
    return str(error.value)


def options_of(definition: Definition, name: str) -> tuple[Choice, ...] | None:
    return dict(dimensions(definition))[name].values


# Names


def test_an_unknown_key_is_answered_with_the_nearest_and_its_line() -> None:
    message = refused("# a comment\nlayers: 2\neach_layer:\n  filters: 8\n  kernel_sise: 3\n")
    assert message.startswith("my.yaml:5: unknown key 'each_layer.kernel_sise': did you mean 'kernel_size'? Known: ")
    assert "filters, kernel_size, stride, padding" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layer: 2", "my.yaml:1: unknown key 'layer': did you mean 'layers'?"),
        (
            "layers: 2\nby_layer: {2: {filter: 3}}",
            "my.yaml:2: unknown key 'by_layer.2.filter': did you mean 'filters'?",
        ),
        (
            "layers: 2\nlimits:\n  max_param: 3",
            "my.yaml:3: unknown key 'limits.max_param': did you mean 'max_parameters'",
        ),
        (
            "layers: 2\nrecipe: {lerning_rate: 1}",
            "my.yaml:2: unknown key 'recipe.lerning_rate': did you mean 'learning_r",
        ),
        ("layers: 2\nhead: {zzz: 1}", "my.yaml:2: unknown key 'head.zzz': Known: pooling, hidden_layers, units"),
        ("layers: 2\n7: 1", "my.yaml:2: unknown key '7': Known: description, input_size, layers"),
    ],
)
def test_unknown_keys_are_answered_in_every_section(text: str, expected: str) -> None:
    assert expected in refused(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers: 2\nfilters: 8", "my.yaml:2: unknown key 'filters': it belongs in the section `each_layer`"),
        ("layers: 2\nunits: 8", "my.yaml:2: unknown key 'units': it belongs in the section `head`"),
        ("layers: 2\nlearning_rate: 1", "my.yaml:2: unknown key 'learning_rate': it belongs in the section `recipe`"),
        ("layers: 2\ncrop: 0.1", "my.yaml:2: unknown key 'crop': it belongs in the section `augmentation`"),
        ("layers: 2\nmax_macs: 9", "my.yaml:2: unknown key 'max_macs': it belongs in the section `limits`"),
        ("layers: 2\ndropout: 0", "unknown key 'dropout': it belongs in the section `each_layer` or `head`"),
        ("layers: 2\nhead: {batch_size: 8}", "unknown key 'head.batch_size': it belongs in the section `recipe`"),
        (
            "layers: 2\nrecipe:\n  rotation: 8",
            "my.yaml:3: unknown key 'recipe.rotation': it belongs in the section `aug",
        ),
    ],
)
def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(text: str, expected: str) -> None:
    assert expected in refused(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("activation: [relu, relo]", "'relo' is not a valid value; did you mean 'relu'? Known: relu, leaky_relu"),
        ("pooling: mx", "'mx' is not a valid value; did you mean 'max'? Known: none, max, average, l2"),
        (
            "padding: sane",
            "'sane' is not a valid value; did you mean 'same'? Known: valid, same; or a whole number",
        ),
        ("batch_norm: 1", "1 is not a valid value; "),
        ("batch_norm: ture", "'ture' is not a valid value; did you mean 'True'?"),
        ("filters: many", "'many' is not a valid value; it takes a whole number from 1 to 4096"),
        ("filters: true", "True is not a valid value; it takes a whole number from 1 to 4096"),
        ("filters:", "None is not a valid value; it takes a whole number from 1 to 4096"),
        ("pool_stride: sise", "did you mean 'size'?"),
    ],
)
def test_an_unknown_value_is_answered_with_what_the_key_takes(line: str, expected: str) -> None:
    message = refused(in_layer(line))
    assert message.startswith(f"my.yaml:3: each_layer.{line.partition(':')[0]}: ")
    assert expected in message


# Values and ranges


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("filters: {min: 9, max: 3}", "the range is upside down: min 9 is above max 3"),
        ("filters: {min: 3}", "a range needs both `min` and `max`"),
        ("filters: {max: 3}", "a range needs both `min` and `max`"),
        ("filters: {}", "a range needs both `min` and `max`"),
        ("filters: {min: 1, max: 3, stp: 1}", "'stp' is not part of a range; did you mean 'step'? Known: min, max, st"),
        ("filters: {min: 1, max: 9, step: 0}", "`step` must be a number above 0 and at most max - min, not 0"),
        ("filters: {min: 1, max: 9, step: 10}", "`step` must be a number above 0 and at most max - min, not 10"),
        ("filters: {min: 1, max: 9, step: 1.5}", "`step` must be a whole number here, not 1.5"),
        ("filters: {min: 1, max: 9, log: maybe}", "`log` must be true or false, not 'maybe'"),
        ("filters: {min: 1, max: 9, log: true, step: 2}", "a logarithmic range must start above 0 and cannot have"),
        ("dropout: {min: 0, max: 0.5, log: true}", "a logarithmic range must start above 0"),
        ("kernel_size: {min: 1, max: 9, log: true}", "this key does not accept a logarithmic range: list"),
        ("pooling: {min: 1, max: 2}", "a range is for numbers; this key takes none, max, average, l2"),
        ("padding: {min: valid, max: 2}", "`min` and `max` must be numbers"),
        ("filters: {min: few, max: 9}", "'few' is not a valid value"),
        ("filters: {min: 1, max: 5000}", "5000 is out of bounds; it takes a whole number from 1 to 4096"),
        ("filters: 0", "0 is out of bounds; it takes a whole number from 1 to 4096"),
        ("filters: -3", "-3 is out of bounds"),
        ("filters: .inf", "inf is out of bounds"),
        ("filters: .nan", "nan is out of bounds"),
        ("filters: 1e400", "inf is out of bounds"),
        (f"filters: 1{'0' * 400}", "100000000... is out of bounds"),
        ("filters: 2.5", "2.5 is not a whole number; it takes a whole number from 1 to 4096"),
        ("dropout: 1", "1 is out of bounds; it takes a number from 0 to 0.95 or off"),
        ("filters: []", "an empty list leaves nothing to choose"),
        ("filters: [8, 16, 8]", "8 is in the list twice"),
        ("pooling: [max, max]", "'max' is in the list twice"),
        ("dropout: [0, off]", "0.0 is in the list twice"),
        ("filters: [8, [16]]", "[16] is not a valid value"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line_its_key_and_the_rule(line: str, expected: str) -> None:
    message = refused(in_layer(line))
    assert message.startswith(f"my.yaml:3: each_layer.{line.partition(':')[0]}: ")
    assert expected in message


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        ("dropout: off", "layer1.dropout", Options((0.0,))),
        ("dropout: 'off'", "layer1.dropout", Options((0.0,))),
        ("dropout: [off, 0.2]", "layer1.dropout", Options((0.0, 0.2))),
        ("one_by_one: [off, 16]", "layer1.one_by_one", Options((0, 16))),
        ("pooling: none", "layer1.pooling", Options(("none",))),
        ("pooling: [null, max]", "layer1.pooling", Options(("none", "max"))),
        ("batch_norm: [yes, no]", "layer1.batch_norm", Options((True, False))),
        ("filters: 16.0", "layer1.filters", Options((16,))),
        ("filters: '16'", "layer1.filters", Options((16,))),
        ("dropout: 1e-3", "layer1.dropout", Options((0.001,))),
        ("filters: 1e3", "layer1.filters", Options((1000,))),
        ("padding: [same, 0, 2]", "layer1.padding", Options(("same", 0, 2))),
        ("padding: {min: 0, max: 2}", "layer1.padding", Options((0, 1, 2))),
        ("kernel_size: {min: 1, max: 7, step: 2}", "layer2.kernel_size", Options((1, 3, 5, 7))),
        ("filters: {min: 8, max: 64, step: 8}", "layer2.filters", Range(8, 64, 8, whole=True)),
        ("filters: {min: 8, max: 64, log: true}", "layer2.filters", Range(8, 64, log=True, whole=True)),
        ("filters: {min: 8, max: 8}", "layer2.filters", Options((8,))),
        ("dropout: {min: 0, max: 0.5}", "layer2.dropout", Range(0, 0.5)),
        ("filters: 8", "layer1.pool_stride", Options(("size",))),
    ],
)
def test_a_value_may_be_written_as_people_write_it(line: str, name: str, expected: Options | Range) -> None:
    found = dimension(in_layer(line), name)
    assert found == expected
    assert [type(v) for v in found.values or ()] == [type(v) for v in expected.values or ()]


def test_a_learning_rate_may_be_written_as_1e_3() -> None:
    text = "layers: 1\nrecipe: {learning_rate: {min: 1e-5, max: 1e-2, log: true}, weight_decay: off}"
    assert dimension(text, "learning_rate") == Range(1e-5, 1e-2, log=True)
    assert dimension(text, "weight_decay") == Options((0.0,))


# The file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers: 2\nhead: {\n", "my.yaml:3: this is not valid YAML: "),
        ("layers: 2\n\tfilters: 3", "my.yaml:2: this is not valid YAML: "),
        ("layers: *two", "my.yaml:1: this is not valid YAML: found undefined alias"),
        ("layers: 2\n---\nlayers: 3", "my.yaml:2: this is not valid YAML: "),
        ("layers: !!python/object:os.system 2", "my.yaml:1: this is not valid YAML: could not determine a constructor"),
        ("layers: \x00", "my.yaml: this is not valid YAML: "),
        ("layers: 2023-99-99", "my.yaml: this is not valid YAML: month must be in 1..12"),
        ("layers: " + "[" * 3000, "my.yaml: this is not valid YAML: "),
        ('layers: !!bool "x"', "my.yaml: this is not valid YAML: "),
        ('layers: !!int ""', "my.yaml: this is not valid YAML: "),
        ("layers: !!timestamp x", "my.yaml: this is not valid YAML: "),
        ("layers: 2\nhead: &a {units: *a}", "my.yaml: an alias (`*name`) refers to itself"),
        ("", "my.yaml: a space is a YAML mapping with these keys: description, input_size, layers, all_layers"),
        ("- layers", "my.yaml: a space is a YAML mapping"),
        ("layers", "my.yaml: a space is a YAML mapping"),
    ],
    ids=lambda text: repr(text[:24]),
)
def test_a_file_that_holds_no_mapping_is_refused_in_one_line(text: str, expected: str) -> None:
    assert expected in refused(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers: 2\nlayers: 3", "my.yaml:2: duplicate key 'layers'"),
        (in_layer("filters: 8\n  stride: 1\n  filters: 9"), "my.yaml:5: duplicate key 'filters'"),
        ("layers: 2\nby_layer:\n  1: {filters: 3}\n  1: {stride: 1}", "my.yaml:4: duplicate key '1'"),
        ("layers: 2\nby_layer:\n  1: {filters: 3}\n  01: {stride: 1}", "my.yaml:4: duplicate key '1'"),
    ],
)
def test_a_key_that_stands_there_twice_is_refused(text: str, expected: str) -> None:
    assert refused(text) == expected


def test_a_space_without_layers_is_told_what_is_missing() -> None:
    message = refused("head: {pooling: flatten}")
    assert message == ("my.yaml: layers: this key is required; it sets the number of layers, as in `layers: [2, 3, 4]`")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers: 2\nhead: 3", "my.yaml:2: head: 3 is not a section; its keys are pooling, hidden_layers, units"),
        ("layers: 2\nby_layer: [8]", "my.yaml:2: by_layer: [8] is not a section; its keys are numbers of layers"),
        ("layers: 2\nby_layer: {1: 8}", "my.yaml:2: by_layer.1: 8 is not a section; its keys are filters, kernel_size"),
        ("layers: 2\nby_layer: {one: {filters: 8}}", "my.yaml:2: by_layer.one: input should be a valid integer"),
        ("layers: 2\nexact_fit: perhaps", "my.yaml:2: exact_fit: input should be a valid boolean"),
        ("layers: 2\ndescription: 3", "my.yaml:2: description: input should be a valid string"),
        ("layers: 2\nlimits: {max_macs: [1, 2]}", "my.yaml:2: limits.max_macs: a limit is one number"),
        ("layers: 2\nlimits: {max_parameters: many}", "limits.max_parameters: 'many' is not a valid value"),
        ("layers: 2\nlimits: {max_macs: {min: 1, max: 2}}", "my.yaml:2: limits.max_macs: a limit is one number"),
        ("layers: 2\nlimits: {max_parameters: 0}", "my.yaml:2: limits.max_parameters: 0 is out of bounds"),
        ("layers: 33", "my.yaml:1: layers: 33 is out of bounds; it takes a whole number from 1 to 32"),
        ("layers: 0", "my.yaml:1: layers: 0 is out of bounds"),
    ],
)
def test_what_stands_in_the_wrong_place_is_refused(text: str, expected: str) -> None:
    assert expected in refused(text)


def test_a_section_whose_keys_are_all_commented_out_is_empty() -> None:
    text = "layers: 2\nall_layers:\n  # stride: 2\nby_layer:\nhead:\nlimits:\nby_layer:\n  1:\n".replace(
        "by_layer:\nh", "h"
    )
    assert parse(text, "my.yaml") == parse("layers: 2\nby_layer: {1: {}}", "my.yaml")
    assert parse("layers: 2\nby_layer:", "my.yaml") == parse("layers: 2", "my.yaml")


def test_a_key_for_all_layers_and_for_each_is_refused() -> None:
    message = refused("layers: 2\nall_layers: {stride: 1}\neach_layer: {stride: [1, 2]}")
    assert "`stride` is in both `all_layers` (one choice for all) and `each_layer` (one for each): keep" in message


@pytest.mark.parametrize("number", [0, 4, -1])
def test_an_exception_for_a_layer_that_is_never_there_is_refused(number: int) -> None:
    message = refused(f"layers: [2, 3]\nby_layer: {{{number}: {{filters: 8}}}}")
    assert f"`by_layer` names layer {number}, but the layers are numbered from 1 to 3" in message


def test_several_mistakes_are_told_together_each_with_its_line() -> None:
    message = refused(
        "layers: [2, 99]\neach_layer:\n  filters: 0\n  activation: relo\nhaed: {}\nrecipe: {optimizer: adma}"
    )
    lines = sorted(message.splitlines())
    assert [line.partition(": ")[0] for line in lines] == [f"my.yaml:{n}" for n in (1, 3, 4, 5, 6)]
    for line, expected in zip(lines, ("99 is out", "0 is out", "'relu'", "'head'", "'adam'"), strict=True):
        assert expected in line


def test_limits_may_be_written_with_underscores_or_as_powers_of_ten() -> None:
    limits = parse(
        "layers: 2\nlimits: {max_parameters: 20_000, max_macs: 2e6, max_activation_mb: 0.5}", "my.yaml"
    ).limits
    assert (limits.max_parameters, limits.max_macs, limits.max_activation_mb) == (20_000, 2_000_000, 0.5)


# Where it comes from


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown space 'clasic': did you mean 'classic'\\? Known: all_convolutional"):
        load("clasic")


@pytest.mark.parametrize("name", ["nowhere.yaml", "nowhere.yml"])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: the space cannot be read: No such file or directory"):
        load(name)


def test_a_folder_and_a_picture_are_no_spaces(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the space cannot be read: Is a directory"):
        load(str(tmp_path))
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match=r"cat\.png: the space cannot be read: it is not UTF-8 text"):
        load(str(picture))


def test_a_file_is_read_by_its_path_and_named_in_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("layers: 2\ndescription: größer\n", encoding="utf-8")
    assert load(str(path)).description == "größer"
    path.write_text("layers: two\n")
    with pytest.raises(InputError) as error:
        load(str(path))
    assert str(error.value).startswith(f"{path}:1: layers: 'two' is not a valid value")


# --set


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("learning_rate", "0.001", (0.001,)),
        ("learning_rate", "1e-3", (0.001,)),
        ("learning_rate", "[0.001, 0.01]", (0.001, 0.01)),
        ("batch_size", "{min: 8, max: 32, step: 8}", (8, 16, 24, 32)),
        ("layers", "3", (3,)),
        ("layer2.kernel_size", "3", (3,)),
        ("layer1.filters", "[16, 32]", (16, 32)),
        ("layer6.pooling", "none", ("none",)),
        ("all_layers.activation", "tanh", ("tanh",)),
        ("all_layers.batch_norm", "[true]", (True,)),
        ("head.pooling", "flatten", ("flatten",)),
        ("head.units1", "32", (32,)),
        ("augmentation.horizontal_flip", "on", (True,)),
        ("augmentation.translation", "off", (0.0,)),
        ("weight_decay", "off", (0.0,)),
    ],
)
def test_set_answers_a_dimension_by_its_name(name: str, text: str, expected: tuple[Choice, ...]) -> None:
    before = dict(dimensions(load("classic")))
    after = dict(dimensions(answered(load("classic"), {name: text})))
    assert after[name].values == expected
    # Nothing else changed, but for layers that are no more.
    assert {key: after[key] for key in after if key != name} == {key: before[key] for key in after if key != name}


def test_set_answers_a_key_of_every_layer_at_once_exceptions_too() -> None:
    definition = answered(load("classic"), {"layer.filters": "8", "layer.activation": "[relu, tanh]"})
    assert [options_of(definition, f"layer{number}.filters") for number in range(1, 7)] == [(8,)] * 6
    assert options_of(definition, "all_layers.activation") == ("relu", "tanh")


def test_set_answers_the_units_of_every_hidden_layer_at_once() -> None:
    definition = answered(load("classic"), {"head.hidden_layers": "2", "head.units": "16"})
    assert options_of(definition, "head.units1") == options_of(definition, "head.units2") == (16,)


def test_later_answers_build_on_earlier_ones_and_the_definition_stays_as_it_was() -> None:
    definition = load("classic")
    narrowed = answered(definition, {"layer.kernel_size": "[1, 3]", "layer2.kernel_size": "5", "layers": "2"})
    assert options_of(narrowed, "layer1.kernel_size") == (1, 3)
    assert options_of(narrowed, "layer2.kernel_size") == (5,)
    assert definition == load("classic")
    assert answered(definition, {}) == definition


def test_an_answer_may_be_about_a_layer_that_an_earlier_one_added() -> None:
    definition = answered(load("classic"), {"layers": "8", "layer8.filters": "24", "head.hidden_layers": "2"})
    assert options_of(definition, "layer8.filters") == (24,)
    with pytest.raises(InputError, match=r"--set layer3\.filters: the space has no such dimension"):
        answered(definition, {"layers": "2", "layer3.filters": "24"})


def test_fewer_layers_may_be_set_than_have_exceptions() -> None:
    definition = parse("layers: [2, 3, 4]\nby_layer: {1: {filters: 8}, 4: {filters: 16}}", "my.yaml")
    names = [name for name, _ in dimensions(answered(definition, {"layers": "2"}))]
    assert "layer2.filters" in names
    assert "layer3.filters" not in names
    assert options_of(answered(definition, {"layers": "2"}), "layer1.filters") == (8,)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("learningrate", "learning_rate"),
        ("layer2.kernel", "layer2.kernel_size"),
        ("layer.filter", "layer.filters"),
        ("head.unit", "head.units"),
        ("augmentation.rotate", "augmentation.rotation"),
    ],
)
def test_set_answers_an_unknown_name_with_the_nearest(name: str, nearest: str) -> None:
    message = set_refused(name, "1")
    assert message.startswith(
        f"--set {name}: the space has no such dimension: did you mean '{nearest}'? Known: input_size, layers"
    )


def test_set_knows_no_layer_beyond_the_space_and_no_key_that_all_layers_share() -> None:
    assert "has no such dimension" in set_refused("layer7.filters", "8")
    assert "has no such dimension" in set_refused("layer1.activation", "relu")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("learning_rate", "fast", "'fast' is not a valid value; it takes a number from 1e-08 to 10"),
        ("learning_rate", "", "None is not a valid value"),
        ("learning_rate", "[", "'[' is not a valid value"),
        ("layers", "2020-13-45", "'2020-13-45' is not a valid value"),
        ("layer.filters", "0", "0 is out of bounds; it takes a whole number from 1 to 4096"),
        ("all_layers.activation", "relo", "did you mean 'relu'?"),
        ("layer1.filters", "{min: 8, max: 4}", "the range is upside down: min 8 is above max 4"),
        ("augmentation.crop", "2", "2 is out of bounds; it takes a number from 0 to 0.9 or off"),
    ],
)
def test_set_refuses_a_value_that_the_dimension_cannot_take(name: str, text: str, expected: str) -> None:
    message = set_refused(name, text)
    assert message.startswith(f"--set {name}={text}: ")
    assert expected in message


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "9" * 5000, '!!int ""', '!!bool "x"'], ids=range(5))
def test_set_refuses_what_is_nested_or_long_beyond_reading(text: str) -> None:
    assert set_refused("learning_rate", text).startswith("--set learning_rate=")


def test_more_geometries_than_can_be_searched_are_refused_with_their_number() -> None:
    line = "kernel_size: {min: 1, max: 64}\n  stride: {min: 1, max: 64}\n  padding: {min: 0, max: 63}"
    assert "layer 1 has 262,144 geometries (64 of `kernel_size`, 64 of `stride`, 64 of `padding`)" in refused(
        in_layer(line)
    )


def test_a_section_that_is_none_is_refused_wherever_it_stands() -> None:
    assert "by_layer.units" in refused("layers: 2\nby_layer:\n  units: [64, 128]")


def test_a_range_of_a_billion_steps_is_counted_and_not_listed() -> None:
    text = "layers: 2\nrecipe:\n  learning_rate: {min: 1.0e-5, max: 10, step: 1.0e-8}"
    space = SearchSpace(parse(text, "my.yaml"), Volume(8, 8, 1), 2)
    assert space.recipes == 999_999_001
    with pytest.raises(InputError, match="learning_rate has 999,999,001 values"):
        space.require_enumerable()
