"""`convsearch run`."""

from ..launch.options import Options, command_of
from .terminal import console


def search(options: Options) -> None:
    """Search, train the winner, test it once and export it.

    Without options: 1,797 handwritten digits that are built in, 15 trials, about two minutes.
    """
    from ...spaces.errors import WorkError
    from ...spaces.printable import printable
    from ..launch.launch import launch
    from ..report.study import next_commands, show
    from ..study.home import Home
    from ..values.commands import resume_command

    try:
        folder = launch(options, console(stderr=True))
    except KeyboardInterrupt:
        raise WorkError(
            "stopped immediately; finished work is kept, and "
            f"`{resume_command(options.home / (options.study or 'NAME'))}` continues"
        ) from None
    printed = console()
    printed.print(show(folder))
    printed.print("\nnext:")
    for command in next_commands(Home(options.home), folder):
        printed.print(f"  {printable(command)}", soft_wrap=True)


run = command_of(search)
