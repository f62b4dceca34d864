"""Whether the values of a column can be classes: numbers that were measured, and names of the images, cannot."""

from collections.abc import Mapping

from ...spaces.errors import InputError
from ...spaces.printable import printable
from ..data.class_names import number_of
from ..data.source import quoted

_MANY = 200  # classes that are nothing but whole numbers: CIFAR-100 has 100
_FRACTIONS = 20  # classes that are fractions: steps of a half, say
_EACH = 20  # images of each class, with which numbers are classes however many there are
_FEW = 20  # classes that are looked at no further; of too few images of each, others say it


def require_classes(spec: str, column: str, counts: Mapping[str, int]) -> None:
    """Raise an InputError where labels, given with the number of images of each, are no classes.

    `column` is the name of theirs, to be shown.
    """
    images, different = sum(counts.values()), len(counts)
    numbers = [number_of(label) for label in counts]
    whole = [number for number in numbers if number is not None and number == number.to_integral_value()]
    if None not in numbers:
        limit = _MANY if len(whole) == different else _FRACTIONS
        if different > limit and images < _EACH * different:
            raise _no_classes(spec, column, f"{different:,} different numbers", images, counts)
    if different > _FEW and 2 * different > images:
        raise _no_classes(spec, column, f"{different:,} different values", images, counts)


def _no_classes(spec: str, column: str, what: str, images: int, counts: Mapping[str, int]) -> InputError:
    some = quoted([printable(label) for label in list(counts)[:3]])
    return InputError(
        f"{spec}: column '{column}' has {what} over {images:,} images, such as {some}; labels are classes, "
        "of many images each. Which column has them? --label-column"
    )
