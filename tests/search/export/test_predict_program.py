"""The bundle's own program reads an image as the search read it, or refuses it for the same reason, and says so."""

import errno
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from image_files import (
    BAD,
    GOOD,
    Save,
    eight_bits_in_sixteen,
    grey,
    large,
    sixteen_bits,
    text,
    too_many_open_files,
    truncated,
    twelve_bits_in_sixteen_of_colour,
)
from PIL import Image
from terminal import COMMAND, PATIENCE, environment

import convsearch.search.export
from convsearch.search.command import predict as command
from convsearch.search.export.labels import write_labels
from convsearch.search.export.predictions import dim_note, predictions
from convsearch.search.export.preprocessing import Preprocessing
from convsearch.search.images.decoding import BadImageError, decode
from convsearch.search.system.backend import import_keras
from convsearch.spaces.errors import InputError
from convsearch.spaces.sizes import FITS

SHIPPED = Path(convsearch.search.export.__file__).with_name("predict.py")
TRUNCATED = [save for save in GOOD if save.__name__.startswith("most_of_")]
CLASSES = ["a\u2028b", "c\rd", "last"]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return loaded()


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("predict", SHIPPED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("save", GOOD, ids=lambda save: save.__name__)
def test_an_image_is_read_as_the_search_read_it(program: ModuleType, save: Save, depth: int, tmp_path: Path) -> None:
    path = save(tmp_path)
    for height, width in ((12, 12), (8, 20), (32, 32)):
        found = program.read(path, height, width, depth)
        assert found.shape == (height, width, depth)
        assert found.dtype == np.uint8
        assert np.array_equal(found, decode(path, (height, width), depth))
        for fit in FITS:
            found = program.read(path, height, width, depth, fit, (16, 10))
            how = Preprocessing(size=(16, 10), fit=fit)
            assert np.array_equal(found, how.read(path, (height, width, depth)))


@pytest.mark.parametrize("save", BAD, ids=lambda save: save.__name__)
def test_what_the_search_refuses_is_refused_for_the_same_reason(
    program: ModuleType, save: Save, tmp_path: Path
) -> None:
    path = save(tmp_path)
    with pytest.raises(BadImageError) as searched:
        decode(path, (12, 12), 3)
    with pytest.raises(program.BadFileError) as shipped:
        program.read(path, 12, 12, 3)
    assert str(shipped.value) == f"{path}: {searched.value.reason}"


@pytest.mark.parametrize("save", TRUNCATED, ids=lambda save: save.__name__)
def test_both_readers_agree_how_much_of_an_image_must_be_there(program: ModuleType, save: Save, tmp_path: Path) -> None:
    path = save(tmp_path)
    content, read = path.read_bytes(), 0
    for end in range(len(content), len(content) // 2, -(len(content) // 40)):
        path.write_bytes(content[:end])
        try:
            expected = decode(path, (12, 12), 3)
        except BadImageError as error:
            with pytest.raises(program.BadFileError, match=re.escape(error.reason)):
                program.read(path, 12, 12, 3)
        else:
            assert np.array_equal(program.read(path, 12, 12, 3), expected)
            read += 1
    assert 0 < read < 20


@pytest.mark.parametrize("ending", ["png", "webp", "ppm", "jp2"])
def test_a_pillow_without_avif_reads_all_other_formats_here_too(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("L", (16, 16), 7).save(path)
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF")  # as in Pillow 11.0 and 11.1
    assert loaded().read(path, 16, 16, 1).max() == 7


def test_a_failure_of_the_machine_is_no_damaged_image_here_either(program: ModuleType, tmp_path: Path) -> None:
    path = grey(tmp_path)
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        program.read(path, 12, 12, 3)


OF_THE_FILE = {"ENOENT", "EACCES", "EPERM", "ELOOP", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "EINVAL"}


@pytest.mark.parametrize("number", [None, *errno.errorcode])
def test_both_readers_call_an_image_damaged_only_where_the_system_says_something_of_the_file(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    path = grey(tmp_path)
    failure = OSError("as Pillow says it") if number is None else OSError(number, os.strerror(number), str(path))

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(Image.Image, "convert", fail)  # while it is decoded
    of_the_file = number is None or errno.errorcode[number] in OF_THE_FILE
    with pytest.raises(BadImageError if of_the_file else OSError) as searched:
        decode(path, (12, 12), 3)
    with pytest.raises(program.BadFileError if of_the_file else OSError) as shipped:
        program.read(path, 12, 12, 3)
    assert [raised.value is failure for raised in (searched, shipped)] == [not of_the_file] * 2


WITH_LITTLE_MEMORY = """
import resource, runpy, sys
from pathlib import Path
from convsearch.search.images.decoding import decode

read, path = runpy.run_path(sys.argv[1])["read"], Path(sys.argv[2])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**24, resource.getrlimit(resource.RLIMIT_AS)[1]))
for reader in (lambda: decode(path, (12, 12), 3), lambda: read(path, 12, 12, 3)):
    try:
        reader()
    except MemoryError:
        print("MemoryError")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit a process's memory")
def test_for_both_readers_a_lack_of_memory_is_no_damaged_image(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITH_LITTLE_MEMORY, SHIPPED, large(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("MemoryError\nMemoryError\n", "")


# ---------------------------------------------------------------------- the program, beside a model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes that is always sure of the last."""
    keras, folder = import_keras(), tmp_path_factory.mktemp("bundle")
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", kernel_initializer="zeros"),
        ]
    )
    model.layers[-1].bias.assign([0.0, 0.0, 9.0])
    model.save(folder / "model.keras")
    write_labels(folder / "labels.txt", CLASSES)
    Preprocessing(size=(12, 12)).write(folder)
    shutil.copy(SHIPPED, folder)
    return folder


def run(bundle: Path, *images: Path) -> str | int | None:
    """Run the program in this process; return the code that it exits with, or the message."""
    before = sys.argv
    sys.argv = ["predict.py", *map(str, images)]
    try:
        runpy.run_path(str(bundle / "predict.py"), run_name="__main__")
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = before
    return 0


@pytest.mark.parametrize("save", [text, truncated("png"), truncated("jpg")], ids=lambda save: save.__name__)
def test_one_bad_file_among_good_ones_is_one_line_and_no_prediction(
    bundle: Path, save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = save(tmp_path)
    said = run(bundle, grey(tmp_path), bad)
    assert isinstance(said, str), "Python prints it on standard error, and exits with 1"
    assert said.startswith(f"predict.py: {bad}: damaged")
    assert len(said.splitlines()) == 1
    assert capsys.readouterr().out == ""


def test_a_failure_of_the_machine_is_one_line_that_calls_no_image_damaged(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = grey(tmp_path)
    source = compile((bundle / "predict.py").read_text(encoding="utf-8"), "predict.py", "exec")
    before, sys.argv = sys.argv, ["predict.py", str(image)]
    try:
        with too_many_open_files(), pytest.raises(SystemExit) as end:
            exec(source, {"__name__": "__main__", "__file__": str(bundle / "predict.py"), "__doc__": None})
    finally:
        sys.argv = before
    assert end.value.code == f"predict.py: {image}: Too many open files"
    assert capsys.readouterr().out == ""


def test_all_headers_are_read_before_the_model_is(bundle: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(bundle / "predict.py", alone)
    assert run(alone, grey(tmp_path), tmp_path / "none.png") == f"predict.py: {tmp_path / 'none.png'}: no such file"


def test_each_label_is_that_of_its_output_whatever_breaks_lines_in_the_names(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = grey(tmp_path)
    assert run(bundle, image) == 0
    assert capsys.readouterr().out == f"{image}\tlast\t100.0%\n"
    assert [row["label"] for row in predictions(bundle, [image])] == ["last"]


DIM = "16 bits, but no pixel of a quarter of white (65,535). Unless it is that dark, save 8-bit values with 8 bits"


@pytest.mark.parametrize("save", [eight_bits_in_sixteen, twelve_bits_in_sixteen_of_colour], ids=lambda s: s.__name__)
def test_an_image_whose_16_bits_may_hold_values_of_fewer_is_predicted_with_a_note(
    bundle: Path, save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, bright = save(tmp_path), sixteen_bits(tmp_path)
    assert run(bundle, bright, image) == 0
    said = capsys.readouterr()
    assert said.out == f"{bright}\tlast\t100.0%\n{image}\tlast\t100.0%\n"
    assert said.err.startswith(f"note: {image}: {DIM}")
    assert said.err == f"note: {dim_note([bright, image])}\n"
    assert run(bundle, image, image) == 0
    assert capsys.readouterr().err == f"note: {dim_note([image, image])}\n"


def test_convsearch_predict_has_the_same_note(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = eight_bits_in_sixteen(tmp_path)
    command.predict(bundle, [image], as_json=True)
    said = capfd.readouterr()
    assert json.loads(said.out)[0]["label"] == "last"
    assert f"note: {dim_note([image])}\n" in said.err


@pytest.mark.parametrize("save", GOOD, ids=lambda save: save.__name__)
def test_both_readers_call_the_same_images_dim(program: ModuleType, save: Save, tmp_path: Path) -> None:
    path = save(tmp_path)
    is_dim = program.is_dim(path)
    assert is_dim == (dim_note([path]) is not None)
    assert is_dim == (save in (eight_bits_in_sixteen, twelve_bits_in_sixteen_of_colour))


def test_labels_written_by_an_earlier_version_are_not_shifted(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = shutil.copytree(bundle, tmp_path / "earlier")
    (earlier / "labels.txt").write_bytes("a\u2028b\nc\rd\nlast\n".encode())
    assert run(earlier, grey(tmp_path)) == 0
    assert "\tlast\t" in capsys.readouterr().out
    assert [row["label"] for row in predictions(earlier, [grey(tmp_path)])] == ["last"]


@pytest.mark.parametrize("labels", ["one\n", "one\ntwo\nthree\nfour\n"])
def test_labels_of_another_model_are_refused(bundle: Path, labels: str, tmp_path: Path) -> None:
    other = shutil.copytree(bundle, tmp_path / "other")
    (other / "labels.txt").write_text(labels, encoding="utf-8")
    count = labels.count("\n")
    assert run(other, grey(tmp_path)) == f"predict.py: labels.txt: {count} labels, but the model has 3 outputs"
    with pytest.raises(InputError, match=f"{count} labels, but the model has 3 outputs"):
        predictions(other, [grey(tmp_path)])


def test_any_name_is_printed_on_one_line_on_any_terminal(bundle: Path, tmp_path: Path) -> None:
    names = [b"two\nlines.png", b"no\xffutf8.png", "sep\u2028é.png".encode(), b"\x1b[31m.png"]
    places = [os.fsencode(tmp_path) + b"/" + name for name in names]
    for place in places:
        with open(place, "wb") as stream:  # noqa: PTH123 - no Path takes bytes
            Image.new("L", (12, 12)).save(stream, format="PNG")
    done = subprocess.run(
        [sys.executable.encode(), os.fsencode(bundle / "predict.py"), *places],
        capture_output=True,
        env=environment(PYTHONIOENCODING="ascii"),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode("ascii").splitlines()
    shown = [r"two\nlines.png", r"no\xffutf8.png", r"sep\u2028\xe9.png", r"\x1b[31m.png"]
    assert lines == [f"{tmp_path}/{name}\tlast\t100.0%" for name in shown]


def test_a_backend_that_is_not_installed_is_named_in_one_line_with_those_that_are(bundle: Path, tmp_path: Path) -> None:
    image = grey(tmp_path)
    for backend in ("no_such_backend", *(name for name in ("jax", "torch") if find_spec(name) is None)):
        for words in ([sys.executable, bundle / "predict.py", image], [COMMAND, "predict", bundle, image]):
            variables = environment(KERAS_BACKEND=backend)
            done = subprocess.run(words, capture_output=True, text=True, env=variables, timeout=PATIENCE, check=False)
            assert (done.returncode, done.stdout) == (1, "")
            (line,) = done.stderr.splitlines()
            assert f"KERAS_BACKEND={backend}: " in line
            assert "(installed: " in line
            assert "set KERAS_BACKEND=tensorflow" in line
