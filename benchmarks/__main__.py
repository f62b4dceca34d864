"""Run benchmarks by name (all of the quick ones without a name) and print them as one table."""

import argparse
from datetime import date
from importlib import import_module

from convsearch.search.system.backend import import_keras

from .machine import machine

QUICK = ("candidates", "proposal", "trial", "step", "first_step", "imports", "help_text", "show", "demo")
LONG = (
    "photographs",
    "comparison",
    "portfolio",
    "augmentation",
    "mixup",
    "surrogate",
    "logged",
    "space",
    "copies",
    "fits",
    "few",
)
WORKERS = ("workers", "soak", "scaling", "gpu", "memory")
SUITE = ("suite", "fuzz")
DATA = ("reading",)
DASHBOARD = ("dashboard",)


def main() -> None:
    """Run what was asked for and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*QUICK, *LONG, *WORKERS, *DATA, *DASHBOARD, *SUITE, []],
        help="which; all quick ones by default",
    )
    names = parser.parse_args().names or list(QUICK)
    import_keras()  # which is loud where it is imported plainly
    print(f"{date.today():%d %B %Y}, {machine()}\n\n| what | measured | required |\n| --- | --- | --- |")
    for name in names:
        for what, measured, required in import_module(f"{__package__}.{name}").measure():
            print(f"| {what} | {measured} | {required} |", flush=True)


if __name__ == "__main__":
    main()
