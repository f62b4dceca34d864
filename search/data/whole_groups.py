"""Holds out images of which some belong together: whole groups, and of each class its share as nearly as they allow.

It is greedy. Groups come in a random order, first one for each class, the rarest class first, then all that bring the
classes nearer to their shares; so what is too large for a part stays in training.
"""

import numpy as np
from numpy.typing import NDArray

ATTEMPTS = 20
"""So many orders are tried for one that reaches each class: groups of several classes can be in each other's way."""


def hold_out_groups(
    labels: NDArray[np.int32],
    groups: NDArray[np.int64],
    shares: NDArray[np.int64],
    leave: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Return which images to hold out, whole groups of them.

    Args:
        labels: the class of each image (n,), all from 0 to those in `shares`.
        groups: images of the same number (n,) are held out together.
        shares: how many images of each class to hold out.
        leave: how many groups of each class are left at least; a class that has no more loses none.
        random: decides the order.
    """
    held = _Groups(labels, groups, shares, leave)
    best = held.choose(random.permutation(len(held.contents)))
    for _ in range(ATTEMPTS - 1):
        if held.misses(best) == 0:
            break
        best = min(best, held.choose(random.permutation(len(held.contents))), key=held.misses)
    return np.flatnonzero(np.isin(held.group_of, best))


class _Groups:
    """The groups to choose from: of each, how many images of which classes it has."""

    def __init__(
        self, labels: NDArray[np.int32], groups: NDArray[np.int64], shares: NDArray[np.int64], leave: int
    ) -> None:
        self.group_of = np.unique(groups, return_inverse=True)[1]
        pairs, counts = np.unique(np.stack([self.group_of, labels]), axis=1, return_counts=True)
        self.contents: list[dict[int, int]] = [{} for _ in range(int(self.group_of.max(initial=-1)) + 1)]
        self.with_class: list[list[int]] = [[] for _ in shares]
        for (group, label), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            self.contents[group][label] = count
            self.with_class[label].append(group)
        self.shares, self.leave = shares.tolist(), leave

    def misses(self, chosen: list[int]) -> int:
        """Return how many classes get no image held out that could."""
        reached = {label for group in chosen for label in self.contents[group]}
        able = [label for label, groups in enumerate(self.with_class) if len(groups) > self.leave]
        return len(set(able) - reached)

    def choose(self, order: NDArray[np.int64]) -> list[int]:
        """Return the groups to hold out, where they come in such an order."""
        place = {group: number for number, group in enumerate(order.tolist())}
        lacking = list(self.shares)  # images of each class that are still to be held out
        left = [len(groups) for groups in self.with_class]
        chosen: dict[int, None] = {}

        def fits(group: int) -> bool:
            return group not in chosen and all(left[label] > self.leave for label in self.contents[group])

        def change(group: int) -> int:
            """Return by how many images the classes get further away from their shares; nearer is below zero."""
            own = self.contents[group].items()
            return sum(abs(lacking[label] - count) - abs(lacking[label]) for label, count in own)

        def hold_out(group: int) -> None:
            chosen[group] = None
            for label, count in self.contents[group].items():
                lacking[label] -= count
                left[label] -= 1

        for label in sorted(range(len(self.shares)), key=lambda label: len(self.with_class[label])):
            if left[label] == len(self.with_class[label]):  # none of it is held out yet
                able = sorted(filter(fits, self.with_class[label]), key=place.__getitem__)
                if able:
                    hold_out(next((group for group in able if change(group) < 0), min(able, key=change)))
        for group in order.tolist():
            if fits(group) and change(group) < 0:
                hold_out(group)
        return list(chosen)
