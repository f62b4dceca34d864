"""The cost of a trial in seconds: predicted from its arithmetic and corrected by the trials that this machine has run.

An epoch has a cost per multiply-accumulate, per byte of activations, and per step. A study starts with the costs on two
cores; from its first trial on, predictions are scaled by the ratio of measured to predicted time.
"""

import statistics
from dataclasses import dataclass, field
from itertools import islice

from ...spaces.architecture import Candidate
from ..study.record import Record

# On two cores of a server of 2024, forward, backward and validation: seconds for 1e9 of each, and for a step.
MACS, ACTIVATIONS, STEP = 0.05, 0.35, 0.006
TRACING = 3.0  # seconds that a new network takes before its first step
RECENT = 9  # the number of latest trials whose median is used
LARGE = 128 * 128  # pixels per image above which the user is told that smaller images make trials faster
SPREAD = 1.15  # the factor by which a trial may well exceed its prediction


@dataclass
class Costs:
    """Predicts the seconds of trials on `images` training images."""

    images: int
    ratios: list[float] = field(default_factory=list)
    tracings: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, record: Record, images: int) -> "Costs":
        """Return predictions corrected by the latest trials of a record."""
        costs = cls(images)
        trained = (trial for trial in reversed(record.trials.values()) if trial.epochs and trial.loop is None)
        for trial in islice(trained, RECENT):
            measured = (trial.clock.training + trial.clock.evaluating) / trial.epochs
            costs.ratios.append(measured / costs._uncorrected(trial.candidate))
            costs.tracings.append(trial.clock.building + trial.clock.tracing)
        return costs

    def epoch(self, candidate: Candidate) -> float:
        """Return the seconds of one epoch, with its validation."""
        return self._uncorrected(candidate) * (statistics.median(self.ratios) if self.ratios else 1.0)

    def trial(self, candidate: Candidate, epochs: int) -> float:
        """Return the seconds in which a trial of so many epochs should be finished."""
        tracing = statistics.median(self.tracings) if self.tracings else TRACING
        return tracing + SPREAD * epochs * self.epoch(candidate)

    def _uncorrected(self, candidate: Candidate) -> float:
        architecture = candidate.architecture
        steps = -(-self.images // candidate.recipe.batch_size)
        per_image = (MACS * architecture.macs + ACTIVATIONS * architecture.activation_bytes) / 1e9
        return self.images * per_image + STEP * steps
