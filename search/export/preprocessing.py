"""preprocessing.json: how an image file becomes the input of the bundle's model, the same as in training."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from ...spaces.errors import InputError
from ...spaces.sizes import Fit
from ..data import Dataset
from ..images.decoding import decode, resized

FILE = "preprocessing.json"


class Preprocessing(BaseModel):
    """A file is decoded to `size`, (height, width), by `fit`, and that image is brought to the model's input likewise.

    None of a size: to the model's input at once, as in bundles of earlier versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[int, int] | None = None
    fit: Fit = "stretch"

    @staticmethod
    def of(dataset: Dataset) -> "Preprocessing":
        """Return how the images of a data set were made."""
        return Preprocessing(size=(dataset.input.height, dataset.input.width), fit=dataset.fit)

    def write(self, bundle: Path) -> None:
        """Write the file of a bundle."""
        (bundle / FILE).write_text(self.model_dump_json() + "\n", encoding="utf-8")

    def read(self, path: Path, input: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return an image file as the model takes it; BadImageError where it cannot be used."""
        height, width, depth = input
        return resized(decode(path, self.size or (height, width), depth, self.fit), (height, width), self.fit)


def preprocessing_of(bundle: Path) -> Preprocessing:
    """Read it from a bundle, also one of an earlier version, which has none.

    Raises:
        InputError: it cannot be read.
    """
    path = bundle / FILE
    if not path.exists():
        return Preprocessing()
    try:
        return Preprocessing.model_validate(json.loads(path.read_bytes()))
    except (ValidationError, ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: damaged: {error}") from error
