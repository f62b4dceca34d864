"""Which experiment and registered model of MLflow are a study's own: those with its identity, never a namesake's."""

from collections.abc import Sequence

from mlflow.entities import Experiment, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from ..study.settings import StudySettings

STUDY_TAG = "convsearch.study"  # of an experiment, its runs and a registered model: the study's identity


def own_experiment(client: MlflowClient, study: StudySettings, noted: Sequence[str]) -> Experiment | None:
    """Return a study's experiment, if it has one; one that was deleted is restored.

    Args:
        client: of the store.
        study: the study.
        noted: ids of runs that the study has noted. Earlier versions gave an experiment no identity: one of the study's
            name is its own if such a run is in it.
    """
    which = f"tags.`{STUDY_TAG}` = '{study.id}'"
    order = ["creation_time ASC"]
    found = next(iter(client.search_experiments(ViewType.ALL, 1, which, order)), None)
    if found is None:
        namesake = client.get_experiment_by_name(study.name)
        if namesake is None or STUDY_TAG in namesake.tags or not _is_of_before(client, study, namesake, noted):
            return None
        found = namesake
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    if STUDY_TAG not in found.tags:
        client.set_experiment_tag(found.experiment_id, STUDY_TAG, study.id)
    return found


def _is_of_before(client: MlflowClient, study: StudySettings, namesake: Experiment, noted: Sequence[str]) -> bool:
    """Whether an experiment without an identity is one that an earlier version made for the study."""
    if not study.is_of_before:
        return False
    if noted:
        return any(in_experiment(client, run_id, namesake.experiment_id) for run_id in noted)
    # A loop that shares a study and has delivered nothing yet: their database has only one study of the name.
    return study.storage is not None


def in_experiment(client: MlflowClient, run_id: str, experiment_id: str) -> bool:
    """Whether a run exists in an experiment."""
    try:
        return str(client.get_run(run_id).info.experiment_id) == experiment_id
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise


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


def model_name(client: MlflowClient, study: StudySettings, experiment: Experiment) -> str:
    """Return the name under which a study's model is registered; one of another study is left alone."""
    try:
        found = client.get_registered_model(experiment.name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return str(experiment.name)
    owner = found.tags.get(STUDY_TAG)
    if owner is None:  # an earlier version registered it, or somebody else
        runs = [version.run_id for version in client.search_model_versions(f"name = '{experiment.name}'")]
        ours = any(run_id and in_experiment(client, run_id, experiment.experiment_id) for run_id in runs)
        owner = study.id if ours else None
    return str(experiment.name) if owner == study.id else name_apart(experiment.name, study)
