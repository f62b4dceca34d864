"""Which experiment and registered model of MLflow are a study's own: those with its identity, never a namesake's."""

from collections.abc import Sequence

from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from ...spaces.errors import WorkError
from ..study.settings import StudySettings
from .pages import every

STUDY_TAG = "convsearch.study"  # of an experiment, its runs and a registered model: the study's identity


def own_experiment(client: MlflowClient, study: StudySettings, noted: Sequence[str]) -> Experiment | None:
    """Return a study's experiment, if it has one; one that was deleted is restored. See `find_experiment`."""
    found = find_experiment(client, study, noted)
    if found is None:
        return None
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    if STUDY_TAG not in found.tags:
        client.set_experiment_tag(found.experiment_id, STUDY_TAG, study.id)
    return found


def find_experiment(client: MlflowClient, study: StudySettings, noted: Sequence[str]) -> Experiment | None:
    """Return a study's experiment as it is, be it deleted, if it has one.

    Args:
        client: of the store.
        study: the study.
        noted: ids of runs that the study has noted. Earlier versions gave an experiment no identity: the one with such
            a run is the study's.
    """
    found = tagged_experiment(client, study.id)
    return _without_identity(client, study, noted) if found is None and study.is_of_before else found


def tagged_experiment(client: MlflowClient, identity: str) -> Experiment | None:
    """Return the experiment that has a study's identity, be it deleted; None if there is none."""
    return next(iter(client.search_experiments(ViewType.ALL, 1, with_identity(identity), ["creation_time ASC"])), None)


def _without_identity(client: MlflowClient, study: StudySettings, noted: Sequence[str]) -> Experiment | None:
    """Return the experiment that an earlier version made for a study, if it can be told."""
    places = [place for run_id in noted if (place := _experiment_of(client, run_id)) is not None]
    if places:
        found = client.get_experiment(places[0])
    elif not noted and study.storage is not None:
        # A loop that has delivered nothing yet: there is only one study of the name in the database that it shares.
        found = client.get_experiment_by_name(study.name)
    else:
        return None
    return None if found is None or STUDY_TAG in found.tags else found


def restored_run(client: MlflowClient, run_id: str) -> bool:
    """Whether a run exists; one that was deleted is restored, as nothing can be written to it otherwise."""
    run = run_of(client, run_id)
    if run is not None and run.info.lifecycle_stage != "active":
        client.restore_run(run_id)
    return run is not None


def _experiment_of(client: MlflowClient, run_id: str) -> str | None:
    """Return the experiment of a run; None if the store has no such run."""
    run = run_of(client, run_id)
    return None if run is None else str(run.info.experiment_id)


def run_of(client: MlflowClient, run_id: str) -> Run | None:
    """Return a run, also one that was deleted; None if the store has none of this id."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise


def has_model(client: MlflowClient, model_id: str) -> bool:
    """Whether a store has a logged model, and it was not deleted."""
    try:
        client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise
    return True


def in_experiment(client: MlflowClient, run_id: str, experiment_id: str) -> bool:
    """Whether a run exists in an experiment, be it deleted: it can be restored."""
    return _experiment_of(client, run_id) == experiment_id


def create_experiment(client: MlflowClient, study: StudySettings, tags: dict[str, str], artifacts: str | None) -> str:
    """Create a study's experiment and return its id; where another study has its name, a part of the identity tells.

    Args:
        client: of the store.
        study: the study.
        tags: of the experiment, besides its identity.
        artifacts: the folder of all experiments' artifacts; None leaves it to the store.
    """
    for name in (study.name, name_apart(study.name, study)):
        place = None if artifacts is None else f"{artifacts}/{name}"
        try:
            return str(client.create_experiment(name, place, {**tags, STUDY_TAG: study.id}))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS) or name != study.name:
                raise
    raise AssertionError("the second name is created, or raises")


def name_apart(name: str, study: StudySettings) -> str:
    """Return a name that tells a study from others of the same name."""
    suffix = f"-{study.id[:8]}"
    return name if name.endswith(suffix) else name + suffix


def own_model(client: MlflowClient, study: StudySettings, experiment: Experiment) -> str:
    """Return the name of a study's registered model, which is created if it has none; one of another is left alone.

    It is the study's: the experiment may have been given one in MLflow that no model can have. The model has the
    study's identity from the first moment on, so that a namesake that publishes just then cannot take it for its own.
    """
    if own := client.search_registered_models(with_identity(study.id), 1):
        return str(own[0].name)
    if _creates_model(client, study.name, study):
        return study.name
    earlier = _registered_before(client, study.name, experiment)
    name = study.name if earlier else name_apart(study.name, study)
    if earlier or not _creates_model(client, name, study):  # an earlier version may have been killed before the tag
        client.set_registered_model_tag(name, STUDY_TAG, study.id)
    return name


def _creates_model(client: MlflowClient, name: str, study: StudySettings) -> bool:
    """Create a registered model with a study's identity; False if there is one of this name."""
    try:
        client.create_registered_model(name, {STUDY_TAG: study.id})
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        return False
    return True


def _registered_before(client: MlflowClient, name: str, experiment: Experiment) -> bool:
    """Whether an earlier version, which gave it no identity, registered a model for a study: from its experiment."""
    if STUDY_TAG in client.get_registered_model(name).tags:
        return False
    which = f"name = {quoted(name)}"
    versions = every(lambda token: client.search_model_versions(which, page_token=token))
    runs = (version.run_id for version in versions)
    return any(run_id and in_experiment(client, run_id, experiment.experiment_id) for run_id in runs)


def with_identity(identity: str) -> str:
    """Return the filter for what has a study's identity, in MLflow's syntax."""
    return f"tags.`{STUDY_TAG}` = {quoted(identity)}"


def quoted(text: str) -> str:
    """Return a text as a filter of MLflow has it.

    Raises:
        WorkError: it has both kinds of quotes, and MLflow knows no way to write that.
    """
    if "'" in text and '"' in text:
        raise WorkError(f"MLflow cannot search for {text}: it has both kinds of quotes")
    return f'"{text}"' if "'" in text else f"'{text}'"
