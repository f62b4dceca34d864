"""Commands of Convsearch that a message suggests: they can be typed as they stand, wherever the home is."""

import os
from pathlib import Path
from shlex import quote

DEFAULT_HOME = Path("studies")  # where a command looks for studies if neither --home nor the variable says where
HOME_VARIABLE = "CONVSEARCH_HOME"


def home_option(home: Path) -> str:
    """Return ` --home HOME` as a shell takes it; nothing where a command finds the home without it."""
    if home == DEFAULT_HOME and not os.environ.get(HOME_VARIABLE):
        return ""
    return f" --home {quote(typed(home))}"


def resume_command(folder: Path) -> str:
    """Return the command that continues the study in a folder."""
    return f"convsearch run --study {folder.name} --resume{home_option(folder.parent)}"


def typed(path: Path) -> str:
    """Return a path as an argument that no command takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
