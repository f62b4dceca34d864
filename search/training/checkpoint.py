"""The checkpoint of a training that may be resumed: the network's weights and the optimizer's state, as arrays."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_REMEDY = "Move it away, and --resume begins the trial anew"


def save_checkpoint(model: Any, network: Any, path: Path, epochs: int) -> None:
    """Write the weights of `network` and the optimizer of `model`, the compiled model around it, after `epochs`."""
    arrays: dict[str, Any] = {"epochs": np.asarray(epochs)}
    arrays |= {f"weight{i}": weight for i, weight in enumerate(network.get_weights())}
    arrays |= {f"optimizer{i}": np.asarray(variable) for i, variable in enumerate(model.optimizer.variables)}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.replace(path)


def saved_epochs(path: Path) -> int | None:
    """Return the number of epochs at which a checkpoint was written, or None if there is none, or a damaged one.

    Raises:
        OSError: the machine fails to read it.
        MemoryError: the machine has too little memory to read it.
    """
    try:
        epochs = _arrays(path).get("epochs")
    except (FileNotFoundError, DamagedError):
        return None
    return int(epochs) if epochs is not None and epochs.shape == () and epochs.dtype.kind in "iu" else None


def load_checkpoint(model: Any, network: Any, path: Path, steps: int) -> None:
    """Restore a newly compiled model from a checkpoint; one that cannot be restored leaves the model as it is.

    Args:
        model: the compiled model, whose optimizer has its variables, as `trainable` returns it.
        network: the network in it, as `save_checkpoint` was given it.
        path: the file.
        steps: the number of steps in the epochs trained so far. The learning rate's schedule continues from there at
            the latest: an epoch may have been cut short after the last one, and in float16 the optimizer skips steps.

    Raises:
        OSError: the file is missing, cannot be read, or is damaged (DamagedError).
    """
    arrays = _arrays(path)
    weights = _like(network.weights, arrays, "weight", path)
    state = _like(model.optimizer.variables, arrays, "optimizer", path)
    network.set_weights(weights)
    for variable, array in zip(model.optimizer.variables, state, strict=True):
        variable.assign(array)
    iterations = model.optimizer.iterations
    iterations.assign(min(int(iterations), steps))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a checkpoint, all of which match their checksums.

    Raises:
        OSError: the file is missing or cannot be read, or, as a DamagedError, what was read is damaged.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (wrong := archive.testzip()) is not None:  # before any header says how much memory is needed
                raise zipfile.BadZipFile(f"{wrong} does not match its checksum")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return dict(file)
    except MemoryError:
        raise
    except Exception as error:  # damage makes zipfile, its decoders and NumPy raise almost anything
        raise DamagedError(f"{path}: damaged: {error or type(error).__name__}") from error


def _like(variables: Sequence[Any], arrays: dict[str, NDArray[Any]], name: str, path: Path) -> list[NDArray[Any]]:
    """Return the arrays of that name and a number, one for each variable; DamagedError where one does not fit."""
    found = []
    count = sum(key.startswith(name) for key in arrays)
    if count > len(variables):
        has = f"it has {count} arrays `{name}`, but the network {len(variables)}"
        raise DamagedError(f"{path}: damaged: {has}. {_REMEDY}")
    for i, variable in enumerate(variables):
        array, shape, kind = arrays.get(f"{name}{i}"), tuple(variable.shape), str(variable.dtype)
        has = "missing" if array is None else f"{array.dtype.name} of shape {array.shape}"
        counts = "int" in has and "int" in kind  # of another size with another backend
        if array is None or array.shape != shape or not (array.dtype.name == kind or counts):
            raise DamagedError(
                f"{path}: damaged: {name}{i} is {has}, but the network has {kind} of shape {shape}. {_REMEDY}"
            )
        found.append(array)
    return found


class DamagedError(OSError):
    """A checkpoint from which no training can go on."""
