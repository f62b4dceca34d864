"""Imports Keras and its backend quietly.

TensorFlow logs to standard error while it is imported, before any setting can stop it. These lines would drown ours, so
they are held back, and shown only if the import fails.
"""

import gc
import json
import logging
import os
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...spaces.errors import WorkError
from .imports import without

BACKENDS = {  # Keras backends that can train, and the distributions that provide them
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly"),
    "jax": ("jax",),
    "torch": ("torch",),
}
PREDICTING = ("numpy", "openvino")  # those that can only predict

# Keras imports these where they are installed, for wrappers and plots that are not used here: a third of its time.
UNUSED = ("matplotlib", "pandas", "sklearn")

_importing = threading.Lock()


def chosen_backend() -> tuple[str, str]:
    """Return the backend that Keras will use and what chose it, without importing Keras."""
    if named := os.environ.get("KERAS_BACKEND"):
        return named, f"KERAS_BACKEND={named}"
    file = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json"
    try:
        named = json.loads(file.read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, LookupError, TypeError):  # Keras ignores such a file too
        return "tensorflow", "the default"
    return str(named), str(file)


def require_backend(*, training: bool) -> None:
    """Check, without importing Keras, that the backend it will use is installed, and can train if it has to.

    Raises:
        WorkError: it is not, or it cannot; the message says what chose it and which ones would do.
    """
    name, chosen_by = chosen_backend()
    known = (*BACKENDS,) if training else (*BACKENDS, *PREDICTING)
    if name in known and find_spec(name) is not None:
        return
    there = [each for each in BACKENDS if find_spec(each) is not None]
    why = f"{name} is not installed" if name in known else f"Keras has no backend '{name}'"
    if training and name in PREDICTING:
        why = f"Keras's backend '{name}' cannot train"
    remedy = f"set KERAS_BACKEND={there[0]}" if there else f"pip install {name if name in BACKENDS else 'tensorflow'}"
    if there and name in BACKENDS:
        remedy += f", or pip install {name}"
    raise WorkError(f"{chosen_by}: {why} (installed: {', '.join(there) or 'no backend'}); {remedy}")


def visible_gpus() -> list[str]:
    """Return the GPUs that Keras's backend would train on, by the backend's names."""
    backend = import_keras().backend.backend()
    if backend == "tensorflow":
        import tensorflow

        return [device.name for device in tensorflow.config.list_physical_devices("GPU")]
    if backend == "jax":
        import jax

        return [str(device) for device in jax.devices() if device.platform != "cpu"]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def runtime_is_initialized() -> bool:
    """Whether the backend's runtime, with its threads and devices, is initialized in this process; True if in doubt."""
    if not {"tensorflow", "jax", "torch"} & set(sys.modules):
        return False
    try:
        if "tensorflow" in sys.modules:
            from tensorflow.python.eager.context import context_safe

            context = context_safe()
            if context is not None and context._initialized:
                return True
        if "jax" in sys.modules:
            from jax._src.xla_bridge import backends_are_initialized

            return bool(backends_are_initialized())
    except (ImportError, AttributeError):
        return True
    return "torch" in sys.modules


def import_keras(start: bool = True) -> Any:
    """Import Keras with its backend and return the module; without `start`, the backend's runtime is not initialized.

    Images have their channels last, numbers are float32 and the fuzz factor is Keras's own, whatever the user's
    `keras.json` says: only the backend is its matter.

    Raises:
        WorkError: the backend is not installed.
        ImportError: Keras is not installed, or the backend is damaged; what was held back is printed.
    """
    with _importing:
        keras = _import_keras(start)
    keras.config.disable_interactive_logging()  # Keras stores this per thread
    return keras


def _import_keras(start: bool) -> Any:
    if "keras" in sys.modules:
        return sys.modules["keras"]
    require_backend(training=False)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Otherwise the first process on a GPU takes nearly all of its memory, and leaves none for the others.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            with without(UNUSED):
                import keras
            keras.config.set_image_data_format("channels_last")
            keras.config.set_floatx("float32")
            keras.config.set_epsilon(1e-7)
            if start:  # the first operation initializes it, and it logs more then
                keras.ops.convert_to_tensor(0.0)
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Keras collects garbage before each network: a fifth of a second, nearly all of it for imported modules.
    gc.freeze()
    return keras
