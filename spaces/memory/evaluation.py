"""How many images a network is evaluated on at a time: fewer, the larger its volumes are."""

from ..architecture import Architecture
from ..arithmetic import BYTES_PER_VALUE

MOST = 256  # images at a time: more make an evaluation no faster
BYTES = 2**26  # of the two volumes of a step, for all images of a batch


def evaluation_batch(architecture: Architecture) -> int:
    """Return the number of images of a batch in an evaluation, 1 to 256: its volumes take about 64 MiB at most."""
    return evaluation_batch_of(max(step.before.size + step.after.size for step in architecture.steps))


def evaluation_batch_of(largest: int) -> int:
    """Return the same for a network whose largest step has so many values before and after it."""
    return min(MOST, max(1, BYTES // (BYTES_PER_VALUE * largest)))
