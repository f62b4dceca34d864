"""What was found: a Streamlit application that reads MLflow and writes nothing."""

import subprocess
import sys
from pathlib import Path

ADDRESS = "127.0.0.1"


def serve(home: Path, port: int) -> None:
    """Serve the dashboard of a home on this machine until Ctrl-C."""
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("app.py"))]
    options = [f"--server.address={ADDRESS}", f"--server.port={port}", "--browser.gatherUsageStats=false"]
    process = subprocess.Popen([*command, *options, "--", str(home.resolve())])
    try:
        process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
