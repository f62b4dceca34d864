"""Keras's own loaders, in a process of their own, because Keras reads KERAS_HOME when it is imported.

Fashion-MNIST is the one set whose local files Keras takes without comparing a hash, so it needs no network.
"""

import gzip
import json
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convsearch.search.data import Dataset
from convsearch.search.sources.keras_datasets import KERAS_DATASETS

SCRIPT = """
    import json, sys
    from pathlib import Path
    from convsearch.search.sources import open_data
    from convsearch.spaces.errors import WorkError
    folder = open_data("keras:fashion_mnist", Path(sys.argv[1])).folder
    failed = {}
    for spec in ("keras:mnist", "keras:cifar10"):
        try:
            open_data(spec, Path(sys.argv[1]))
        except WorkError as error:
            failed[spec] = str(error)
    print(json.dumps({"folder": str(folder), "failed": failed}))
"""


def write_idx(path: Path, array: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("keras")
    local = home / "datasets/fashion-mnist"
    local.mkdir(parents=True)
    for part, count in (("train", 60), ("t10k", 20)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.zeros((count, 28, 28), dtype=np.uint8) + labels[:, None, None]
        write_idx(local / f"{part}-labels-idx1-ubyte.gz", labels)
        write_idx(local / f"{part}-images-idx3-ubyte.gz", images)
    nowhere = "http://127.0.0.1:9"  # a port where nothing listens, so that a download fails with network too
    env = os.environ | {
        "KERAS_HOME": str(home),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(home / "cache")]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)  # so nothing else was printed there
    return result | {"home": home}


def test_a_set_that_keras_has_is_read_with_its_class_names_and_its_test_images(
    outcome: dict[str, Any],
) -> None:
    dataset = Dataset.load(Path(outcome["folder"]))
    assert dataset.name == "fashion_mnist"
    assert dataset.source == "keras:fashion_mnist"
    assert dataset.input == (28, 28, 1)
    assert dataset.classes[0] == "T-shirt/top"
    assert dataset.classes[9] == "Ankle boot"
    assert np.bincount(dataset.given).tolist() == [60, 0, 0, 20]
    assert np.array_equal(dataset.images()[:, 5, 5, 0], dataset.labels())


@pytest.mark.parametrize(
    ("spec", "host"), [("keras:mnist", "storage.googleapis.com"), ("keras:cifar10", "www.cs.toronto.edu")]
)
def test_a_failed_download_is_told_with_the_host_and_what_to_try(outcome: dict[str, Any], spec: str, host: str) -> None:
    message = outcome["failed"][spec]
    assert f"{spec} is not in Keras's folder of data sets and could not be downloaded from {host}" in message
    assert "https_proxy" in message
    assert "~/.keras/datasets" in message


def test_a_failed_download_leaves_nothing_in_the_cache(outcome: dict[str, Any]) -> None:
    assert [str(path) for path in (outcome["home"] / "cache").iterdir()] == [outcome["folder"]]


def test_every_image_set_of_keras_is_offered() -> None:
    assert KERAS_DATASETS == ("keras:mnist", "keras:fashion_mnist", "keras:cifar10", "keras:cifar100")


def test_opening_other_data_does_not_import_keras(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from convsearch.search.sources import open_data
        open_data("digits", Path(sys.argv[1]))
        assert not {"keras", "tensorflow"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=True)
