"""What is refused before a launch begins; what a study's engine is given to propose: known good networks first."""

import io
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import searches
from rich.console import Console

from benchmarks.ports import free_port
from convsearch.search.engines.choice import ALGORITHMS
from convsearch.search.launch.launch import launch
from convsearch.search.launch.options import Options
from convsearch.search.launch.wiring import engine_for
from convsearch.search.loop.budget import SEARCH_SHARE, Budget
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.home import Home
from convsearch.spaces.errors import InputError, WorkError
from convsearch.spaces.known.portfolio import guesses

CASES = [(engine, algorithm) for engine, found in ALGORITHMS.items() for algorithm in found if algorithm != "gp"]


def prepared(place: Path, engine: str, algorithm: str) -> Prepared:
    """A new study of the digits."""
    (place / "space.yaml").write_text(
        "layers: [3, 5]\neach_layer: {filters: [16, 64], pooling: [none, max]}\nrecipe: {batch_size: [32, 64]}\n"
    )
    space = str(place / "space.yaml")
    return searches.prepared(Home(place / "home"), engine=engine, algorithm=algorithm, space=space)


@pytest.mark.parametrize(("engine", "algorithm"), CASES)
def test_the_portfolio_comes_first_but_in_a_grid(tmp_path: Path, engine: str, algorithm: str) -> None:
    study = prepared(tmp_path, engine, algorithm)
    expected = [study.space.candidate(values) for values in guesses(study.space, study.study.data.train)]
    assert len(expected) > 1
    if algorithm == "grid":
        expected = [study.space.candidate(next(study.space.enumerate()))]
    made = engine_for(study, Budget(None, None))
    for number, candidate in enumerate(expected):
        proposal = made.ask()
        assert proposal is not None
        assert (proposal.number, proposal.candidate) == (number, candidate)


@pytest.mark.parametrize("engine", list(ALGORITHMS))
def test_what_a_warm_start_brings_comes_before_the_portfolio(tmp_path: Path, engine: str) -> None:
    study = prepared(tmp_path, engine, "random")
    *_, brought = study.space.enumerate()
    study = replace(study, study=study.study.model_copy(update={"warm_values": (brought,)}))
    made = engine_for(study, Budget(None, None))
    candidates = [proposal.candidate for _ in range(2) if (proposal := made.ask())]
    first = next(guesses(study.space, study.study.data.train))
    assert candidates == [study.space.candidate(brought), study.space.candidate(first)]


@pytest.mark.parametrize(("engine", "algorithm"), CASES)
def test_nothing_is_proposed_that_cannot_be_finished_in_time(tmp_path: Path, engine: str, algorithm: str) -> None:
    study, seconds = prepared(tmp_path, engine, algorithm), 600.0
    nearly_over = Budget(None, seconds, began=time.monotonic() - SEARCH_SHARE * seconds, has_result=True)
    assert 0 < nearly_over.search_left < 2
    assert engine_for(study, nearly_over).ask() is None
    assert engine_for(study, Budget(None, seconds)).ask() is not None


def files(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("resume", [False, True])
def test_an_address_of_mlflow_at_which_nothing_answers_is_refused_before_any_image_is_read(
    resume: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    if resume:
        searches.prepared(home, space="tiny")
    before = files(home.path)
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(InputError, match=f"MLflow at {address} cannot be reached: .*unset MLFLOW_TRACKING_URI"):
        launch(Options(home=home.path, study="mine", resume=resume, workers=1), Console(file=io.StringIO()))
    assert files(home.path) == before


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("no_such_backend", "Keras has no backend 'no_such_backend'"),
        ("numpy", "Keras's backend 'numpy' cannot train"),
        *((name, f"{name} is not installed") for name in ("jax", "torch") if find_spec(name) is None),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_backend_that_cannot_train_here_is_named_with_those_that_can_before_there_is_a_study(
    resume: bool, backend: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    if resume:
        searches.prepared(home, space="tiny")
    before = files(home.path)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    expected = rf"^KERAS_BACKEND={backend}: {said} \(installed: .*tensorflow.*\); set KERAS_BACKEND=tensorflow"
    with pytest.raises(WorkError, match=expected):
        launch(Options(home=home.path, study="mine", resume=resume, workers=1), Console(file=io.StringIO()))
    assert files(home.path) == before
