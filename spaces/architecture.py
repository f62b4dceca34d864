"""What a network is and how it is trained, as plain values: Architecture, Layer, Head, Recipe, Candidate.

All are frozen, compared by value, and travel as JSON. An architecture knows its arithmetic (`steps`) and no Keras; the
models are made in `building/model.py`, by the same steps in the same order.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .arithmetic import (
    BYTES_PER_VALUE,
    Padding,
    Step,
    Volume,
    batch_norm_parameters,
    conv_parameters,
    dense_parameters,
    output_volume,
    receptive_field,
)

Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid", "softplus", "linear"]
Pooling = Literal["none", "max", "average", "l2"]
HeadPooling = Literal["flatten", "global_average", "global_max"]
Optimizer = Literal["adamw", "adam", "nadam", "sgd", "rmsprop"]
Schedule = Literal["constant", "cosine", "warmup_cosine", "exponential"]
MAX_LAYERS = 32

LARGEST_SIDE, MOST_CLASSES = 65536, 1_000_000  # far more than is ever trained


def _of_an_image(volume: Volume) -> Volume:
    if not 1 <= min(volume) <= max(volume) <= LARGEST_SIDE:
        raise ValueError(f"the sides and the depth of an image are 1 to {LARGEST_SIDE:,}")
    return volume


Input = Annotated[Volume, AfterValidator(_of_an_image)]
"""The volume of one image."""

Count = Annotated[int, Field(ge=1, le=65536)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


def names(kind: Any) -> tuple[str, ...]:
    """Return the words that a Literal type of this module allows."""
    return tuple(str(word) for word in get_args(kind))


class Value(BaseModel):
    """A frozen value without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(Value):
    """One layer: convolution, normalisation, activation, a 1 x 1 convolution, pooling, dropout, in this order.

    `one_by_one` is the number of filters of a 1 x 1 convolution after the first one (0: none), with its own
    normalisation and activation. `pool_size` and `pool_stride` are 0 where nothing is pooled.
    """

    filters: Count
    kernel_size: Count = 3
    stride: Count = 1
    padding: Literal["valid", "same"] | Annotated[int, Field(ge=0, le=256)] = "same"
    activation: Activation = "relu"
    batch_norm: bool = False
    pooling: Pooling = "none"
    pool_size: Annotated[int, Field(ge=0, le=256)] = 0
    pool_stride: Annotated[int, Field(ge=0, le=256)] = 0
    dropout: Share = 0.0
    one_by_one: Annotated[int, Field(ge=0, le=65536)] = 0

    @model_validator(mode="after")
    def _pool_has_a_size(self) -> Self:
        if (self.pooling != "none") != (self.pool_size > 0) or (self.pool_size > 0) != (self.pool_stride > 0):
            raise ValueError(
                f"pooling '{self.pooling}' with pool_size {self.pool_size} and pool_stride {self.pool_stride}: "
                "both are at least 1 where there is a pool, and 0 where there is none"
            )
        return self

    def __str__(self) -> str:
        stride = f"s{self.stride}" if self.stride > 1 else ""
        padding = {"same": "", "valid": "v"}.get(str(self.padding), f"p{self.padding}")
        parts = [f"{self.filters}c{self.kernel_size}{stride}{padding}"]
        if self.one_by_one:
            parts.append(f"{self.one_by_one}c1")
        if self.pooling != "none":
            pool = f"{self.pooling[0]}p{self.pool_size}"
            parts.append(pool if self.pool_stride == self.pool_size else f"{pool}s{self.pool_stride}")
        return "-".join(parts)


class Head(Value):
    """From the last volume to one vector (`pooling`), through hidden dense layers (`units` of each) to the classes."""

    pooling: HeadPooling = "global_average"
    units: tuple[Count, ...] = ()
    activation: Activation = "relu"
    dropout: Share = 0.0

    def __str__(self) -> str:
        short = {"flatten": "flat", "global_average": "gap", "global_max": "gmp"}
        return "-".join([short[self.pooling], *(f"{units}d" for units in self.units)])


