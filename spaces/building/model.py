"""Architecture -> keras.Model, from stock Keras layers only, so that the saved model loads without Convsearch.

The only module of `spaces` that imports Keras. Layer names, output shapes and parameter counts are those of
`Architecture.steps`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
from keras import layers as L
from keras import ops

from ..architecture import Architecture, Augmentation, Head, Layer
from ..arithmetic import Volume
from .constants import BATCH_NORM_MOMENTUM, L2_EPSILON, SLOPE, initializer


@contextmanager
def _channels_last() -> Iterator[None]:
    """Have layers that are made meanwhile expect the channels last, whatever the user's `keras.json` says."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def activation_layer(activation: str, name: str) -> Any:
    """Return a Keras layer that applies the activation."""
    if activation == "leaky_relu":
        return L.LeakyReLU(negative_slope=SLOPE, name=name)
    return L.Activation(activation, name=name)


@_channels_last()
def build(
    architecture: Architecture,
    batch_norm_momentum: float = BATCH_NORM_MOMENTUM,
    normalization: type = L.BatchNormalization,
) -> keras.Model:
    """Return the network: images in, class probabilities out.

    Input: float or whole numbers (batch, height, width, depth), raw pixels from 0 to 255; the model rescales them.
    Output: (batch, classes); each row sums to 1.

    Args:
        architecture: what to build.
        batch_norm_momentum: of the moving statistics; it must suit the number of training steps.
        normalization: the class of the batch normalisation layers; training may use another than Keras's.
    """
    inputs = keras.Input(tuple(architecture.input), name="image")
    t = L.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(inputs)
    for number, layer in enumerate(architecture.layers, start=1):
        t = _layer(t, number, layer, partial(normalization, momentum=batch_norm_momentum))
    t = _head(t, architecture.head)
    # Probabilities stay float32 under mixed precision: half precision would round them.
    outputs = L.Dense(architecture.classes, activation="softmax", dtype="float32", name="classes")(t)
    return keras.Model(inputs, outputs, name="convsearch")


def _layer(t: Any, i: int, layer: Layer, normalization: Callable[..., Any]) -> Any:
    padding, bias = layer.padding, not layer.batch_norm
    if isinstance(padding, int):
        if padding:
            t = L.ZeroPadding2D(padding, name=f"conv{i}_zeros")(t)
        padding = "valid"
    start = initializer(layer.activation)

    def activated(t: Any, name: str) -> Any:
        if layer.batch_norm:
            t = normalization(name=f"{name}_norm")(t)
        return activation_layer(layer.activation, f"{name}_{layer.activation}")(t)

    convolution = L.Conv2D(
        layer.filters,
        layer.kernel_size,
        strides=layer.stride,
        padding=padding,
        use_bias=bias,
        kernel_initializer=start,
        name=f"conv{i}",
    )
    t = activated(convolution(t), f"conv{i}")
    if layer.one_by_one:
        mix = L.Conv2D(layer.one_by_one, 1, use_bias=bias, kernel_initializer=start, name=f"mix{i}")
        t = activated(mix(t), f"mix{i}")
    if layer.pooling == "max":
        t = L.MaxPooling2D(layer.pool_size, layer.pool_stride, name=f"pool{i}")(t)
    elif layer.pooling == "average":
        t = L.AveragePooling2D(layer.pool_size, layer.pool_stride, name=f"pool{i}")(t)
    elif layer.pooling == "l2":
        # The root of the sum of squares, from stock layers: k * k times the mean is the sum.
        mean = L.AveragePooling2D(layer.pool_size, layer.pool_stride, name=f"pool{i}")(ops.square(t))
        t = ops.sqrt(mean * float(layer.pool_size**2) + L2_EPSILON)
    if layer.dropout:
        t = L.Dropout(layer.dropout, name=f"dropout{i}")(t)
    return t


def _head(t: Any, head: Head) -> Any:
    pools = {
        "flatten": L.Flatten,
        "global_average": L.GlobalAveragePooling2D,
        "global_max": L.GlobalMaxPooling2D,
    }
    t = pools[head.pooling](name=head.pooling)(t)
    for number, units in enumerate(head.units, start=1):
        if head.dropout:
            t = L.Dropout(head.dropout, name=f"hidden{number}_dropout")(t)
        name, start = f"hidden{number}", initializer(head.activation)
        dense = L.Dense(units, kernel_initializer=start, name=name)
        t = activation_layer(head.activation, f"{name}_{head.activation}")(dense(t))
    if head.dropout:
        t = L.Dropout(head.dropout, name="classes_dropout")(t)
    return t


@_channels_last()
def augmenter(augmentation: Augmentation, input: Volume) -> list[Any]:
    """Return Keras layers that augment a batch of raw images (0 to 255) in training and do nothing in inference."""
    a, found = augmentation, []
    if a.horizontal_flip or a.vertical_flip:
        mode = {(True, True): "horizontal_and_vertical", (True, False): "horizontal"}
        found.append(L.RandomFlip(mode.get((a.horizontal_flip, a.vertical_flip), "vertical")))
    if a.crop:
        # Shift by the margin around the window, then enlarge: RandomCrop uses one window for the whole batch.
        found.append(L.RandomTranslation(a.crop / 2, a.crop / 2, fill_mode="reflect"))
        found.append(L.RandomZoom((-a.crop, -a.crop), fill_mode="reflect"))
    if a.translation:
        found.append(L.RandomTranslation(a.translation, a.translation, fill_mode="reflect"))
    if a.rotation:
        found.append(L.RandomRotation(a.rotation / 360, fill_mode="reflect"))
    if a.colour_jitter and input.depth == 3:
        found += _colour_jitter(a.colour_jitter)
    elif a.colour_jitter:
        found += [L.RandomBrightness(a.colour_jitter), L.RandomContrast(a.colour_jitter)]
    if a.greyscale and input.depth == 3:
        found.append(L.RandomGrayscale(a.greyscale))
    return found


def _colour_jitter(strength: float) -> list[Any]:
    # Keras multiplies the saturation by factor / (1 - factor), so that 0.5 changes nothing, and holds it below the
    # highest pixel: pixels have to be from 0 to 1. Dividing by 256 is exact, so that outside training nothing changes.
    saturation = ((1 - strength) / (2 - strength), (1 + strength) / (2 + strength))
    jitter = L.RandomColorJitter((0, 255 / 256), strength, strength, saturation, strength / 4)
    return [L.Rescaling(1 / 256), jitter, L.Rescaling(256.0)]
