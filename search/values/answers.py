"""Dimensions of a space answered by name, as `--set` does, instead of in its file."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from ...spaces.definition import INPUT, LAYER_KEYS, Definition, Section, dimensions, load_yaml
from ...spaces.errors import InputError, nearest


def answered(definition: Definition, answers: Mapping[str, str]) -> Definition:
    """Return the definition with dimensions answered by name, as `--set learning_rate=0.001` does.

    A name is that of a dimension, or `layer.KEY` for a key of every layer. Values are read as YAML, so that a list or a
    range narrows a dimension instead of fixing it.

    Raises:
        InputError: an unknown name, or a value that the dimension cannot take.
    """
    for name, text in answers.items():
        known = [name for name, _ in dimensions(definition)]
        known += [f"layer.{key}" for key in LAYER_KEYS] + ["head.units"]
        if name not in known:
            raise InputError(f"--set {name}: the space has no such dimension: {nearest(name, known)}")
        try:
            definition = Definition.model_validate(_answer(definition, name, _plain(text)))
        except ValidationError as error:
            message = re.sub(r"^Value error, ", "", error.errors()[0]["msg"])
            raise InputError(f"--set {name}={text}: {message}") from error
    return definition


def _answer(definition: Definition, name: str, value: Any) -> dict[str, Any]:
    data = _data(definition)
    section, _, key = name.rpartition(".")
    if section.startswith("layer"):
        _answer_layer(data, section.removeprefix("layer"), key, value)
    elif name == INPUT:
        data[INPUT] = value
    elif name == "layers":
        data["layers"] = value
        most = Definition.model_validate({"layers": value}).most_layers
        data["by_layer"] = {number: own for number, own in data["by_layer"].items() if number <= most}
    else:
        data[section or "recipe"][re.sub(r"^units\d$", "units", key)] = value
    return data


def _answer_layer(data: dict[str, Any], number: str, key: str, value: Any) -> None:
    """Set a key of layer `number`, or of every layer where that is empty."""
    if number:
        data["by_layer"].setdefault(int(number), {})[key] = value
        return
    home = "all_layers" if key in data["all_layers"] else "each_layer"
    data[home][key] = value
    for own in data["by_layer"].values():
        own.pop(key, None)


def _data(definition: Definition) -> dict[str, Any]:
    """Return the keys that a definition was given, in the form of its file."""
    data: dict[str, Any] = dict(definition)
    for key, value in definition:
        if isinstance(value, Section):
            data[key] = value.dimensions()
    data["by_layer"] = {number: own.dimensions() for number, own in definition.by_layer.items()}
    return data


def _plain(text: str) -> Any:
    try:
        return load_yaml(text)
    except yaml.YAMLError:
        return text
