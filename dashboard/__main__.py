"""The program of the dashboard: `python -P -m convsearch.dashboard HOME PORT HOST`."""

import sys
from pathlib import Path

from ..search.command.main import end_with_a_message
from .serve import serve

if __name__ == "__main__":
    home, port, host = sys.argv[1:]
    end_with_a_message(lambda: serve(Path(home), int(port), host))
