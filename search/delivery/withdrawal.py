"""What a store of MLflow has of a study, and how that is taken back when the study is deleted.

The experiment is deleted as MLflow itself does it: it can be restored until `mlflow gc` removes it for good. In the
home's own store the artifacts, which take the room, go at once.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from ..study.contents import StudyContent
from ..study.home import Home
from ..study.runs import Runs
from ..system.addresses import masked
from ..values.words import counted
from .experiment import STUDY_TAG, find_experiment, quoted, tagged_experiment, with_identity
from .moved import follow_home
from .pages import every
from .tracking import SEVERAL, hush, reached


@dataclass(frozen=True)
class Delivered:
    """What a store has of a study: an experiment, the runs in it, and versions of registered models made by them.

    `address` may hold a password, `uri` is how it is shown; `own` is whether the store is the home's.
    """

    address: str
    uri: str
    own: bool
    experiment_id: str
    experiment: str
    runs: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """What a store has, for people."""
        models = ", ".join(f"{name} version {version}" for name, version in self.versions)
        of = f", and the registered model {models}" if models else ""
        return f"in {self.uri}: the experiment {self.experiment} with {counted(len(self.runs), 'run')}{of}"

    @property
    def facts(self) -> dict[str, Any]:
        """The same for scripts."""
        return {
            "store": self.uri,
            "experiment": self.experiment,
            "runs": len(self.runs),
            "models": [f"{name}/{version}" for name, version in self.versions],
        }


def delivered(study: StudyContent, address: str, own: bool) -> Delivered | None:
    """Return what the store at an address has of a study; None if it has nothing.

    A study that cannot be read is found by its identity alone.

    Raises:
        WorkError: the store cannot be reached or read.
    """
    hush()
    uri = masked(address)
    with reached(uri):
        client = MlflowClient(address)
        if study.settings is not None:
            found = find_experiment(client, study.settings, Runs(study.folder.path).all[:SEVERAL])
        else:
            found = None if study.identity is None else tagged_experiment(client, study.identity)
        if found is None:
            return None
        place = str(found.experiment_id)
        runs = every(lambda token: client.search_runs([place], "", ViewType.ALL, page_token=token))
        ids = tuple(str(run.info.run_id) for run in runs)
        versions = _versions(client, study.identity or "", found.name, ids)
        return Delivered(address, uri, own, place, found.name, ids, tuple(versions))


def withdraw(home: Home, study: StudyContent, found: Delivered) -> None:
    """Take back what a store has of a study; doing it again after a kill goes on.

    Raises:
        WorkError: the store cannot be reached or written to.
    """
    hush()
    with reached(found.uri):
        client = MlflowClient(found.address)
        for name, version in found.versions:
            client.delete_model_version(name, version)
        for model in list(_registered(client, study.identity or "")):
            if not any(_versions_of(client, model.name)):
                client.delete_registered_model(model.name)
        if found.own:
            follow_home(home, found.experiment_id)
            _remove_artifacts(client, home, found)
        experiment = client.get_experiment(found.experiment_id)
        if experiment.lifecycle_stage == "active":
            # A deleted experiment keeps its name, which the next study of that name shall have.
            gone = f" (deleted {(study.identity or found.experiment_id)[:8]})"
            if not experiment.name.endswith(gone):
                client.rename_experiment(found.experiment_id, experiment.name + gone)
            client.delete_experiment(found.experiment_id)


def _registered(client: MlflowClient, identity: str) -> Iterator[Any]:
    return every(lambda token: client.search_registered_models(with_identity(identity), page_token=token))


def _versions(client: MlflowClient, identity: str, name: str, runs: Sequence[str]) -> list[tuple[str, str]]:
    """Return the versions that a study's runs made of its registered model, or of one that an earlier version made."""
    models = {str(model.name) for model in _registered(client, identity)}
    earlier = client.search_registered_models(f"name = {quoted(name)}", 1)
    models |= {str(model.name) for model in earlier if STUDY_TAG not in model.tags}
    return [
        (model, str(version.version))
        for model in sorted(models)
        for version in _versions_of(client, model)
        if version.run_id in runs
    ]


def _versions_of(client: MlflowClient, model: str) -> Iterator[Any]:
    return every(lambda token: client.search_model_versions(f"name = {quoted(model)}", page_token=token))


def _remove_artifacts(client: MlflowClient, home: Home, found: Delivered) -> None:
    """Remove the files of each run and each logged model, if they are in the home: another may share the folder."""
    place = client.get_experiment(found.experiment_id).artifact_location
    folder = Path(unquote(place.removeprefix("file://")) if place.startswith("file://") else place)
    if folder.parent != home.artifacts.resolve():
        return
    search = client.search_logged_models
    models = every(lambda token: search([found.experiment_id], page_token=token))
    for one in [*found.runs, *(f"models/{model.model_id}" for model in models)]:
        if (folder / one).is_dir():
            shutil.rmtree(folder / one)
    for empty in (folder / "models", folder):
        with suppress(OSError):  # not there, or not empty
            empty.rmdir()