class Architecture(Value):
    """One network: the input volume, the layers in order, the head, and the number of classes."""

    input: Input
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=MAX_LAYERS)]
    head: Head = Head()
    classes: Annotated[int, Field(ge=2, le=MOST_CLASSES)]

    @model_validator(mode="after")
    def _nothing_vanishes(self) -> Self:
        for step in self.steps:
            if not step.after.size:
                raise ValueError(
                    f"{step.name} does not fit: a {step.kind} of size {step.kernel_size}, stride {step.stride} and "
                    f"padding {step.padding} makes {step.after} of {step.before}"
                )
        return self

    def __str__(self) -> str:
        """Return the one-line form: `32c3-mp2-64c3s2-gap-10`.

        `32c3` is 32 filters of 3 x 3 (`s2` stride 2, `v` valid padding, `p1` padding 1, else same), `mp2` a max pool
        of 2 (`ap` average, `lp` l2), `gap` the global average, `flat` flattening, `64d` a dense layer of 64.
        """
        return "-".join([*map(str, self.layers), str(self.head), str(self.classes)])

    @property
    def steps(self) -> tuple[Step, ...]:
        """The network Keras layer by Keras layer, with names, volumes and figures, from the first to the last."""
        walk = _Walk(self.input)  # not kept: a study holds thousands of architectures
        walk.layers(self.layers)
        walk.head(self.head, self.classes)
        return tuple(walk.steps)

    @cached_property
    def totals(self) -> tuple[int, int, int]:
        """Parameters, MACs and bytes of activations: all three from a single walk, as each walk is costly."""
        return _totals(self.steps)

    @property
    def parameters(self) -> int:
        """All weights, the moving statistics of batch normalisation among them, as Keras counts them."""
        return self.totals[0]

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image, in convolutions and dense layers."""
        return self.totals[1]

    @property
    def size_kb(self) -> float:
        """Kilobytes (1,000 bytes) of all weights in float32: the exported file, less some 30 kB of metadata."""
        return BYTES_PER_VALUE * self.parameters / 1000

    @property
    def activation_bytes(self) -> int:
        """Bytes of all layers' outputs for one image in float32: what training keeps for the backward pass."""
        return self.totals[2]


def totals_of_layers(input: Volume, layers: Iterable[Layer]) -> tuple[int, int, int]:
    """Return the `Architecture.totals` of layers without a head: what every network that begins with them has."""
    walk = _Walk(input)
    walk.layers(layers)
    return _totals(walk.steps)


def _totals(steps: Sequence[Step]) -> tuple[int, int, int]:
    return (
        sum(step.parameters for step in steps),
        sum(step.macs for step in steps),
        BYTES_PER_VALUE * sum(step.after.size for step in steps),
    )


