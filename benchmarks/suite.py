"""What the tests take: the whole suite, as `make test` runs it, the seconds of each file, and what is started.

Every Python process writes down how it was begun, by a `.pth` file that lies in this environment's `site-packages`
while the suite runs. A process that was forked from another one is counted as a fork.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
SHOWN = 15  # files
LOG = "CONVSEARCH_STARTS"
HOOK = f"""
import json, os, sys
def note(how):
    with open(os.environ["{LOG}"], "a") as file:
        file.write(json.dumps([how, os.environ.get("PYTEST_CURRENT_TEST", ""), sys.orig_argv]) + chr(10))
if "{LOG}" in os.environ:
    note("start")
    os.register_at_fork(after_in_child=lambda: note("fork"))
"""
KINDS = {  # what a process is, by what stands in its command line; the first that fits
    "commands (`convsearch ...`)": "bin/convsearch",
    "processes that import Keras for others to be forked from": "system.fork_server",
    "workers in interpreters of their own": "convsearch.search.workers.process",
    "deliveries": "convsearch.search.delivery",
    "checks of a bundle in interpreters of their own": "importlib.util, sys",
    "dashboards": "streamlit",
    "MLflow servers and their helpers": "mlflow",
    "processes of Ray": "ray",
    "processes of pytest": "sys.stdin.readline",
}


@contextmanager
def counted(log: Path) -> Iterator[None]:
    """Have every Python process of this environment that begins in the block write down how."""
    place = Path(sysconfig.get_paths()["purelib"])
    module, hook = place / "convsearch_starts.py", place / "convsearch_starts.pth"
    module.write_text(HOOK)
    hook.write_text("import convsearch_starts\n")
    os.environ[LOG] = str(log)
    try:
        yield
    finally:
        del os.environ[LOG]
        hook.unlink()
        module.unlink()


def measure() -> Iterator[tuple[str, str, str]]:
    """Run the suite once, and tell what it took."""
    with tempfile.TemporaryDirectory() as folder:
        log, report = Path(folder) / "starts", Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--numprocesses", "3", "--dist", "loadfile", f"--junitxml={report}"]
        began = time.monotonic()
        with counted(log):
            code = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode
        seconds = time.monotonic() - began
        tests = list(ElementTree.parse(report).iter("testcase"))
        yield "the tests (`make test`)", f"{seconds / 60:.1f} min, {len(tests):,} tests, exit code {code}", ""
        by_file: Counter[str] = Counter()
        for test in tests:
            by_file[test.get("classname", "").replace(".", "/")] += float(test.get("time", 0))  # type: ignore[assignment]
        starts = [json.loads(line) for line in log.read_text().splitlines()]
        for file, taken in by_file.most_common(SHOWN):
            begun = Counter(how for how, test, _ in starts if test.startswith(f"{file}.py"))
            yield f"`{file}.py`", f"{taken:.0f} s; {begun['start']} processes started, {begun['fork']} forked", ""
    kinds = Counter(_kind(" ".join(words)) for how, _, words in starts if how == "start")
    for kind, count in kinds.most_common():
        yield kind, f"{count:,}", ""
    forks = sum(how == "fork" and "fork_server" in " ".join(words) for how, _, words in starts)
    yield "workers and other programs forked", f"{forks:,}", ""


def _kind(command: str) -> str:
    return next((kind for kind, part in KINDS.items() if part in command), "other Python processes")
