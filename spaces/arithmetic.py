"""The arithmetic of convolutional networks: volumes, receptive fields, parameters, multiplications, memory.

Pure functions of whole numbers without Keras; a property test checks every figure against Keras. One formula
stands behind all shapes, for filters and pools alike (see `output_size`):

    O = (W - K + 2P) / S + 1

with W the input's side, K the side of the filter, P the zeros added on each side and S the stride.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Padding = Literal["valid", "same"] | int
"""`valid` adds no zeros, `same` keeps W at stride 1, a whole number P adds P zeros on every side."""

BYTES_PER_VALUE = 4  # float32


class Volume(NamedTuple):
    """The data between two layers: height x width x depth, in pixels, pixels and channels."""

    height: int
    width: int
    depth: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.depth}"

    @property
    def size(self) -> int:
        """The number of values in the volume."""
        return self.height * self.width * self.depth


class Step(NamedTuple):
    """One layer of a network as Keras has it, with all its figures; `name` is the Keras layer's name."""

    name: str
    kind: str
    before: Volume
    after: Volume
    kernel_size: int = 1
    stride: int = 1
    padding: Padding = "valid"
    receptive_field: int = 1
    parameters: int = 0
    macs: int = 0

    @property
    def is_filter(self) -> bool:
        """Whether the layer slides over the volume, so that the output formula applies."""
        return self.kind == "conv" or self.kind in POOLS


POOLS = ("max", "average", "l2")


def doubled_padding(kernel_size: int, padding: Padding) -> int:
    """Return 2P, the total number of zeros added along one axis.

    For `same` this is K - 1, which makes the formula give W / S rounded up, exactly what Keras returns. (Where S does
    not divide W - 1, Keras adds fewer zeros than that, and gets the same output size.)
    """
    if padding == "valid":
        return 0
    if padding == "same":
        return kernel_size - 1
    return 2 * padding


def output_size(size: int, kernel_size: int, stride: int = 1, padding: Padding = "valid") -> int:
    """Return O = (W - K + 2P) / S + 1, rounded down; 0 where the filter does not fit.

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016), relationship 6.

    >>> output_size(32, 5, 1, 2), output_size(227, 11, 4), output_size(3, 5)
    (32, 55, 0)
    """
    reach = size - kernel_size + doubled_padding(kernel_size, padding)
    return reach // stride + 1 if reach >= 0 else 0


def fits_exactly(size: int, kernel_size: int, stride: int = 1, padding: Padding = "valid") -> bool:
    """Whether (W - K + 2P) is divisible by S, the textbook rule that no pixel at the edge is left unread.

    `same` with an even K breaks it too: P would be half a pixel, and Keras pads one side more than the other.
    """
    doubled = doubled_padding(kernel_size, padding)
    reach = size - kernel_size + doubled
    return reach >= 0 and reach % stride == 0 and doubled % 2 == 0


def output_volume(
    before: Volume, kernel_size: int, stride: int, padding: Padding, filters: int | None = None
) -> Volume:
    """Return the output volume of a filter or pool; its depth is `filters`, or unchanged for a pool."""
    return Volume(
        output_size(before.height, kernel_size, stride, padding),
        output_size(before.width, kernel_size, stride, padding),
        before.depth if filters is None else filters,
    )


def conv_parameters(kernel_size: int, depth: int, filters: int, bias: bool = True) -> int:
    """Return the weights of a convolution: K * K * D for each filter, and a bias each."""
    return kernel_size * kernel_size * depth * filters + (filters if bias else 0)


def dense_parameters(inputs: int, units: int) -> int:
    """Return the weights of a dense layer: one for each pair, and a bias for each unit."""
    return inputs * units + units


def batch_norm_parameters(depth: int) -> int:
    """Return the weights of a batch normalisation: scale, shift, and the moving mean and variance, per channel."""
    return 4 * depth


def receptive_field(field: int, jump: int, kernel_size: int) -> int:
    """Return the side of the input region that one output sees, given that of the layer before.

    `jump` is the product of all strides before this layer. Source: Araujo, Norris and Sim, Computing receptive fields
    of convolutional neural networks, Distill (2019), equation 2.
    """
    return field + (kernel_size - 1) * jump


def seen(steps: Sequence[Step], row: int, column: int) -> tuple[range, range]:
    """Return the rows and columns of the input that one output value of the last step sees.

    They may reach past the edge, into the padding. The value is traced back step by step: position i of an axis sees
    positions i S - P to i S - P + K - 1 of the input's axis, where P is the number of zeros added in front, half of
    the total, rounded down.

    Args:
        steps: all steps from the input on, elementwise ones too.
        row: of the value, in the last volume.
        column: of the value, in the last volume.
    """
    rows, columns = range(row, row + 1), range(column, column + 1)
    for step in reversed(steps):
        if step.is_filter:
            rows = _before(step, rows, step.before.height, step.after.height)
            columns = _before(step, columns, step.before.width, step.after.width)
    return rows, columns


def _before(step: Step, places: range, size: int, output: int) -> range:
    zeros = 2 * step.padding if isinstance(step.padding, int) else 0
    if step.padding == "same":
        zeros = max(0, (output - 1) * step.stride + step.kernel_size - size)
    first = places.start * step.stride - zeros // 2
    return range(first, (places.stop - 1) * step.stride - zeros // 2 + step.kernel_size)
