"""What is wrong is said in one message, with exit code 2, before anything is begun."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from terminal import Finished, begun, convsearch, typed, wait_until

from convsearch.search.system.lock import is_held
from convsearch.spaces.printable import printable

Refused = Callable[..., str]
TWO = ["--objective", "val_accuracy", "--objective", "parameters"]
SPACE = """\
description: mine
layers: [1, 2]
each_layer:
  filters: [8, 16]
  kernel_size: [3, 5]
recipe:
  learning_rate: {min: 0.001, max: 0.01, log: true}
"""


def refused_by(*arguments: object) -> str:
    """Type a command that must be refused; return its one message."""
    done = typed(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("convsearch: ")
    assert done.stderr.count("convsearch: ") == 1
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("convsearch: ")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def refused(home: Path) -> Refused:
    """Types `convsearch run` with a mistake; returns the message when nothing of a study was made."""

    def run(*arguments: object) -> str:
        message = refused_by("run", "--trials", 1, "--study", "mine", "--home", home, *arguments)
        left = {path.name for path in home.iterdir()} if home.exists() else set()
        assert left <= {"data"}  # at most images that were read well
        assert list(home.glob("data/.*")) == []
        return message

    return run


@pytest.fixture
def space(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a space file that has one thing replaced by another."""

    def write(old: str, new: str) -> Path:
        assert old in SPACE
        (tmp_path / "mine.yaml").write_text(SPACE.replace(old, new))
        return tmp_path / "mine.yaml"

    return write


