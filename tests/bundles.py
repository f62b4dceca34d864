"""Bundles as somebody has them who has downloaded one."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from terminal import PATIENCE, environment

from convsearch.search.data import Dataset
from convsearch.search.study.folder import StudyFolder


def assert_predicts(archive: Path | IO[bytes], folder: StudyFolder, place: Path) -> None:
    """See that a bundle, unpacked at a place, names the class of an image of its study, with nothing but itself."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(place)
    picture = place / "digit.png"
    Image.fromarray(np.asarray(Dataset.load(folder.data(folder.read())).images()[0, ..., 0])).save(picture)
    done = subprocess.run(
        [sys.executable, str(place / "bundle" / "predict.py"), str(picture)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(picture) in done.stdout
