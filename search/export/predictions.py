"""Label and confidence of images, predicted by a bundle."""

from pathlib import Path
from typing import Any

import numpy as np

from ...spaces.errors import InputError, WorkError
from ..images.decoding import DIM, brightest, read_header
from ..system.backend import import_keras
from ..values.commands import command
from .labels import read_labels
from .preprocessing import preprocessing_of

AT_ONCE = 8  # images in memory, and in the network: more make it no faster where they are large


def predictions(bundle: Path, paths: list[Path]) -> list[dict[str, Any]]:
    """Return `{"image", "label", "confidence"}` for each image; confidence is a share from 0 to 1.

    Raises:
        InputError: the folder is not a bundle, its labels are not those of the model, or a file is not an image.
        WorkError: the model does not load.
    """
    for name in ("model.keras", "labels.txt"):
        if not (bundle / name).is_file():
            export = command("export", "STUDY", "--to", "DIR")
            raise InputError(f"{bundle}: not a bundle: it has no {name}; `{export}` writes one")
    how = preprocessing_of(bundle)
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such image")
        read_header(path)  # reject what is not an image before Keras is imported
    keras = import_keras()
    try:
        model = keras.saving.load_model(bundle / "model.keras", safe_mode=True)
    except (ValueError, OSError, TypeError) as error:
        raise WorkError(f"{bundle / 'model.keras'}: the model does not load: {error}") from error
    labels = read_labels(bundle / "labels.txt", model.output_shape[-1])
    rows = []
    for first in range(0, len(paths), AT_ONCE):
        images = np.stack([how.read(path, model.input_shape[1:]) for path in paths[first : first + AT_ONCE]])
        rows += list(model.predict(images, verbose=0))
    return [
        {"image": str(path), "label": labels[int(row.argmax())], "confidence": float(row.max())}
        for path, row in zip(paths, rows, strict=True)
    ]


def dim_note(paths: list[Path]) -> str | None:
    """Return a note on the image files whose 16 bits may hold values of fewer, as no training image did; None if none.

    One image alone may be dark, so that is not refused. Raises InputError for a file that is not an image.
    """
    dim = [path for path in paths if read_header(path).wide and brightest(path) < DIM]
    if not dim:
        return None
    return (
        f"{dim[0]}{f' and {len(dim) - 1:,} more' if dim[1:] else ''}: 16 bits, but no pixel of a quarter of white "
        "(65,535). Unless it is that dark, save 8-bit values with 8 bits, and multiply those of 10 or 12 bits"
    )