def save_images(folder: Path, count: int, seed: int = 0, mode: str = "RGB") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, count])
    for i in range(count):
        shape = (8, 8) if mode == "L" else (8, 8, 3)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{i}.png")


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trials", 0], "--trials 0: a whole number from 1 to 1,000,000"),
        (["--trials", -3], "--trials -3: a whole number from 1 to 1,000,000"),
        (["--epochs", 0], "--epochs 0: a whole number from 1 to 1,000,000"),
        (["--minutes", 0], "--minutes 0: a number of minutes above 0"),
        (["--minutes", 0.1], "--minutes 0.1: too short. Starting, "),
        (["--minutes", 0.1, "--epochs", 1], "1 epoch of a first network about "),
        (["--minutes", 1, "--epochs", 9000], "9,000 epochs of a first network about "),
        (["--warm-start", "other", "--algorithm", "grid"], "--warm-start other: a grid search tries everything"),
        (["--objective", "acuracy"], "--objective acuracy: unknown objective: did you mean 'val_accuracy'?"),
        (["--objective", "parameters"], "--objective parameters: the smallest network is useless without accuracy"),
        ([*TWO, "--engine", "keras-tuner"], "2 objectives: KerasTuner's hyperband takes one"),
        ([*TWO, "--pruner", "median"], "--pruner median: with 2 objectives Optuna does not prune"),
        (["--under", "macs=1e6"], "--under macs=1e6: this study has one objective"),
        ([*TWO, "--under", "parameters=few"], "--under parameters=few: write MEASURE=NUMBER"),
        ([*TWO, "--under", "parameters=3"], "--under parameters=3: no architecture stays within the limits"),
        (["--memory", "much"], "--memory much: write a number and its unit, as in 2GB or 512MB"),
        (["--memory", "10MB"], "--memory 10MB: a worker needs 500 MB to start, and more to train"),
        (["--repeats", -1], "--repeats -1: a whole number from 0 to 1,000,000"),
        (["--repeats", 10**20], f"--repeats {10**20}: a whole number from 0 to 1,000,000"),
        (["--image-size", f"8x{'9' * 5000}"], "--image-size 8x999"),
        (["--warm-start", "nothing"], "no study 'nothing' in"),
        (["--minutes", "nan"], "--minutes nan: a number of minutes above 0"),
        (["--seed", -1], "--seed -1: a whole number from 0"),
        (["--engine", "optna"], "--engine optna: unknown engine: did you mean 'optuna'?"),
        (["--algorithm", "tpa"], "unknown algorithm 'tpa' of optuna: did you mean 'tpe'?"),
        (["--engine", "keras-tuner", "--algorithm", "tpe"], "unknown algorithm 'tpe' of keras-tuner"),
        (["--engine", "keras-tuner", "--pruner", "median"], "--pruner median: KerasTuner has no pruners"),
        (["--pruner", "mediam"], "unknown pruner 'mediam': did you mean 'median'?"),
        (["--space", "clasic"], "unknown space 'clasic': did you mean 'classic'?"),
        (["--data", "digit"], "unknown data 'digit': did you mean 'digits'?"),
        (["--data", "keras:mnits"], "unknown data 'keras:mnits': did you mean 'keras:mnist'?"),
        (["--image-size", "0x8"], "each side must be from 1 to 4096 pixels"),
        (["--image-size", "100000x100000"], "each side must be from 1 to 4096 pixels"),
        (["--image-size", "8x8x3"], "--image-size 8x8x3: write HxW, as in 32x32"),
        (["--image-size", "-8x8"], "--image-size -8x8: write HxW"),
        (["--set", "learning_rate"], "--set learning_rate: write NAME=VALUE"),
        (["--set", "learning_rat=1"], "--set learning_rat: the space has no such dimension: did you mean"),
        (["--set", "learning_rate=fast"], "--set learning_rate=fast: 'fast' is not a valid value"),
        (["--set", "layers=2.5"], "--set layers=2.5: 2.5 is not a whole number"),
        (["--set", "learning_rate={min: 0.1, max: 0.01}"], "the range is upside down: min 0.1 is above max 0.01"),
        (["--space", "tiny", "--algorithm", "grid"], "learning_rate is a continuous range"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_named_with_its_value_and_what_would_be_right(
    refused: Refused, arguments: list[object], said: str
) -> None:
    assert said in refused(*arguments)


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "x" * 81, "white space", "b\u00e4r", "a\nb"])
def test_a_study_has_a_plain_name(tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    message = refused_by("run", "--trials", 1, "--study", name, "--home", tmp_path / "home")
    assert f"study name '{printable(name)}': letters, digits" in message
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["data", "Artifacts", "mlflow.db"])
def test_a_study_has_no_name_of_the_homes_own_files(tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    message = refused_by("run", "--trials", 1, "--study", name, "--home", tmp_path / "home")
    assert f"study name '{name}': the home has a file or folder of its own" in message
    assert set(tmp_path.rglob("*")) == before


def test_typing_mistakes_in_the_command_itself_end_with_two_as_well() -> None:
    for arguments in (["serch"], ["run", "--trails", "3"], ["run", "--trials", "three"], ["check", "tiny"]):
        done = typed(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert "Usage" in done.stderr


def test_what_a_shell_gets_of_a_mistake_is_one_line_on_standard_error_and_exit_code_two(home: Path) -> None:
    """A process of its own; all the others here are typed in the test's."""
    done = convsearch("run", "--data", "digit", "--study", "mine", "--home", home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("convsearch: unknown data 'digit': did you mean 'digits'?")
    assert done.stderr.count("\n") == 1
    assert not home.exists()


# ---------------------------------------------------------------------- the space


def test_an_unknown_key_is_named_with_file_and_line_and_the_nearest_right_one(
    refused: Refused, space: Callable[[str, str], Path]
) -> None:
    path = space("kernel_size:", "kernel_sizes:")
    message = refused("--space", path)
    assert message.startswith(f"{path}:5: unknown key 'each_layer.kernel_sizes': did you mean 'kernel_size'?")


def test_every_mistake_of_a_space_has_its_own_line(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text("layers: [1]\neach_layer: {filter: 8}\nrecipe: {optimizer: adamm}\n")
    lines = refused("--space", tmp_path / "two.yaml").splitlines()
    assert len(lines) == 2
    assert "unknown key 'each_layer.filter': did you mean 'filters'?" in lines[0]
    assert "recipe.optimizer" in lines[1]
    assert "did you mean 'adam'?" in lines[1] or "did you mean 'adamw'?" in lines[1]


def test_an_unknown_value_is_named_with_the_nearest_right_one(
    refused: Refused, space: Callable[[str, str], Path]
) -> None:
    path = space("  filters: [8, 16]", "  filters: [8, 16]\n  activation: [relo, tanh]")
    message = refused("--space", path)
    assert message.startswith(f"{path}:5: each_layer.activation: 'relo' is not a valid value; did you mean 'relu'?")


def test_a_range_upside_down_is_named(refused: Refused, space: Callable[[str, str], Path]) -> None:
    path = space("{min: 0.001, max: 0.01,", "{min: 0.1, max: 0.01,")
    message = refused("--space", path)
    assert message.startswith(f"{path}:7: recipe.learning_rate: the range is upside down: min 0.1 is above max 0.01")


def test_a_space_in_which_nothing_fits_is_refused_with_the_volumes_that_led_there(
    refused: Refused, space: Callable[[str, str], Path]
) -> None:
    path = space("[3, 5]", "[7]\n  padding: valid\n  stride: 2")
    path.write_text(path.read_text().replace("layers: [1, 2]", "layers: [2]"))
    message = refused("--space", path)
    assert "8x8x1" in message
    assert "nothing" in message or "no " in message
    assert "1x1" in message  # (8 - 7) / 2 + 1 = 1: there is nothing left for the second layer


def test_limits_that_nothing_keeps_are_refused(refused: Refused, space: Callable[[str, str], Path]) -> None:
    path = space("description: mine", "limits: {max_parameters: 10}")
    message = refused("--space", path)
    assert "max_parameters" in message
    assert "10" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers: [1, 2\n", "this is not valid YAML"),
        ("", "a space is a YAML mapping"),
        ("- layers\n", "a space is a YAML mapping"),
        ("description: nothing\n", "layers: this key is required"),
        ("layers: [1]\nlayers: [2]\n", ":2: duplicate key 'layers'"),
    ],
)
def test_a_file_that_is_no_space_is_refused(refused: Refused, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert said in refused("--space", tmp_path / "mine.yaml")


def test_a_space_file_that_is_not_there_is_named(refused: Refused, tmp_path: Path) -> None:
    message = refused("--space", tmp_path / "nothing.yaml")
    assert message.startswith(f"{tmp_path / 'nothing.yaml'}: the space cannot be read: No such file or directory")


def test_check_refuses_a_volume_that_is_none() -> None:
    for volume in ("32x32", "0x8x1", "axbxc", "8x8x-1", "99999x8x1"):
        assert f"--input {volume}: write HEIGHTxWIDTHxDEPTH" in refused_by("check", "tiny", "--input", volume)


def test_check_names_the_mistakes_of_a_space_as_run_does(space: Callable[[str, str], Path]) -> None:
    path = space("kernel_size:", "kernel_sizes:")
    assert f"{path}:5: unknown key" in refused_by("check", path, "--input", "8x8x1")


# ---------------------------------------------------------------------- folders of images


def test_a_folder_that_is_missing_or_empty_is_named(refused: Refused, tmp_path: Path) -> None:
    assert f"{tmp_path / 'nothing'}: no such folder" in refused("--data", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "has neither class folders nor images" in refused("--data", tmp_path / "empty")


def test_a_single_class_is_refused(refused: Refused, tmp_path: Path) -> None:
    save_images(tmp_path / "animals" / "cat", 5)
    assert "only one class, 'cat'" in refused("--data", tmp_path / "animals")


def test_a_class_with_one_image_is_named(refused: Refused, tmp_path: Path) -> None:
    save_images(tmp_path / "animals" / "cat", 5)
    save_images(tmp_path / "animals" / "dog", 1)
    assert "too few images: 'dog' has 1. Every class needs at least 3" in refused("--data", tmp_path / "animals")


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and ends there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def test_all_bad_images_are_named_in_one_report(refused: Refused, tmp_path: Path) -> None:
    save_images(tmp_path / "animals" / "cat", 5)
    save_images(tmp_path / "animals" / "dog", 6)
    cat, dog = tmp_path / "animals" / "cat", tmp_path / "animals" / "dog"
    (cat / "zero.png").touch()
    (cat / "text.jpg").write_text("I am no image")
    whole = (dog / "0.png").read_bytes()
    (dog / "cut.png").write_bytes(whole[: len(whole) // 2])
    (dog / "huge.png").write_bytes(png_header(60_000, 60_000))
    message = refused("--data", tmp_path / "animals")
    assert "4 of 15 images cannot be read" in message
    for name in ("cat/zero.png: empty file", "cat/text.jpg: ", "dog/cut.png: ", "dog/huge.png: "):
        assert f"\n  {name}" in message
    assert "--skip-bad" in message


# ---------------------------------------------------------------------- arrays

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
LABELS = np.arange(20) % 2


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "holds no arrays; expected the names x and y"),
        ({"pictures": PIXELS, "kinds": LABELS}, "holds pictures, kinds; expected the names x and y"),
        ({"x": PIXELS}, "has x but no y"),
        ({"x": np.array([{"a": 1}] * 20, dtype=object), "y": LABELS}, "x is an array of Python objects"),
        ({"x": np.full((20, 8, 8, 1), np.nan), "y": LABELS}, "pixels that are not a number"),
        ({"x": PIXELS, "y": LABELS + 0.5}, "y[0] is 0.5; labels must be whole numbers"),
        ({"x": PIXELS, "y": np.eye(3)[LABELS] + np.eye(3)[2]}, "several labels"),
        ({"x": PIXELS, "y": LABELS[:10]}, "20 images but y 10 labels"),
        ({"x": PIXELS, "y": np.zeros(20, int)}, "only one class, '0'"),
    ],
    ids=["none", "other names", "no labels", "objects", "NaN", "fractions", "several labels", "too few", "one class"],
)
def test_arrays_that_cannot_be_used_are_named(
    refused: Refused, tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)  # type: ignore[arg-type]
    message = refused("--data", tmp_path / "mine.npz")
    assert str(tmp_path / "mine.npz") in message
    assert said in message


def test_a_file_that_is_no_npz_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_text("no arrays here")
    assert "cannot be read" in refused("--data", tmp_path / "mine.npz")
    (tmp_path / "mine.xlsx").write_text("1,2,3")
    assert "expected a folder with a subfolder of images for each class" in refused("--data", tmp_path / "mine.xlsx")


# ---------------------------------------------------------------------- the machine


def test_a_backend_that_is_not_installed_is_the_machines_fault_and_is_named(home: Path) -> None:
    done = convsearch(
        "run", "--trials", 1, "--space", "tiny", "--study", "mine", "--home", home, KERAS_BACKEND="no_such_backend"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert "no_such_backend" in done.stderr.splitlines()[-1]


def test_an_export_without_its_backend_is_one_line_and_leaves_nothing(finished: Finished, tmp_path: Path) -> None:
    for what in (finished.name, f"{finished.name}:{finished.folder.kept()[0]}"):
        words = ("export", what, "--to", tmp_path / "bundle", "--home", finished.home)
        done = convsearch(*words, KERAS_BACKEND="no_such_backend")
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("convsearch: KERAS_BACKEND=no_such_backend: Keras has no backend 'no_such_backend'")
        assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- the home


def test_a_home_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = refused_by("run", "--trials", 1, "--home", tmp_path / "file" / "studies")
    assert f"--home {tmp_path / 'file' / 'studies'}: cannot be written to: Not a directory" in message
    assert (tmp_path / "file").read_text() == "mine"


def test_a_home_that_cannot_be_made_is_refused() -> None:
    message = refused_by("run", "--trials", 1, "--home", "/proc/studies")
    assert "--home /proc/studies: cannot be written to" in message


# ---------------------------------------------------------------------- studies that are there, and that are not


@pytest.fixture(scope="module")
def finished(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The finished study in a home of its own: whoever asks to go on with it holds its folder for a moment."""
    return finished.copied(tmp_path_factory.mktemp("finished") / "home")


def untouched(finished: Finished) -> dict[str, float]:
    return {str(path): path.stat().st_mtime_ns for path in finished.folder.path.rglob("*") if path.is_file()}


def test_a_study_that_exists_is_not_begun_again(finished: Finished) -> None:
    before = untouched(finished)
    message = refused_by("run", "--study", finished.name, "--home", finished.home)
    assert "the study 'first' exists" in message
    assert "--resume" in message
    assert untouched(finished) == before


def test_resume_says_which_study_it_wants(home: Path) -> None:
    assert "--resume requires --study NAME" in refused_by("run", "--resume", "--home", home)
    assert not home.exists()


def test_resume_of_an_unknown_study_names_the_nearest(finished: Finished, home: Path) -> None:
    message = refused_by("run", "--resume", "--study", "frist", "--home", finished.home)
    assert "no study 'frist'" in message
    assert "did you mean 'first'?" in message
    assert "there is none yet" in refused_by("run", "--resume", "--study", "first", "--home", home)
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--space", "classic"], ["has a different space from classic", "layers: the study has 1, 2, 3", "limits: "]),
        (
            ["--set", "learning_rate=0.001"],
            ["learning_rate: the study has 0.001 to 0.02, requested is 0.001"],
        ),
        (["--epochs", 5], ["has --epochs 2, not 5"]),
        (["--seed", 4], ["has --seed 3, not 4"]),
        (["--algorithm", "random"], ["has --algorithm tpe, not random"]),
        (["--engine", "keras-tuner"], ["has --engine optuna, not keras-tuner"]),
        (["--pruner", "none"], ["has --pruner hyperband, not none"]),
        (["--warm-start", "first"], ["--warm-start is only for new studies", "a study keeps its settings"]),
        (["--class-weights"], ["--class-weights is only for new studies", "a study keeps its settings"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) and value[0].startswith("--") else "",
)
def test_resume_with_something_else_says_what_differs(
    finished: Finished, arguments: list[object], said: list[str]
) -> None:
    before = untouched(finished)
    message = refused_by("run", "--resume", "--study", "first", "--home", finished.home, *arguments)
    for part in said:
        assert part in message
    assert untouched(finished) == before


def test_resume_with_other_data_says_what_differs(finished: Finished, tmp_path: Path) -> None:
    before = untouched(finished)
    resume = ("run", "--resume", "--study", "first", "--home", finished.home)
    np.savez(tmp_path / "other.npz", x=PIXELS, y=LABELS)
    message = refused_by(*resume, "--data", tmp_path / "other.npz")
    assert "is not the data that the study 'first' was created with: its classes are '0', '1', the study has" in message
    message = refused_by(*resume, "--image-size", "16x16")
    assert "the study 'first' takes its images at 8x8, not at 16x16" in message
    assert untouched(finished) == before


def test_a_study_that_is_damaged_is_named_with_its_file(home: Path) -> None:
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "study.yaml").write_text("format: 1\nname: mine\n")
    for verb in (["show", "mine"], ["run", "--resume", "--study", "mine"]):
        assert str(home / "mine" / "study.yaml") in refused_by(*verb, "--home", home)
    (home / "mine" / "study.yaml").write_text("format: 99\n")
    assert "format 99, but this version of Convsearch reads format" in refused_by("show", "mine", "--home", home)


def test_a_study_whose_space_is_of_another_format_does_not_go_on(copied: Finished) -> None:
    file = copied.folder.file
    file.write_text(file.read_text().replace("space_format: 1\n", "space_format: 7\n"))
    message = refused_by("run", "--resume", "--study", "first", "--home", copied.home)
    assert f"{file}: space_format 7" in message
    assert "start a new study with --warm-start first" in message


# ---------------------------------------------------------------------- workers


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "0"], "--workers 0: a whole number from 1 up, or 'auto'"),
        (["--workers", "many"], "--workers many: a whole number from 1 up, or 'auto'"),
        (["--workers-per-gpu", "0"], "--workers-per-gpu 0: at least 1"),
        (["--gpus", "first"], "--gpus first: write GPU numbers, as in 0,2"),
        (["--gpus", "97"], "--gpus 97: this machine has "),
        (["--precision", "float8"], "--precision float8: "),
    ],
)
def test_workers_that_cannot_be_are_refused_with_what_can(home: Path, arguments: list[str], said: str) -> None:
    assert said in refused_by("run", "--study", "new", "--home", home, *arguments)
    assert not (home / "new").exists()


def test_a_study_that_is_being_searched_is_not_gone_on_with_by_another_loop(copied: Finished) -> None:
    resume = ("run", "--resume", "--study", "first", "--home", copied.home)
    with begun(*resume, "--trials", 1000):
        wait_until(lambda: is_held(copied.folder.path), "the search began")
        message = refused_by(*resume)
    assert "the study 'first' is being searched by another `convsearch run`" in message


# ---------------------------------------------------------------------- the other verbs


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("first:99", "the study 'first' has no trial '99'; its trials are 0 to 6"),
        ("first:best", "the study 'first' has no trial 'best'"),
        ("first:", "the study 'first' has no trial ''"),
        ("frist", "no study 'frist'"),
        ("../first", "study name '../first'"),
    ],
)
def test_explain_and_export_name_the_trial_that_is_not_there(
    finished: Finished, tmp_path: Path, what: str, said: str
) -> None:
    assert said in refused_by("explain", what, "--home", finished.home)
    assert said in refused_by("export", what, "--to", tmp_path / "new", "--home", finished.home)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "this is not valid JSON"),
        ("[1, 2]", "mine.json: "),
        ('{"input": [8, 8, 1], "classes": 2}', "layers: Field required"),
        ('{"input": [8, 8, 1], "classes": 1, "layers": [{"filters": 4}]}', "classes: "),
        ('{"input": [8, 8, 1], "classes": 2, "layers": [{"filters": 4, "kernel": 3}]}', "layers.0.kernel: "),
        ('{"input": [2, 2, 1], "classes": 2, "layers": [{"filters": 4, "kernel_size": 5, "padding": "valid"}]}', ""),
        ('{"architecture": {}, "recipe": {}}', "architecture.input: "),
    ],
    ids=["no JSON", "a list", "no layers", "one class", "unknown key", "does not fit", "empty"],
)
def test_explain_of_a_file_that_is_no_architecture_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    message = refused_by("explain", tmp_path / "mine.json")
    assert said in message


def test_explain_of_a_file_that_is_not_there_names_it(tmp_path: Path) -> None:
    assert "No such file" in refused_by("explain", tmp_path / "mine.json")


def test_predict_without_a_bundle_or_an_image_names_what_is_missing(finished: Finished, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "image.png")
    message = refused_by("predict", tmp_path, tmp_path / "image.png")
    assert f"{tmp_path}: not a bundle: it has no model.keras" in message
    message = refused_by("predict", finished.bundle, tmp_path / "image.png", tmp_path / "nothing.png")
    assert f"{tmp_path / 'nothing.png'}: no such image" in message


def test_predict_names_a_file_that_is_no_image(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("I am no image")
    message = refused_by("predict", finished.bundle, tmp_path / "notes.txt", "--json")
    assert f"{tmp_path / 'notes.txt'}: damaged, or not an image" in message


def test_show_of_a_study_that_is_not_there_names_the_nearest(finished: Finished) -> None:
    assert "did you mean 'first'?" in refused_by("show", "fist", "--json", "--home", finished.home)
