"""Mixup: pairs of images blended, and their labels alike (Zhang et al., ICLR 2018, https://arxiv.org/abs/1710.09412).

A network that sees the same images a hundred times memorizes them. Blends differ every time, and their labels lie
between two classes, so they cannot be memorized. A short training does not gain from them, and neither does a network
that is nearly always right: `python -m benchmarks mixup` measures both.
"""

import numpy as np
from numpy.typing import NDArray


def mixed(
    images: NDArray[np.uint8], labels: NDArray[np.float32], alpha: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return each image of a batch blended with another one, share * this + (1 - share) * other, and the labels alike.

    The share is drawn from Beta(alpha, alpha) for each image and is at least one half, so that an image's own label
    keeps the larger weight and the accuracy stays meaningful.

    Args:
        images: (batch, height, width, depth).
        labels: one-hot, (batch, classes).
        alpha: above 0; the higher, the more even the blends.
        random: draws the pairs and the shares.
    """
    share = random.beta(alpha, alpha, len(images)).astype("float32")
    share = np.maximum(share, 1 - share)
    other = random.permutation(len(images))
    wide = share[:, None, None, None]
    blended = np.rint(wide * images + (1 - wide) * images[other]).astype("uint8")
    return blended, share[:, None] * labels + (1 - share[:, None]) * labels[other]
