"""What a space's YAML file may say: sections, keys, the values each key takes, and errors that name the line.

The reference for users is docs/space.md; what one value may be stands in `domain.py`.
"""

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from .architecture import (
    MAX_LAYERS,
    Activation,
    Augmentation,
    Head,
    HeadPooling,
    Layer,
    Optimizer,
    Pooling,
    Recipe,
    Schedule,
    names,
)
from .dimension import Choice, Dimension, Options
from .domain import Domain
from .errors import InputError, nearest
from .fitting import AS_POOL_SIZE, GEOMETRY
from .sizes import AUTO, INPUT_SIZE, Size

INPUT = "input_size"
MOST_GEOMETRIES = 100_000  # of a layer: each is tried on each volume that may reach it
FORMAT = 1  # raised whenever the same file would yield other dimensions or candidates: older studies cannot continue


def _words(*words: Choice) -> BeforeValidator:
    return BeforeValidator(Domain(words=words))


def _whole(low: int, high: int, *words: str, finite: bool = False, off: bool = False) -> BeforeValidator:
    return BeforeValidator(Domain(low, high, words=words, finite=finite, off=off))


def _real(low: float, high: float, off: bool = False) -> BeforeValidator:
    return BeforeValidator(Domain(low, high, whole=False, off=off))


Some = Dimension | None


def _empty(value: Any) -> Any:
    """Read a section whose keys are all commented out as one without keys."""
    return {} if value is None else value


class Section(BaseModel):
    """A part of the file: known keys only, each a dimension or absent."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    _may_be_empty = model_validator(mode="before")(_empty)

    def dimensions(self) -> dict[str, Dimension]:
        """Return the keys that were given."""
        return {key: value for key, value in self if value is not None}


class LayerSection(Section):
    """The keys of a layer. The geometry's must be finite: fitting walks through all of their values."""

    filters: Annotated[Some, _whole(1, 4096)] = None
    kernel_size: Annotated[Some, _whole(1, 64, finite=True)] = None
    stride: Annotated[Some, _whole(1, 64, finite=True)] = None
    padding: Annotated[Some, _whole(0, 63, "valid", "same", finite=True)] = None
    activation: Annotated[Some, _words(*names(Activation))] = None
    batch_norm: Annotated[Some, _words(True, False)] = None
    pooling: Annotated[Some, _words(*names(Pooling))] = None
    pool_size: Annotated[Some, _whole(1, 64, finite=True)] = None
    pool_stride: Annotated[Some, _whole(1, 64, AS_POOL_SIZE, finite=True)] = None
    dropout: Annotated[Some, _real(0, 0.95, off=True)] = None
    one_by_one: Annotated[Some, _whole(0, 4096, off=True)] = None


class HeadSection(Section):
    """The keys of the head."""

    pooling: Annotated[Some, _words(*names(HeadPooling))] = None
    hidden_layers: Annotated[Some, _whole(0, 4, finite=True)] = None
    units: Annotated[Some, _whole(1, 8192)] = None
    activation: Annotated[Some, _words(*names(Activation))] = None
    dropout: Annotated[Some, _real(0, 0.95, off=True)] = None


class RecipeSection(Section):
    """The keys of the recipe."""

    optimizer: Annotated[Some, _words(*names(Optimizer))] = None
    learning_rate: Annotated[Some, _real(1e-8, 10)] = None
    schedule: Annotated[Some, _words(*names(Schedule))] = None
    weight_decay: Annotated[Some, _real(0, 1, off=True)] = None
    batch_size: Annotated[Some, _whole(1, 65536)] = None
    label_smoothing: Annotated[Some, _real(0, 0.9, off=True)] = None


class AugmentationSection(Section):
    """The keys of the augmentation, each a strength or off."""

    greyscale: Annotated[Some, _real(0, 1, off=True)] = None
    horizontal_flip: Annotated[Some, _words(True, False)] = None
    vertical_flip: Annotated[Some, _words(True, False)] = None
    crop: Annotated[Some, _real(0, 0.9, off=True)] = None
    colour_jitter: Annotated[Some, _real(0, 1, off=True)] = None
    translation: Annotated[Some, _real(0, 0.9, off=True)] = None
    rotation: Annotated[Some, _real(0, 180, off=True)] = None


class Limits(BaseModel):
    """What no candidate may exceed: weights, and for one image multiply-accumulates and MB of activations.

    `max_macs_per_pixel` limits multiply-accumulates for images of any size: it is per pixel of the input.
    """

    model_config = ConfigDict(extra="forbid")
    _may_be_empty = model_validator(mode="before")(_empty)

    max_parameters: Annotated[int, BeforeValidator(lambda v: _limit(v, whole=True))] | None = None
    max_macs: Annotated[int, BeforeValidator(lambda v: _limit(v, whole=True))] | None = None
    max_macs_per_pixel: Annotated[int, BeforeValidator(lambda v: _limit(v, whole=True))] | None = None
    max_activation_mb: Annotated[float, BeforeValidator(lambda v: _limit(v, whole=False))] | None = None


def _limit(value: Any, whole: bool) -> Any:
    number = Domain(1 if whole else 1e-6, 1e15, whole)(value)
    if not number.fixed:
        raise ValueError("a limit is one number")
    return number.values[0] if number.values else None


class Definition(BaseModel):
    """A space as its file describes it, before it is bound to an input."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    description: str = ""
    input_size: Annotated[Dimension, BeforeValidator(INPUT_SIZE)] = Options((AUTO,))
    layers: Annotated[Dimension, _whole(1, MAX_LAYERS, finite=True)]
    all_layers: LayerSection = LayerSection()
    each_layer: LayerSection = LayerSection()
    by_layer: Annotated[dict[int, LayerSection], BeforeValidator(_empty)] = {}
    head: HeadSection = HeadSection()
    recipe: RecipeSection = RecipeSection()
    augmentation: AugmentationSection = AugmentationSection()
    exact_fit: bool = False
    limits: Limits = Limits()

    def at(self, *sizes: Size) -> "Definition":
        """Return the definition with these sizes of images, instead of what it says of them."""
        return self.model_copy(update={INPUT: Options(tuple(map(str, sizes)))})

    @property
    def most_layers(self) -> int:
        """The largest number of layers that a network may have."""
        return max(int(value) for value in self.layers.values or ())

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        for key in self.each_layer.dimensions():
            if key in self.all_layers.dimensions():
                raise ValueError(
                    f"`{key}` is in both `all_layers` (one choice for all) and `each_layer` (one for each): "
                    "keep only one"
                )
        for number in self.by_layer:
            if not 1 <= number <= self.most_layers:
                raise ValueError(
                    f"`by_layer` names layer {number}, but the layers are numbered from 1 to {self.most_layers}"
                )
        return self

    @model_validator(mode="after")
    def _geometries_can_be_listed(self) -> Self:
        common = self.all_layers.dimensions() | self.each_layer.dimensions()
        for number in range(1, self.most_layers + 1):
            own = self.by_layer[number].dimensions() if number in self.by_layer else {}
            chosen = common | own
            counts = {key: chosen[key].count or 1 for key in GEOMETRY if key in chosen}
            if math.prod(counts.values()) > MOST_GEOMETRIES:
                listed = ", ".join(f"{count} of `{key}`" for key, count in counts.items())
                raise ValueError(
                    f"layer {number} has {math.prod(counts.values()):,} geometries ({listed}), and at most "
                    f"{MOST_GEOMETRIES:,} can be searched: give fewer options"
                )
        return self


# The values of keys that the space does not mention.
DEFAULTS: dict[str, dict[str, Choice]] = {
    "layer": {key: f.default for key, f in Layer.model_fields.items() if key != "filters"}
    | {"filters": 32, "pool_size": 2, "pool_stride": AS_POOL_SIZE},
    "head": {key: Head.model_fields[key].default for key in ("pooling", "activation", "dropout")}
    | {"hidden_layers": 0, "units": 64},
    "recipe": {key: f.default for key, f in Recipe.model_fields.items() if key != "augmentation"},
    "augmentation": {key: f.default for key, f in Augmentation.model_fields.items()},
}
LAYER_KEYS = tuple(DEFAULTS["layer"])


def dimensions(definition: Definition) -> Iterator[tuple[str, Dimension]]:
    """Yield every dimension with its name, fixed ones too, in the order of the network."""
    yield INPUT, definition.input_size
    yield "layers", definition.layers
    given = definition.all_layers.dimensions()
    for key in LAYER_KEYS:
        if key in given:
            yield f"all_layers.{key}", given[key]
    each = definition.each_layer.dimensions()
    for number in range(1, definition.most_layers + 1):
        own = definition.by_layer[number].dimensions() if number in definition.by_layer else {}
        for key in LAYER_KEYS:
            if key in own or key not in given:
                default = Options((DEFAULTS["layer"][key],))
                yield f"layer{number}.{key}", own.get(key, each.get(key, default))
    for section in ("head", "recipe", "augmentation"):
        chosen = getattr(definition, section).dimensions()
        prefix = "" if section == "recipe" else f"{section}."
        for key, value in DEFAULTS[section].items():
            dimension = chosen.get(key, Options((value,)))
            if key != "units":
                yield f"{prefix}{key}", dimension
        if section == "head":
            hidden = max(int(v) for v in chosen.get("hidden_layers", Options((0,))).values or ())
            for number in range(1, hidden + 1):
                yield f"head.units{number}", chosen.get("units", Options((DEFAULTS["head"]["units"],)))


def presets() -> dict[str, Path]:
    """Return the ready spaces by name."""
    folder = Path(str(files(f"{__package__}.presets")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(name_or_path: str) -> Definition:
    """Read a space from a YAML file, or a preset by its name.

    Raises:
        InputError: with one line for each mistake: the file, the line, the key, the value and what would be right.
    """
    return parse(read(name_or_path), name_or_path)


def read(name_or_path: str) -> str:
    """Return the YAML text of a space, for `parse`; it is read once only, as a pipe gives it once.

    Raises:
        InputError: there is no such preset or file, or it is not text.
    """
    ready = presets()
    if name_or_path in ready:
        return ready[name_or_path].read_text(encoding="utf-8")
    path = Path(name_or_path)
    with suppress(RuntimeError):  # `~` names an unknown user
        path = path.expanduser()
    if path.suffix not in (".yaml", ".yml") and not path.exists():
        raise InputError(
            f"unknown space '{name_or_path}': {nearest(name_or_path, ready)}; or give the path of a YAML file"
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # a name with a NUL, or bytes that are no UTF-8
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{path}: the space cannot be read: {reason}") from error


def load_yaml(text: str) -> Any:
    """Return the plain data of a YAML text.

    Raises:
        YAMLError: it is not YAML, or has a value that cannot be, such as the date 2026-99-99: PyYAML lets the errors of
            Python's own conversions through.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, MemoryError):
        raise
    except Exception as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error) or type(error).__name__
        raise yaml.YAMLError(reason) from error


