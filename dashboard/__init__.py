"""What was found: a Streamlit application that reads MLflow and writes nothing."""

import subprocess
import sys
from pathlib import Path

ADDRESS = "127.0.0.1"
OPTIONS = {
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "server.fileWatcherType": "none",
    "server.headless": "true",
    "theme.light.primaryColor": "#1d4ed8",
    "theme.dark.primaryColor": "#3b82f6",
    "theme.paddingTop": "1rem",
}


def serve(home: Path, port: int, host: str = ADDRESS) -> None:
    """Serve the dashboard of a home, on this machine alone where no other `host` is named, until Ctrl-C."""
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("server.py"))]
    options = {"server.address": host, "server.port": str(port), **OPTIONS}
    process = subprocess.Popen([*command, *(f"--{name}={value}" for name, value in options.items()), "--", str(home)])
    try:
        process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
