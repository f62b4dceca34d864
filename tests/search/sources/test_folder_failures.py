"""Failures of the machine while a folder is read, and changes meanwhile."""

import errno
import hashlib
import os
import resource
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from image_files import cut, too_many_open_files
from refusals import refused

from convsearch.search.sources import open_data
from convsearch.spaces.errors import WorkError

SaveImage = Callable[..., Path]
MakeClasses = Callable[..., Path]

LARGE = (1024, 1024)  # at which not all of a hundred images are begun before the first progress is told


def at_first(act: Callable[[], object]) -> Callable[[int, int], None]:
    """Return what acts when the first progress is told, before the last images are begun."""
    left = [act]

    def progress(done: int, total: int) -> None:
        if left:
            assert done < total
            left.pop()()

    return progress


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE, errno.EHOSTDOWN, errno.EAGAIN])
def test_an_image_that_the_machine_cannot_read_at_the_moment_is_not_left_out_as_a_bad_one(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    digest = hashlib.file_digest

    def failing(stream: Any, kind: str) -> Any:
        if stream.name.endswith("cat/3.png"):
            raise OSError(number, os.strerror(number), stream.name)
        return digest(stream, kind)

    with monkeypatch.context() as disk:
        disk.setattr(hashlib, "file_digest", failing)
        with pytest.raises(OSError, match=rf"{os.strerror(number)}: .*cat/3\.png"):
            open_data(str(root), cache, skip_bad=True)
    assert len(open_data(str(root), cache, skip_bad=True)) == 8


def test_a_folder_that_the_machine_cannot_list_is_no_wrong_input(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3})
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        open_data(str(root), cache)


def test_a_failure_of_the_machine_while_images_are_decoded_is_not_one_of_the_cache(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 50, "dog": 50}, mode="L")
    with ExitStack() as held:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        # None at all: the threads at work would close theirs, and go on with those.
        fail = at_first(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1])))
        with pytest.raises(WorkError, match=rf"^{root}: the images cannot be read: .*Too many open files") as error:
            open_data(str(root), cache, image_size=LARGE, skip_bad=True, step=lambda what: fail)
    assert str(cache) not in str(error.value)
    assert len(open_data(str(root), cache, image_size=LARGE)) == 100


@pytest.mark.parametrize("change", ["other pixels", "other pixels of the same size", "damage", "removed"])
def test_an_image_that_changes_between_its_hash_and_its_decoding_is_refused_by_its_name(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage, change: str
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 50, "dog": 50}, mode="L")
    last = root / "dog/9.png"

    def meddle() -> None:
        match change:
            case "other pixels":
                save_image(last, height=9)
            case "other pixels of the same size":
                content = bytearray(last.read_bytes())
                content[-20] ^= 1
                last.write_bytes(content)
                os.utime(last, (0, 0))  # a clock may be too coarse for what a test does in between
            case "damage":
                cut(last)
            case _:
                last.unlink()

    message = refused(root, cache, image_size=LARGE, skip_bad=True, step=lambda what: at_first(meddle))
    assert message.startswith(f"{root}: dog/9.png changed while it was read")
