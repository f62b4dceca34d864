"""Architecture -> a standalone Python file that builds the same model, as a person would have written it."""

from ..architecture import Architecture, Layer
from .constants import BATCH_NORM_MOMENTUM, L2_EPSILON, SLOPE, initializer

_HEADER = '''"""{title}

{arithmetic}. Written by Convsearch; needs Keras 3 and nothing else.
Images go in as raw pixels from 0 to 255, shape (batch, {input}); class probabilities come out.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import layers{operations}


@contextmanager
def as_trained() -> Iterator[None]:
    """Have layers expect the channels last and compute in full or mixed precision, whatever `keras.json` says."""
    layout, policy = keras.config.image_data_format(), keras.config.dtype_policy()
    keras.config.set_image_data_format("channels_last")
    if policy.variable_dtype != "float32":
        keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_image_data_format(layout)
        keras.config.set_dtype_policy(policy)


@as_trained()
def build_model() -> keras.Model:
    """Return the network with fresh weights; `model.keras` beside this file holds the trained ones."""
    inputs = keras.Input(({input}), dtype="float32", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(inputs)
'''

_FOOTER = """
    outputs = layers.Dense({classes}, activation="softmax", dtype="float32", name="classes")(x)
    return keras.Model(inputs, outputs, name="convsearch")


if __name__ == "__main__":
    build_model().summary()
"""


def source(architecture: Architecture, batch_norm_momentum: float = BATCH_NORM_MOMENTUM) -> str:
    """Return the text of a Python module with `build_model()`, which builds what `build` builds."""
    uses_l2 = any(layer.pooling == "l2" for layer in architecture.layers)
    text = _HEADER.format(
        title=str(architecture),
        arithmetic=f"{architecture.parameters:,} parameters, {architecture.macs:,} multiply-accumulates an image",
        input=", ".join(map(str, architecture.input)),
        operations=", ops" if uses_l2 else "",
    )
    before = architecture.input
    for number, layer in enumerate(architecture.layers, start=1):
        last = [step for step in architecture.steps if step.name in (f"pool{number}", f"conv{number}", f"mix{number}")]
        text += f"\n    # Layer {number}: {before} -> {last[-1].after}\n"
        text += "".join(f"    {line}\n" for line in _layer(number, layer, batch_norm_momentum))
        before = last[-1].after
    text += "\n    # Head\n" + "".join(f"    {line}\n" for line in _head(architecture))
    return text + _FOOTER.format(classes=architecture.classes).removeprefix("\n")


def _activation(activation: str, name: str) -> str:
    if activation == "leaky_relu":
        return f'x = layers.LeakyReLU(negative_slope={SLOPE}, name="{name}")(x)'
    return f'x = layers.Activation("{activation}", name="{name}")(x)'


def _layer(i: int, layer: Layer, momentum: float) -> list[str]:
    lines = []
    padding = layer.padding
    if isinstance(padding, int):
        if padding:
            lines.append(f'x = layers.ZeroPadding2D({padding}, name="conv{i}_zeros")(x)')
        padding = "valid"
    convolutions = [(f"conv{i}", layer.filters, layer.kernel_size, layer.stride, padding)]
    if layer.one_by_one:
        convolutions.append((f"mix{i}", layer.one_by_one, 1, 1, "valid"))
    for name, filters, size, stride, pad in convolutions:
        lines += [
            "x = layers.Conv2D(",
            f'    {filters}, {size}, strides={stride}, padding="{pad}", use_bias={not layer.batch_norm},',
            f'    kernel_initializer="{initializer(layer.activation)}", name="{name}",',
            ")(x)",
        ]
        if layer.batch_norm:
            lines.append(f'x = layers.BatchNormalization(momentum={momentum}, name="{name}_norm")(x)')
        lines.append(_activation(layer.activation, f"{name}_{layer.activation}"))
    sizes = f'{layer.pool_size}, {layer.pool_stride}, name="pool{i}"'
    if layer.pooling == "max":
        lines.append(f"x = layers.MaxPooling2D({sizes})(x)")
    elif layer.pooling == "average":
        lines.append(f"x = layers.AveragePooling2D({sizes})(x)")
    elif layer.pooling == "l2":
        lines.append(f"x = layers.AveragePooling2D({sizes})(ops.square(x))")
        lines.append(f"x = ops.sqrt(x * {float(layer.pool_size**2)} + {L2_EPSILON})")
    if layer.dropout:
        lines.append(f'x = layers.Dropout({layer.dropout}, name="dropout{i}")(x)')
    return lines


def _head(architecture: Architecture) -> list[str]:
    head = architecture.head
    pools = {
        "flatten": "Flatten",
        "global_average": "GlobalAveragePooling2D",
        "global_max": "GlobalMaxPooling2D",
    }
    lines = [f'x = layers.{pools[head.pooling]}(name="{head.pooling}")(x)']
    for number, units in enumerate(head.units, start=1):
        if head.dropout:
            lines.append(f'x = layers.Dropout({head.dropout}, name="hidden{number}_dropout")(x)')
        start = initializer(head.activation)
        lines.append(f'x = layers.Dense({units}, kernel_initializer="{start}", name="hidden{number}")(x)')
        lines.append(_activation(head.activation, f"hidden{number}_{head.activation}"))
    if head.dropout:
        lines.append(f'x = layers.Dropout({head.dropout}, name="classes_dropout")(x)')
    return lines
