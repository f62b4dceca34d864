"""A worker that trains nothing: it talks as the real one does, and takes as long as measured trials took.

Each trial is given one of the trials in `benchmarks/data/trials.jsonl`: its curve, and its seconds an epoch, brought to
a mean of STUB_EPOCH (1) second. Imports next to nothing, so that hundreds of them fit on one machine.
"""

import json
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROWS = Path(__file__).parent / "data" / "trials.jsonl"
LONGEST = 5  # times the median
EPOCH = float(os.environ.get("STUB_EPOCH", "1"))


def main(line: Connection) -> None:
    """Serve until the other end is closed."""
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    # One of them was measured while the machine stood still for twenty minutes: nothing counts more than LONGEST.
    median = sorted(row["seconds"] for row in rows)[len(rows) // 2]
    seconds = [min(row["seconds"], LONGEST * median) for row in rows]
    usual = sum(seconds) / len(seconds)

    def send(**message: object) -> None:
        line.send_bytes(json.dumps(message).encode())

    def read() -> dict[str, Any]:
        message: dict[str, Any] = json.loads(line.recv_bytes())
        return message

    try:
        idle = time.perf_counter()
        while True:
            message = read()
            if "job" not in message:
                continue
            job = message["job"]
            idle = time.perf_counter() - idle
            which = random.Random(job["seed"]).randrange(len(rows))
            row, takes = rows[which], EPOCH * seconds[which] / usual
            send(started=job["number"])
            curve: list[float] = []
            trained = waited = 0.0
            go_on = True
            while go_on and len(curve) < job["length"]["epochs"]:
                begin = time.perf_counter()
                time.sleep(takes)
                curve.append(row["curve"][min(len(curve), len(row["curve"]) - 1)])
                trained += time.perf_counter() - begin
                begin = time.perf_counter()
                measures = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), curve[-1])
                send(epoch={"number": job["number"], "epoch": len(curve), **measures})
                answer = read()
                go_on = bool(answer.get("go_on"))
                waited += time.perf_counter() - begin
            ended = "complete" if go_on or len(curve) == job["length"]["epochs"] else "stopped"
            curves = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), curve)
            # What it waited for a job stands under `building`, for whoever counts it.
            clock = {"waiting": waited, "building": idle, "training": trained}
            outcome = {"number": job["number"], "ended": ended, "value": max(curve), "best_epoch": 1, "gap": 0.0}
            idle = time.perf_counter()
            send(outcome={**outcome, "epochs": len(curve), "seconds": clock, **curves})
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
