"""The part of a study's settings that all its loops share, and the part that each has for itself."""

import hashlib
import re
import secrets
import socket
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..data import Split
from .settings import StudySettings

OWN = {"storage", "loop", "versions"}  # of `study.yaml`


class Shared(BaseModel):
    """What a loop needs to join: `study.yaml` without the loop's own part, the space's YAML, the split's hash."""

    model_config = ConfigDict(frozen=True)

    study: dict[str, Any]
    space: str
    split: str


def shared_of(study: StudySettings, space: str, parts: Split) -> Shared:
    """Return the shared part of a study."""
    return Shared(study=study.model_dump(mode="json", exclude=OWN), space=space, split=fingerprint(parts))


def study_of(shared: Shared, storage: str) -> StudySettings:
    """Return the settings of a loop that joins a study."""
    return StudySettings.model_validate(shared.study | {"versions": {}} | own(storage))


def identity_of(definition: object) -> str | None:
    """Return the identity of the study of a definition, as a database has it; None where it is no study's."""
    try:
        return study_of(Shared.model_validate(definition), "").id
    except ValidationError:
        return None


def own(storage: str) -> dict[str, Any]:
    """Return a new loop's own part of `study.yaml`: the database, and a unique name."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0])[:40]
    return {"storage": storage, "loop": f"{host}-{secrets.token_hex(3)}"}


def fingerprint(parts: Split) -> str:
    """Return a hash of a split: which images train, validate and test."""
    found = hashlib.sha256()
    for indices in (parts.train, parts.val, parts.test):
        found.update(len(indices).to_bytes(8, "little"))
        found.update(indices.astype("<i8").tobytes())
    return found.hexdigest()
