"""Load a bundle in a fresh process that cannot import Convsearch, and compare it with the model in memory."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import WorkError
from ..system.backend import runtime_is_initialized
from ..system.fork_server import may_fork
from ..system.machine import this_machine
from ..system.processes import end_with_parent, last_words

MOST_DESCRIPTORS = 1 << 16
CHECKED = 16  # training images that a saved model is compared on
PATIENCE = 600.0  # seconds that the process has, imports included: it predicts a few images
TICK = 0.02  # seconds between two looks whether a forked process has ended
TOLERANCE = 1e-4  # of a probability; another process may sum in another order

# Run in the fresh process: the saved model, then the source file with the saved model's weights.
PROGRAM = """
import gc, importlib.util, json, sys
sys.modules["convsearch"] = None  # importing it is an error now
from pathlib import Path
import keras, numpy as np
keras.saving.get_custom_objects().clear()  # of the process that it was forked from
bundle, images, out = map(Path, json.load(sys.stdin))
images = np.load(images, allow_pickle=False)
saved = keras.saving.load_model(bundle / "model.keras", safe_mode=True)
spec = importlib.util.spec_from_file_location("model", bundle / "model.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
written = module.build_model()
written.set_weights(saved.get_weights())
np.save(out, np.stack([model.predict(images, verbose=0) for model in (saved, written)]))
gc.freeze()  # exit at once, without a final garbage collection
"""


class Verifier:
    """A fresh process that checks one bundle, started before the bundle is written.

    If Keras is imported and its backend has not started, the process is forked, and Convsearch removed from it;
    otherwise it is a new interpreter, which imports Keras in the meantime.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        """Start the process, which has `patience` seconds from when it knows the bundle."""
        self._patience = patience
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        if "keras" in sys.modules and may_fork(gpus=bool(this_machine().gpus)) and not runtime_is_initialized():
            self._fork()
        else:
            self._spawn()

    def _fork(self) -> None:
        read, self._input = os.pipe()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            _become_verifier(parent, read, self._output.fileno())
        os.close(read)
        self._code: int | None = None

        def wait(timeout: float) -> int:
            deadline = time.monotonic() + timeout
            while self._code is None:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._code = os.waitstatus_to_exitcode(status)
                elif time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(str(pid), timeout)
                else:
                    time.sleep(TICK)
            return self._code

        def kill() -> None:
            if self._code is None:
                os.kill(pid, signal.SIGKILL)

        self._wait, self._kill = wait, kill

    def _spawn(self) -> None:
        read, self._input = os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-B", "-c", PROGRAM],
                stdin=read,
                stdout=self._output,
                stderr=self._output,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )
        finally:
            os.close(read)
        self._wait, self._kill = process.wait, process.kill

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send("")
        self._kill()
        self._wait(PATIENCE)
        self._output.close()

    def _send(self, text: str) -> None:
        """Give the process its input, once."""
        if self._input >= 0:
            with suppress(BrokenPipeError):  # it has died, as its exit code will show
                os.write(self._input, text.encode())
            os.close(self._input)
            self._input = -1

    def verify(self, bundle: Path, images: NDArray[np.uint8], expected: NDArray[np.float32]) -> float:
        """Return the largest difference between the bundle's probabilities and `expected`.

        Args:
            bundle: the folder, with `model.keras` and `model.py`.
            images: uint8 (n, height, width, depth).
            expected: (n, classes), the predictions of the model in memory.

        Raises:
            WorkError: the bundle does not load, not in time, or its predictions differ.
        """
        with tempfile.TemporaryDirectory() as folder:
            inputs, outputs = Path(folder) / "images.npy", Path(folder) / "answers.npy"
            np.save(inputs, images)
            self._send(json.dumps([str(bundle.resolve()), str(inputs), str(outputs)]))
            try:
                code = self._wait(self._patience)
            except subprocess.TimeoutExpired as late:
                raise WorkError(
                    f"the bundle was not loaded in a fresh process within {self._patience:g} s ({self._last_words()})"
                ) from late
            if code != 0:
                raise WorkError(f"the bundle does not load in a fresh process: {self._last_words()}")
            predictions = np.load(outputs, allow_pickle=False)
        difference = float(np.abs(predictions - expected[None]).max())
        if not difference <= TOLERANCE:
            raise WorkError(
                f"the bundle's predictions differ from the model's by {difference:.2g}, more than {TOLERANCE:g}"
            )
        return difference

    def _last_words(self) -> str:
        self._output.seek(0)
        return last_words(self._output.read().decode(errors="replace")) or "no message"


def _become_verifier(parent: int, read: int, output: int) -> NoReturn:
    """Run the check in a process that was just forked by `parent`, without a trace of Convsearch."""
    code = 1
    try:
        end_with_parent(parent)
        for descriptor, standard in ((read, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, standard)
        os.closerange(3, MOST_DESCRIPTORS)  # above all the writing end of its own input, which would never end
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, to the end
        for name in [name for name in sys.modules if name.partition(".")[0] == "convsearch"]:
            del sys.modules[name]
        exec(compile(PROGRAM, "check", "exec"), {"__name__": "__main__"})
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
