"""The columns of a table of labels that a person named; a study keeps them, to read its table in the same way."""

from pydantic import BaseModel, ConfigDict

NO_COLUMN = "none"
"""Said in the place of a name: no column is meant, although there is one that looks like it."""


class Columns(BaseModel):
    """The names of the columns of images, labels, splits and groups; None where a column is found by its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The words that say the same on the command line.

        >>> Columns(label="breed").options
        ('--label-column', 'breed')
        """
        return tuple(word for role, name in self if name is not None for word in (f"--{role}-column", name))
