"""Opens the data set that `--data` names: chooses the reader, or says what is wrong."""

import os
from collections.abc import Collection
from pathlib import Path

from ...spaces.errors import InputError, nearest
from ...spaces.printable import is_utf8
from ...spaces.sizes import Fit, Size
from ..data.dataset import Dataset
from ..data.sizes import own_size, require_usable
from ..data.source import Progress, Source, Step
from ..tables.open import ENDINGS, is_table
from ..tables.source import read_table
from ..values.columns import Columns
from .digits import read_digits
from .folder import read_folder, require_apart, require_no_images_in
from .keras_datasets import KERAS_DATASETS, read_keras
from .npz import read_npz
from .store import stored

BUILT_IN = "digits"
NAMED = (BUILT_IN, *KERAS_DATASETS)
"""The data sets known by name; everything else is a path."""

NO_COLUMNS = Columns()


def open_data(
    spec: str,
    cache: Path,
    *,
    image_size: tuple[int, int] | None = None,
    fit: Fit = "stretch",
    skip_bad: bool = False,
    columns: Columns = NO_COLUMNS,
    studies: Collection[Path] = (),
    step: Step | None = None,
) -> Dataset:
    """Return the data set that `spec` names, decoded into a folder under `cache` if it is not there yet.

    `spec` is `digits`, one of `keras:mnist`, `keras:fashion_mnist`, `keras:cifar10`, `keras:cifar100`, or the
    path of a folder of class folders (see folder.py), of a table of labels (see tables/source.py), of which `columns`
    may be named, or of an `.npz` file (see npz.py). A path that looks like a name is written `./digits`. Images are
    brought to `image_size` (height, width) in pixels, by default the one size that suits them (see data/sizes.py, and
    images/decoding.py for how). `studies`, the folders of studies, are not read where they are in the folder of images.
    `step` is called when images are decoded, and when they are compared to find copies, and what it returns with the
    number done and the total; a source that was decoded before is only hashed.

    Raises InputError where the source cannot be used; one error names the unreadable images, which `skip_bad`
    leaves out instead, as it does rows of a table without an image. Raises WorkError where a download fails or the disk
    is full, and WorkError or OSError where the machine fails to read the source. None of them leaves partial files
    behind.
    """
    if image_size is not None:
        require_usable(image_size, "the requested image size")
    source = scan(spec, studies, columns, skip_bad=skip_bad)
    size = own_size(source.sizes) if image_size is None else Size(*image_size)
    require_usable(size, f"{spec}: the size of the images")
    return stored(source, size, fit, cache, skip_bad=skip_bad, step=step)


def scan(
    spec: str,
    studies: Collection[Path] = (),
    columns: Columns = NO_COLUMNS,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Return the source that `spec` names, without decoding its images; the arguments are those of `open_data`.

    `progress` is called while the files of a folder are hashed, with the number done and the total.

    Raises InputError where it cannot be used, and WorkError or OSError where the machine fails to read it.
    """
    require_source(spec, columns)
    if spec == BUILT_IN:
        return read_digits()
    if spec in KERAS_DATASETS:
        return read_keras(spec)
    path = _path(spec)
    if path.is_dir():
        return read_folder(path, spec, studies, progress)
    if is_table(path):
        return read_table(path, spec, columns, studies, skip_bad=skip_bad, progress=progress)
    return read_npz(path, spec)


def require_source(spec: str, columns: Columns) -> None:
    """Raise an InputError where `spec` names no data set, folder or file, or has no `columns`; nothing is read."""
    path = None if spec in NAMED else _path(spec)
    is_file = path is not None and not path.is_dir()
    if path is not None and is_file and not is_table(path) and path.suffix.lower() != ".npz":
        raise InputError(
            f"{spec} is a file; expected a folder with a subfolder of images for each class, a table of labels "
            f"({' '.join(ENDINGS)}), or an .npz file."
        )
    if columns.options and not (path is not None and is_file and is_table(path)):
        raise InputError(f"{' '.join(columns.options[:2])}: only a table has columns, and --data {spec} is none.")


def stands_here(spec: str) -> bool:
    """Whether the current folder has a folder or file by the name of a known data set, which may be meant instead."""
    return spec in NAMED and os.path.lexists(spec)


def require_clear(spec: str) -> None:
    """Raise an InputError where what was typed names a known data set as well as a folder or file that is here."""
    if not stands_here(spec):
        return
    kind = "folder" if Path(spec).is_dir() else "file"
    known = "omit --data for the digits that are built in" if spec == BUILT_IN else "start in another one for Keras's"
    raise InputError(
        f"--data {spec}: the current folder has a {kind} of that name: write ./{spec} for the {kind}, or {known}."
    )


def require_home(spec: str, home: Path, own: Collection[Path]) -> None:
    """Raise an InputError where a new study's home is the folder of images that `spec` names, or holds images of it.

    Its `own` folders are not searched.
    """
    if spec in NAMED:
        return
    path = _path(spec)
    if path.is_dir():
        require_apart(path, spec, home, own)
    elif is_table(path):
        require_no_images_in(home, path.parent, spec, own)


def _path(spec: str) -> Path:
    try:
        path = Path(spec).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError, ValueError):  # the name is too long, or `~` names an unknown user
        exists = False
    if not exists or not spec or spec.startswith("keras:"):
        raise InputError(_unknown(spec))
    if not is_utf8(spec):  # a study stores it as text, to find the images again
        raise InputError(f"{spec}: the path is not valid UTF-8; rename it, or use a link with another name.")
    return path


def _unknown(spec: str) -> str:
    """Return the error for a name or path that does not exist."""
    if "/" in spec or "\\" in spec or Path(spec).suffix:
        return f"{spec}: no such folder or file. Known names: {', '.join(NAMED)}."
    return (
        f"unknown data '{spec}': {nearest(spec, NAMED)}; or the path of a folder of images, a table of labels or an "
        ".npz file."
    )
