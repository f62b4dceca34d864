"""Commands of Convsearch that a message suggests: they can be typed as they stand, wherever the home is."""

import os
from pathlib import Path
from shlex import join, quote

DEFAULT_HOME = Path("studies")  # where a command looks for studies if neither --home nor the variable says where
HOME_VARIABLE = "CONVSEARCH_HOME"


def home_option(home: Path) -> str:
    """Return ` --home HOME` as a shell takes it; nothing where a command finds the home without it."""
    if home == DEFAULT_HOME and not os.environ.get(HOME_VARIABLE):
        return ""
    return f" --home {quote(typed(home))}"


def command(*words: str, home: Path | None = None) -> str:
    """Return `convsearch` with these words as a shell takes them, and with the home, if one is given."""
    return f"convsearch {join(words)}{'' if home is None else home_option(home)}"


def resume_command(folder: Path) -> str:
    """Return the command that continues the study in a folder."""
    return command("run", "--study", folder.name, "--resume", home=folder.parent)


def typed(path: Path) -> str:
    """Return a path as an argument that no command takes for an option, or for one in the user's home folder."""
    return f"./{path}" if str(path).startswith(("-", "~")) else str(path)
