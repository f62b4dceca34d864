"""The checkpoint of a training that may be resumed: the network's weights and the optimizer's state, as arrays."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np


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
    """Return the number of epochs at which a checkpoint was written, or None if there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return int(file["epochs"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def load_checkpoint(model: Any, network: Any, path: Path, steps: int) -> None:
    """Restore a newly compiled model from a checkpoint.

    Args:
        model: the compiled model.
        network: the network in it, as `save_checkpoint` was given it.
        path: the file.
        steps: the number of steps trained so far; the learning rate's schedule continues from there.

    Raises:
        OSError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise OSError(f"{path}: damaged: {error}") from error
    network.set_weights([arrays[f"weight{i}"] for i in range(len(network.weights))])
    model.optimizer.build(model.trainable_variables)
    for i, variable in enumerate(model.optimizer.variables):
        variable.assign(arrays[f"optimizer{i}"])
    model.optimizer.iterations.assign(steps)
