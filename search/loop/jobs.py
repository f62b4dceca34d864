"""Makes the jobs of a study: for a proposal, and for training a candidate again."""

from pathlib import Path

from ...spaces.architecture import Candidate
from ..study.trial import Trial
from ..training.augmentation import augmentations
from ..values.job import Checkpoint, Job, Length, Probes
from ..values.proposal import Proposal
from .prepared import Prepared


def job_of(prepared: Prepared, number: int, candidate: Candidate, weights: Path, epochs: int) -> Job:
    """Return the job that trains a candidate from its first epoch to `epochs`."""
    study = prepared.study
    return Job(
        number=number,
        candidate=candidate,
        data=str(prepared.dataset.folder.resolve()),
        split=str(prepared.folder.split.resolve()),
        length=Length(epochs=epochs, patience=max(5, epochs // 3)),
        seed=(study.seed * 1_000_003 + number) % 2**31,
        weights=str(weights.resolve()),
        class_weights=study.class_weights,
        precision=study.precision,
    )


def job_of_trial(prepared: Prepared, proposal: Proposal, trial: Trial) -> Job:
    """Return the job of a proposal, which may end at a rung, or resume from the rung that the trial has reached."""
    epochs, folder = prepared.study.epochs, prepared.folder
    job = job_of(prepared, proposal.number, proposal.candidate, folder.weights(proposal.number), epochs)
    # On a lower rung, the effect of more augmentation is of no interest yet.
    more = {} if proposal.epochs is not None else augmentations(proposal.candidate, prepared.space)
    job = job.model_copy(
        update={"probes": Probes(latency="latency_ms" in prepared.study.objectives, augmentations=more)}
    )
    if proposal.epochs is None and not trial.epochs:
        return job
    rung = {
        "length": job.length.model_copy(update={"epochs": proposal.epochs or epochs, "schedule_epochs": epochs}),
        "checkpoint": Checkpoint(
            file=str(folder.checkpoint(proposal.number).resolve()), epochs=trial.epochs, best=trial.value
        ),
    }
    return job.model_copy(update=rung)
