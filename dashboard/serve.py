"""Replaces this process by the server of the dashboard."""

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from ..search.study.home import Home
from ..spaces.errors import InputError

ADDRESS = "127.0.0.1"
NOBODY = "https://nobody.invalid"  # a name that cannot exist (RFC 2606)
OPTIONS = {
    "browser.gatherUsageStats": "false",
    # Sites that may embed and control the page: Streamlit would allow those of its cloud, and look each of them up.
    "client.allowedOrigins": NOBODY,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "viewer",
    # A garbage collection after each run of a page would take 0.2 s, nearly all of it for permanent objects.
    "runner.postScriptGC": "false",
    "server.fileWatcherType": "none",
    "server.headless": "true",
    "theme.light.primaryColor": "#1d4ed8",
    "theme.dark.primaryColor": "#3b82f6",
    "theme.paddingTop": "1rem",
}


def serve(home: Path, port: int, host: str = ADDRESS) -> NoReturn:
    """Serve a home's dashboard until Ctrl-C, by default only to this machine.

    Raises:
        InputError: the address cannot be served on, or the home's path is not valid UTF-8.
    """
    Home(home).check_path()
    _check(host, port)
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("server.py"))]
    options = {"server.address": host, "server.port": str(port), **OPTIONS}
    sys.stdout.flush()
    os.execv(sys.executable, [*command, *(f"--{name}={value}" for name, value in options.items()), "--", str(home)])


def _check(host: str, port: int) -> None:
    """Check that a server can listen there; Streamlit's error is less clear, or it takes another port."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be served on: {error.strerror or error}; choose another port with --port, or "
            "another address with --host"
        ) from error
