"""The classes that labels of text say: their order, and the names under which they are shown."""

import unicodedata
from collections.abc import Collection
from decimal import Decimal, InvalidOperation

from ...spaces.errors import InputError
from ...spaces.printable import printable


def number_of(label: str) -> Decimal | None:
    """Return the number that a label is, None where it is none.

    >>> number_of("-1"), number_of("0.5"), number_of("cat"), number_of("nan")
    (Decimal('-1'), Decimal('0.5'), None, None)
    """
    try:
        value = Decimal(label)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def in_order(labels: Collection[str]) -> list[str]:
    """Return different labels in the order that their classes have: numbers by their value, otherwise by name.

    >>> in_order({"10", "9"}), in_order({"10", "9", "none"})
    (['9', '10'], ['10', '9', 'none'])
    """
    values = {label: number_of(label) for label in labels}
    if any(value is None for value in values.values()):
        return sorted(labels)
    return sorted(labels, key=lambda label: (values[label], label))


def class_names(spec: str, labels: Collection[str]) -> dict[str, str]:
    """Return for each of different labels, in the order of the classes, the printable name of its class.

    Raises InputError where two labels would be shown alike: such classes could not be told apart.
    """
    names: dict[str, str] = {}
    seen: dict[str, str] = {}
    for label in in_order(labels):
        name = printable(label)
        other = seen.setdefault(unicodedata.normalize("NFC", name), label)
        if other != label:
            raise InputError(
                f"{spec}: two labels are shown by one name, '{name}': {other!a} and {label!a}. If they are one class, "
                "write them alike; if not, rename one of them."
            )
        names[label] = name
    return names
