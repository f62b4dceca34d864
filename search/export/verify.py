"""Load a bundle in a fresh process that cannot import Convsearch, and compare it with the model in memory."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import WorkError

TOLERANCE = 1e-4  # of a probability; another process may add numbers in another order

# Run in the fresh process: the saved model, then the source file with the saved model's weights.
_PROGRAM = """
import gc, importlib.util, sys
sys.modules["convsearch"] = None  # importing it is an error now
from pathlib import Path
import keras, numpy as np
bundle, images, out = (Path(line.rstrip("\\n")) for line in sys.stdin)
images = np.load(images, allow_pickle=False)
saved = keras.saving.load_model(bundle / "model.keras", safe_mode=True)
spec = importlib.util.spec_from_file_location("model", bundle / "model.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
written = module.build_model()
written.set_weights(saved.get_weights())
np.save(out, np.stack([model.predict(images, verbose=0) for model in (saved, written)]))
gc.freeze()  # it ends at once, without a last look at every object
"""


class Verifier:
    """A fresh process that checks one bundle. It imports Keras from the start, while the bundle is still being made."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-B", "-c", _PROGRAM]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def verify(self, bundle: Path, images: NDArray[np.uint8], expected: NDArray[np.float32]) -> float:
        """Return the largest difference between the bundle's probabilities and `expected`.

        Args:
            bundle: the folder, with `model.keras` and `model.py`.
            images: uint8 (n, height, width, depth).
            expected: (n, classes), what the model in memory says of them.

        Raises:
            WorkError: the bundle does not load, or says something else.
        """
        with tempfile.TemporaryDirectory() as folder:
            given, answered = Path(folder) / "images.npy", Path(folder) / "answers.npy"
            np.save(given, images)
            _, said = self._process.communicate(f"{bundle.resolve()}\n{given}\n{answered}\n")
            if self._process.returncode != 0:
                lines = said.strip().splitlines()
                raise WorkError(f"the bundle does not load in a fresh process: {lines[-1] if lines else 'no message'}")
            answers = np.load(answered, allow_pickle=False)
        difference = float(np.abs(answers - expected[None]).max())
        if not difference <= TOLERANCE:
            raise WorkError(
                f"the bundle's answers differ from the model's by {difference:.2g}, more than {TOLERANCE:g}"
            )
        return difference