class _Walk:
    """Follows the volume through an architecture and records one Step for each Keras layer."""

    def __init__(self, input: Volume) -> None:
        self.steps: list[Step] = []
        self.volume = input
        self.field, self.jump = 1, 1

    def layers(self, layers: Iterable[Layer]) -> None:
        """Follow the layers from the first on."""
        for number, layer in enumerate(layers, start=1):
            self._layer(number, layer)

    def _same(self, name: str, kind: str, parameters: int = 0) -> None:
        """Record a layer that keeps the volume."""
        self.steps.append(Step(name, kind, self.volume, self.volume, receptive_field=self.field, parameters=parameters))

    def _slide(self, name: str, kind: str, size: int, stride: int, padding: Padding, filters: int, bias: bool) -> None:
        """Record a filter, or a pool (no filters)."""
        before = self.volume
        after = output_volume(before, size, stride, padding, filters or None)
        self.field = receptive_field(self.field, self.jump, size)
        self.jump *= stride
        parameters = conv_parameters(size, before.depth, filters, bias) if filters else 0
        macs = size * size * before.depth * after.size if filters else 0
        self.steps.append(Step(name, kind, before, after, size, stride, padding, self.field, parameters, macs))
        self.volume = after

    def _layer(self, i: int, layer: Layer) -> None:
        convolutions = [("conv", layer.filters, layer.kernel_size, layer.stride, layer.padding)]
        if layer.one_by_one:
            convolutions.append(("mix", layer.one_by_one, 1, 1, "valid"))
        for name, filters, size, stride, padding in convolutions:
            self._slide(f"{name}{i}", "conv", size, stride, padding, filters, bias=not layer.batch_norm)
            if layer.batch_norm:
                self._same(f"{name}{i}_norm", "batch_norm", batch_norm_parameters(filters))
            self._same(f"{name}{i}_{layer.activation}", "activation")
        if layer.pooling != "none":
            self._slide(f"pool{i}", layer.pooling, layer.pool_size, layer.pool_stride, "valid", 0, False)
        if layer.dropout:
            self._same(f"dropout{i}", "dropout")

    def _flat(self, name: str, kind: str, after: int, dense: bool = False) -> None:
        before, self.volume = self.volume, Volume(1, 1, after)
        # A vector has seen the whole input, however far its filters reach.
        parameters, macs = (dense_parameters(before.size, after), before.size * after) if dense else (0, 0)
        self.steps.append(
            Step(name, kind, before, self.volume, receptive_field=self.field, parameters=parameters, macs=macs)
        )

    def head(self, head: Head, classes: int) -> None:
        """Follow the head behind the layers."""
        volume = self.volume
        self.field += (max(volume.height, volume.width) - 1) * self.jump
        self._flat(head.pooling, "head", volume.size if head.pooling == "flatten" else volume.depth)
        for number, units in enumerate(head.units, start=1):
            if head.dropout:
                self._same(f"hidden{number}_dropout", "dropout")
            self._flat(f"hidden{number}", "dense", units, dense=True)
            self._same(f"hidden{number}_{head.activation}", "activation")
        if head.dropout:
            self._same("classes_dropout", "dropout")
        self._flat("classes", "dense", classes, dense=True)


class Augmentation(Value):
    """How training images are varied, each by its strength; 0 or false is off. Validation and test see none of it.

    `greyscale` is the share of images that lose their colours; the flips happen to half the images; `crop` cuts out a
    window of (1 - crop) of each side at a random place and resizes it to the full size; `colour_jitter` varies
    brightness, contrast, saturation and (a quarter as far) hue by up to this share; `translation` shifts by up to
    this share of the side, `rotation` rotates by up to this many degrees; both fill the gap with a mirror image.
    """

    greyscale: Annotated[float, Field(ge=0, le=1)] = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    crop: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    colour_jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    translation: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0


class Recipe(Value):
    """How a network is trained. `weight_decay` is decoupled (Loshchilov and Hutter, 2019), for every optimizer.

    The defaults are those of the portfolio (`known/portfolio.yaml`).
    """

    optimizer: Optimizer = "adamw"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 3e-3
    schedule: Schedule = "warmup_cosine"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    label_smoothing: Share = 0.1
    augmentation: Augmentation = Augmentation()

    @property
    def settles(self) -> bool:
        """Whether the learning rate ends near zero, so that the last epoch is as good as any earlier one."""
        return self.schedule != "constant"


class Candidate(Value):
    """An architecture and a recipe: what a trial trains."""

    architecture: Architecture
    recipe: Recipe = Recipe()

    @cached_property
    def hash(self) -> str:
        """A digest of the value: equal candidates have equal hashes on every machine."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def flat(self) -> dict[str, str | int | float | bool]:
        """Return every choice under its dimension's name (`layer1.kernel_size`, `learning_rate`), fixed ones too."""
        input = self.architecture.input
        found: dict[str, str | int | float | bool] = {"input_size": f"{input.height}x{input.width}"}
        found["layers"] = len(self.architecture.layers)
        for number, layer in enumerate(self.architecture.layers, start=1):
            found |= {f"layer{number}.{key}": value for key, value in layer}
        head = self.architecture.head
        found |= {"head.pooling": head.pooling, "head.hidden_layers": len(head.units)}
        found |= {f"head.units{number}": units for number, units in enumerate(head.units, start=1)}
        found |= {"head.activation": head.activation, "head.dropout": head.dropout}
        found |= {key: value for key, value in self.recipe if key != "augmentation"}
        return found | {f"augmentation.{key}": value for key, value in self.recipe.augmentation}
