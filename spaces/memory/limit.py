"""The memory of a worker, as a study keeps it: what fits into it, and with how large a batch."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..architecture import Candidate
from .training import process_bytes, reckon

LEAST_BATCH = 8
"""Images that a batch has at least where it is made smaller to fit: with fewer, training goes another way."""


class Memory(BaseModel):
    """What a worker has for one training: `limit` bytes, of which the `backend` of Keras takes its part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1)]
    backend: str = "tensorflow"

    @property
    def process(self) -> int:
        """The bytes that a worker holds which has trained the smallest network."""
        return process_bytes(self.backend)

    def needed(self, candidate: Candidate) -> int:
        """Return the bytes that a worker holds at most while it trains a candidate."""
        found = reckon(candidate, self.backend)
        return found.fixed + max(candidate.recipe.batch_size * found.each, found.evaluating)

    def holds(self, candidate: Candidate) -> bool:
        """Whether a candidate's training fits."""
        return self.needed(candidate) <= self.limit

    def excess(self, candidate: Candidate) -> str | None:
        """Return by how much a candidate's training exceeds the memory, or None where it fits."""
        needed = self.needed(candidate)
        if needed <= self.limit:
            return None
        return (
            f"{needed / 1e9:,.1f} GB of memory for training in batches of {candidate.recipe.batch_size} exceed the "
            f"{self.limit / 1e9:,.1f} GB of a worker"
        )

    def most_images(self, candidate: Candidate) -> int:
        """Return the largest batch with which a candidate's training fits; 0 where it does not with any."""
        found = reckon(candidate, self.backend)
        left = self.limit - found.fixed
        return left // found.each if left >= found.evaluating else 0

    def smaller_batch(self, candidate: Candidate) -> int:
        """Return the largest of a candidate's batch, its half, its quarter ... that fits, LEAST_BATCH at the least.

        A batch that is smaller than that already stays as it is.
        """
        most, batch = self.most_images(candidate), candidate.recipe.batch_size
        while batch > most and batch // 2 >= LEAST_BATCH:
            batch //= 2
        return batch
