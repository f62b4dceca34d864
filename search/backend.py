"""Keras and its backend, brought in quietly.

TensorFlow writes lines of its own to standard error while it is imported, before any setting can stop it. They would
drown ours, so that they are held back, and shown only if the import fails.
"""

import logging
import os
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Any

_importing = threading.Lock()


def preload_keras() -> None:
    """Begin to import Keras in the background; what goes wrong is told by `import_keras`."""

    def quietly() -> None:
        with suppress(Exception):
            import_keras()

    threading.Thread(target=quietly, daemon=True).start()


def import_keras() -> Any:
    """Import Keras with its backend and return the module.

    Raises:
        ImportError: Keras or the backend of KERAS_BACKEND is not installed; what was held back is printed.
    """
    with _importing:
        keras = _import_keras()
    keras.config.disable_interactive_logging()  # Keras keeps this by thread
    return keras


def _import_keras() -> Any:
    if "keras" in sys.modules:
        return sys.modules["keras"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import keras

            # Its first operation starts the backend, which has more to say.
            keras.ops.convert_to_tensor(0.0)
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras
