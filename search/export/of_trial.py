"""`convsearch export`: the bundle of a finished study's winner, or of any trial whose weights are kept."""

from pathlib import Path

from ...spaces.errors import InputError
from ..data import Dataset, Split
from ..images.resizing import at_size
from ..study.folder import StudyFolder
from ..study.objectives import Preference, checked_limit
from ..study.repeats import standings
from ..study.trial import Trial
from ..system.backend import import_keras
from ..system.files import copy_folder
from ..values.commands import command, resume_command, typed
from .model_card import Facts
from .target import checked_target, new_target
from .verify import CHECKED, Verifier


def trial_under(folder: StudyFolder, under: str) -> Trial | None:
    """Return the most accurate trial up to a limit such as `parameters=50000`; None if that is the tested winner.

    Raises:
        InputError: the limit is not on a cost of this study, or no trial is within it.
    """
    study, result = folder.read(), folder.result()
    preference = Preference(study.objectives, checked_limit(under, study.objectives))
    ranked = preference.ranked(folder.record())
    if not ranked:
        raise InputError(f"the study '{study.name}' has no finished trial yet")
    best = standings(folder.record(), folder.repeats(), preference)[0].trial
    return None if result is not None and result.best == best.number else best


def export_bundle(folder: StudyFolder, trial: Trial | None, to: Path) -> float:
    """Write a bundle to the new folder `to`, and return by how much its predictions differed in a fresh process.

    Args:
        folder: the study.
        trial: the trial to export; None for the study's winner, whose tested bundle is copied.
        to: the new folder; see `checked_target`.

    Raises:
        InputError: `to` cannot be the new folder, the study has no winner yet, or its decoded images or the trial's
            weights are not there.
        WorkError: the bundle does not load elsewhere.
    """
    target = checked_target(to, folder.path.parent)
    study = folder.read()
    try:
        dataset = Dataset.load(folder.data(study))
    except InputError as error:  # the home was copied without them, or they were deleted
        raise InputError(f"{error} `{resume_command(folder.path)}` reads the images again") from error
    split = Split.load(folder.split)
    if trial is None:
        if folder.result() is None or not folder.bundle.is_dir():
            best = folder.record().best()
            hint = f"; `{_export(folder, best[0], to)}` exports its best trial so far" if best else ""
            raise InputError(f"the study '{study.name}' has no tested winner yet: --resume finishes it{hint}")
        with new_target(to, target) as place:
            return _copy(folder.bundle, place, dataset, split)
    weights = folder.weights(trial.number)
    if trial.loop is not None and not weights.exists():
        raise InputError(
            f"trial {trial.number} ({trial.state}) ran in the loop {trial.loop}: its weights are in that loop's home, "
            f"where `{command('export', f'{study.name}:{trial.number}', '--to', 'DIR')}` finds them if they are kept"
        )
    if not weights.exists():
        kept = ", ".join(map(str, folder.kept()))
        hint = f", only those of {kept}" if kept else ""
        raise InputError(f"trial {trial.number} ({trial.state}): its weights are not kept{hint}")
    with new_target(to, target) as place:
        import_keras(start=False)
        with Verifier() as verifier:
            from .bundle import write_bundle
            from .trained import trained_model

            model, momentum = trained_model(trial.candidate, weights, study.data.train)
            counts = {str(state): count for state, count in folder.record().counts().items()}
            trained = f"The weights are those of its best epoch, {trial.best_epoch}."
            facts = Facts(study, trial, trial.candidate, counts, trial.value or 0.0, trained, None, folder.tests())
            return write_bundle(place, model, momentum, facts, dataset, split, verifier)


def _export(folder: StudyFolder, trial: Trial, to: Path) -> str:
    return command("export", f"{folder.name}:{trial.number}", "--to", typed(to), home=folder.path.parent)


def _copy(bundle: Path, place: Path, dataset: Dataset, split: Split) -> float:
    keras = import_keras(start=False)
    with Verifier() as verifier:
        copy_folder(bundle, place)
        model = keras.saving.load_model(place / "model.keras", safe_mode=True)
        images = split.examples(at_size(dataset, model.input_shape[1:3]), CHECKED)
        return verifier.verify(place, images, model.predict(images, verbose=0))
