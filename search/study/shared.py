"""What the loops that share a study tell each other of it, and what is each one's own."""

import hashlib
import re
import secrets
import socket
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..data import Split
from .settings import StudySettings

OWN = {"storage", "loop", "versions"}  # of `study.yaml`


class Shared(BaseModel):
    """What a loop needs to join: `study.yaml` but for what is each one's own, the space's YAML, the split's hash."""

    model_config = ConfigDict(frozen=True)

    study: dict[str, Any]
    space: str
    split: str


def shared_of(study: StudySettings, space: str, parts: Split) -> Shared:
    """Return what others are told of a study."""
    return Shared(study=study.model_dump(mode="json", exclude=OWN), space=space, split=fingerprint(parts))


def study_of(shared: Shared, storage: str) -> StudySettings:
    """Return the study as a loop has it that joins."""
    return StudySettings.model_validate(shared.study | {"versions": {}} | own(storage))


def own(storage: str) -> dict[str, Any]:
    """Return what `study.yaml` says of a new loop: the database, and a name that no other one has."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0])[:40]
    return {"storage": storage, "loop": f"{host}-{secrets.token_hex(3)}"}


def fingerprint(parts: Split) -> str:
    """Return a hash of which images train, validate and test."""
    found = hashlib.sha256()
    for indices in (parts.train, parts.val, parts.test):
        found.update(len(indices).to_bytes(8, "little"))
        found.update(indices.astype("<i8").tobytes())
    return found.hexdigest()
