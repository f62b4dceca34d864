"""What training takes of memory: a sum over the steps of a network, calibrated by measuring.

A step forward keeps what its gradient needs until the way back has come to it: that is `KEPT` of each activation, the
input of a normalisation, the mask of a dropout. So the most is held at one of the steps of the way back: all that the
steps before it have kept, and the gradients that are just being computed. For each image that is a number of bytes; to
it comes what does not depend on the batch: the process, Keras's graph of the network, and the weights with their
gradients, the optimizer's moments and the copies of the best epoch. The numbers were fitted to trainings by TensorFlow
on processors, from above (`python -m benchmarks memory` measures others); in half precision it is no more. An
evaluation keeps nothing, but has larger batches.
"""

from typing import NamedTuple

from ..architecture import Augmentation, Candidate
from ..arithmetic import BYTES_PER_VALUE, Step
from .evaluation import evaluation_batch_of

KEPT = {"leaky_relu": 2.0, "softplus": 2.2, "silu": 2.3, "gelu": 4.5}
"""How many volumes of its size an activation keeps for its gradient; others keep their output, KEPT_OF_OTHERS."""

KEPT_OF_OTHERS = 1.1
NORM, DROPOUT, DENSE = 1.15, 1.3, 1.2  # the same of other steps
GRADIENTS = 2.1  # volumes of its size that are held while the gradient of a step is computed
GRADIENTS_OF = {"silu": 3.9, "gelu": 2.8, "softplus": 2.6, "leaky_relu": 2.4}  # those of activations that take more
INPUT = 4.9  # volumes of an image: read ahead, as numbers, augmented or blended
READ = 2.0  # the same while a network is evaluated
EVALUATED = 1.5  # times the two volumes of a step, while a network is evaluated

COPIES = {"sgd": 8.5, "rmsprop": 8.5, "adamw": 8.6, "adam": 9.2, "nadam": 9.8}
"""How often the weights are held: with their gradients, moments, temporary results, and copies of the best epoch."""

PROCESS = {"tensorflow": 280_000_000}
"""Bytes of a process that has imported a backend and trained the smallest network."""

PROCESS_OF_OTHERS = 700_000_000
OTHER = 1.5  # times what TensorFlow takes for volumes and weights: other backends were not measured

OF_LAYER, OF_STEP = 4_000_000, 2_200_000  # bytes of Keras's graph
MARGIN = 1.08


class Reckoning(NamedTuple):
    """Bytes that training takes: `fixed` whatever the batch, `each` for an image of it, `evaluating` on top of fixed.

    Training and evaluation take turns, so that a worker holds `fixed` and the larger of the two.
    """

    fixed: int
    each: int
    evaluating: int


def reckon(candidate: Candidate, backend: str) -> Reckoning:
    """Return what training a candidate takes, by a backend of Keras."""
    architecture = candidate.architecture
    steps, image = architecture.steps, architecture.input.size
    factor = BYTES_PER_VALUE * MARGIN * (1.0 if backend in PROCESS else OTHER)
    weights = COPIES[candidate.recipe.optimizer] * architecture.parameters
    graph = OF_LAYER * len(architecture.layers) + OF_STEP * (len(steps) + len(Augmentation.model_fields))
    largest = max(step.before.size + step.after.size for step in steps)
    evaluated = evaluation_batch_of(largest) * (EVALUATED * largest + READ * image)
    return Reckoning(
        fixed=int(process_bytes(backend) + graph + factor * weights),
        each=int(factor * (_most_held(steps, image) + INPUT * image)),
        evaluating=int(factor * evaluated),
    )


def process_bytes(backend: str) -> int:
    """Return the bytes of a process that has imported a backend and trained the smallest network."""
    return PROCESS.get(backend, PROCESS_OF_OTHERS)


def _most_held(steps: tuple[Step, ...], image: int) -> float:
    """Return the values for one image that are held at most, at any step of the way back."""
    kept, most = 0.0, 0.0
    for step in steps:
        before, after = step.before.size, step.after.size
        held = GRADIENTS * after
        match step.kind:
            case "conv":
                padded = _padded(step)
                kept += padded
                held += padded
            case "activation":
                activation = step.name.partition("_")[2]
                kept += KEPT.get(activation, KEPT_OF_OTHERS) * after
                held = GRADIENTS_OF.get(activation, GRADIENTS) * after
            case "batch_norm":
                kept += NORM * after
            case "dropout":
                kept += DROPOUT * after
            case "max" | "average":
                kept += KEPT_OF_OTHERS * after
                held = GRADIENTS * before
            case "l2":
                kept += 2 * KEPT_OF_OTHERS * after
                held = GRADIENTS * before
            case _:  # of the head
                kept += DENSE * after
                held += GRADIENTS * before
        most = max(most, kept + held)
    return most


def _padded(step: Step) -> int:
    """Return the values of a convolution's input with its zeros where these are a step of their own, else 0."""
    if step.padding in ("valid", "same") or not step.padding:
        return 0
    zeros = 2 * int(step.padding)
    return (step.before.height + zeros) * (step.before.width + zeros) * step.before.depth