def parse(text: str, source: str) -> Definition:
    """Read a space from YAML text; errors call it `source`."""
    try:
        # Checked as a tree first: it knows the lines, and the plain reader lets a second key overwrite the first.
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source}:{mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or error
        raise InputError(f"{place}: this is not valid YAML: {problem}") from error
    if not isinstance(data, dict):
        keys = ", ".join(Definition.model_fields)
        raise InputError(f"{source}: a space is a YAML mapping with these keys: {keys}")
    try:
        for line, key in _duplicates(tree):
            raise InputError(f"{source}:{line}: duplicate key '{key}'")
        return Definition.model_validate(data)
    except RecursionError as error:
        raise InputError(f"{source}: an alias (`*name`) refers to itself") from error
    except ValidationError as error:
        raise InputError("\n".join(_explain(error, tree, source))) from error


def _duplicates(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = _key(key)
            if name in seen:
                yield key.start_mark.line + 1, name
            seen.add(name)
            yield from _duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item)


def _key(node: yaml.Node) -> str:
    """Return a key as it is read: 1 and 01 are the same number."""
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:int":
        return str(yaml.constructor.SafeConstructor().construct_yaml_int(node))
    return str(node.value)


def _explain(error: ValidationError, tree: yaml.Node | None, source: str) -> Iterator[str]:
    """Yield one line for each mistake: file:line: key: what is wrong and what would be right."""
    for mistake in error.errors():
        path = [part for part in mistake["loc"] if part != "[key]"]
        line = _line(tree, path)
        where = f"{source}:{line}: " if line else f"{source}: "
        key = ".".join(map(str, path))
        if mistake["type"] in ("extra_forbidden", "invalid_key"):
            hint = _elsewhere(str(path[-1])) or nearest(path[-1], _section(path[:-1]))
            yield f"{where}unknown key '{key}': {hint}"
            continue
        message = re.sub(r"^Value error, ", "", mistake["msg"])
        message = message[0].lower() + message[1:] if message.startswith("Input should") else message
        if mistake["type"] in ("model_type", "dict_type"):
            known = "numbers of layers, as in `1: {filters: 16}`" if path == ["by_layer"] else ", ".join(_section(path))
            message = f"{mistake['input']!r} is not a section; its keys are {known}"
        if mistake["type"] == "missing":
            message = "this key is required; it sets the number of layers, as in `layers: [2, 3, 4]`"
        yield f"{where}{key}: {message}" if key else f"{where}{message}"


def _section(path: list[Any]) -> list[str]:
    if path[:1] == ["by_layer"]:  # what follows is a number, or should be
        return list(LayerSection.model_fields)
    model: Any = Definition
    for part in path:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _elsewhere(key: str) -> str | None:
    sections: dict[str, type[BaseModel]] = {
        "each_layer": LayerSection,
        "head": HeadSection,
        "recipe": RecipeSection,
        "augmentation": AugmentationSection,
        "limits": Limits,
    }
    homes = [f"`{name}`" for name, section in sections.items() if key in section.model_fields]
    return f"it belongs in the section {' or '.join(homes)}" if homes else None


def _line(node: yaml.Node | None, path: list[Any]) -> int | None:
    """Return the line of the deepest part of `path` that the file has."""
    line = None
    for part in path:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if str(key.value) == str(part):
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line
