"""The dashboard beside a real search: the winner's test, and bundles that work elsewhere."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from bundles import assert_predicts
from streamlit.testing.v1 import AppTest
from terminal import PATIENCE, Finished

from convsearch.dashboard.reading.bundle import BundleError, bundle, folder_of, reference, winner
from convsearch.search.data import Dataset, Split
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.runs import Runs


@pytest.fixture(scope="module")
def folder(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The finished study, of whose seven trials the weights of the best five are kept, in a home of its own."""
    return finished.copied(tmp_path_factory.mktemp("dashboard") / "home").folder


def script(home: str) -> None:
    """Show the page of trials; runs inside Streamlit."""
    from pathlib import Path

    from convsearch.dashboard.navigation import navigate

    navigate(Path(home), "trial")


def trial_page(folder: StudyFolder, number: int) -> AppTest:
    app = AppTest.from_function(script, args=(str(folder.path.parent),), default_timeout=PATIENCE)
    app.query_params["study"], app.query_params["trial"] = folder.name, str(number)
    app.run()
    assert not app.exception
    return app


def best_of(folder: StudyFolder) -> int:
    result = folder.result()
    assert result is not None
    return result.best


def test_the_winner_shows_how_it_did_on_the_test_images(folder: StudyFolder) -> None:
    result = folder.result()
    assert result is not None
    app = trial_page(folder, result.best)
    assert "Test" in [header.value for header in app.subheader]
    assert any(f"**{result.test.accuracy:.1%}** of 359 images" in text.value for text in app.markdown)
    assert f"convsearch export {folder.name} --to DIR --home {folder.path.parent}" in [code.value for code in app.code]
    other = next(number for number in folder.kept() if number != result.best)
    shown = trial_page(folder, other)
    assert "Test" not in [header.value for header in shown.subheader]
    assert f"convsearch export {folder.name}:{other} --to DIR --home {folder.path.parent}" in [
        c.value for c in shown.code
    ]


def test_mistakes_are_images_of_the_test_split_and_no_others(folder: StudyFolder) -> None:
    result, study = folder.result(), folder.read()
    assert result is not None
    tested = set(Split.load(folder.split).test.tolist())
    labels = Dataset.load(folder.data(study)).labels()
    wrong = result.test.count - sum(result.test.confusion[i][i] for i in range(10))
    assert len(result.test.mistakes) == min(100, wrong)
    for mistake in result.test.mistakes:
        assert mistake.image in tested
        assert labels[mistake.image] == mistake.label != mistake.guess


def test_the_weights_of_other_trials_are_not_there_and_the_page_says_which_are(folder: StudyFolder) -> None:
    lost = next(number for number in folder.record().trials if number not in folder.kept())
    app = trial_page(folder, lost)
    kept = ", ".join(map(str, folder.kept()))
    assert f"Weights are kept for these trials: {kept}." in [info.value for info in app.info]
    with pytest.raises(BundleError, match=f"trial {lost} .*: its weights are not kept"):
        bundle(folder.path.parent, folder.name, lost)


def test_a_bundle_that_cannot_be_made_any_more_is_told(folder: StudyFolder, tmp_path: Path) -> None:
    number = next(n for n in folder.kept() if n != best_of(folder))
    app = trial_page(folder, number)
    kept = folder.weights(number).rename(tmp_path / "kept")
    # What a viewer's page still offers: the files were there when it was drawn, and vanish while the bundle is made.
    with pytest.raises(BundleError, match="its weights are not kept"):
        bundle(folder.path.parent, folder.name, number)
    app.run()
    assert "Its weights are not kept" in [info.proto.title for info in app.info]
    kept.rename(folder.weights(number))
    damaged = folder.weights(number).read_bytes()
    folder.weights(number).write_bytes(damaged[:1000])
    try:
        app.run()
        app.button(key="make").click().run(timeout=PATIENCE)
        assert not app.exception
        assert [error.proto.title for error in app.error] == ["It cannot be made"]
    finally:
        folder.weights(number).write_bytes(damaged)


def test_the_bundle_of_the_winner_is_downloaded_as_it_is(folder: StudyFolder) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle(folder.path.parent, folder.name, None))) as archive:
        packed = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert packed == {path.name: path.read_bytes() for path in folder.bundle.iterdir()}


def test_a_bundle_that_was_downloaded_predicts_by_itself(folder: StudyFolder, tmp_path: Path) -> None:
    number = next(n for n in folder.kept() if n != best_of(folder))
    archive = io.BytesIO(bundle(folder.path.parent, folder.name, number))
    assert_predicts(archive, folder, tmp_path)
    described = json.loads((tmp_path / "bundle" / "architecture.json").read_text())
    assert described


def test_only_the_study_that_a_run_belongs_to_is_taken_from_the_home(folder: StudyFolder, tmp_path: Path) -> None:
    home, best = folder.path.parent, best_of(folder)
    run = Runs(folder.path).of(best)
    assert run is not None
    found = folder_of(home, folder.name, folder.read().id, best, run)
    assert winner(found) == best
    assert (reference("first", None), reference("first", best)) == ("first", f"first:{best}")
    with pytest.raises(BundleError, match="another one"):
        folder_of(home, folder.name, folder.read().id, best, "0" * 32)
    for name in ("second", "../home/first", "/etc", "data"):
        with pytest.raises(BundleError, match="are not in"):
            folder_of(home, name, None, best, run)
