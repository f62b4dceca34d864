"""`convsearch dashboard`."""

import os
import sys
from typing import Annotated

import typer

from .terminal import HOME, HomeOption, console

ADDRESS = "127.0.0.1"
PROGRAM = "convsearch.dashboard"  # a separate program: the dashboard imports the search, never the reverse


def dashboard(
    port: Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to serve on; any but the default lets other machines connect.")
    ] = ADDRESS,
    home: HomeOption = HOME,
) -> None:
    """Open the dashboard, on this machine alone (127.0.0.1) unless --host says otherwise."""
    if host != ADDRESS:
        console(stderr=True).print(
            f"  warning: anyone who can reach {host}:{port} can read all studies in {home}; there is no password",
            soft_wrap=True,
        )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", PROGRAM, str(home.resolve()), str(port), host])
