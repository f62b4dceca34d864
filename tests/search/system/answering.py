"""Programs that tests have forked or started: each says something of the process that it is in."""

import os
import sys
import time
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from convsearch.search.system.backend import import_keras, runtime_is_initialized
from convsearch.search.system.programs import answer
from convsearch.spaces.errors import InputError, WorkError


def main(connection: Connection) -> None:
    """Do as the question says."""

    def done(question: dict[str, Any]) -> dict[str, Any]:
        if question["what"] == "hang up":
            connection.close()
            question = {"what": "wait"}
        return work(question)

    answer(connection, done)


def work(question: dict[str, Any]) -> dict[str, Any]:
    """What a question names is what happens."""
    match question["what"]:
        case "facts":
            variables = {name: os.environ.get(name) for name in question["names"]}
            return {"pid": os.getpid(), "parent": os.getppid(), "variables": variables, "group": os.getsid(0)}
        case "keras":
            there, before = "keras" in sys.modules, runtime_is_initialized()
            import_keras().ops.convert_to_tensor(1.0)
            return {"there": there, "before": before, "after": runtime_is_initialized()}
        case "numbers and images":
            config = import_keras().config
            policy = config.dtype_policy()
            return {"found": [config.floatx(), policy.name, config.image_data_format(), config.epsilon()]}
        case "packages":
            imported = [name for name in question["names"] if name in sys.modules]
            return {"imported": imported, "importable": [import_module(name).__name__ for name in question["names"]]}
        case "print":
            print(question["text"], flush=True)
            return {}
        case "input":
            raise InputError("this is wrong")
        case "work":
            raise WorkError("this failed")
        case "disk":
            raise OSError(28, "No space left on device", "/full/disk")
        case "long nonsense":
            raise ValueError("nonsense\n\nThe arguments were:\n  \u2022 kwargs=<class 'inspect._empty'>")
        case "exit":
            sys.exit(3)
        case "wait":
            time.sleep(3600)
    raise ValueError(question["what"])
