"""How long a first reading of large photographs takes, against decoding them alone, and whether its memory is flat.

The photographs are the two that scikit-learn ships, enlarged to 12 megapixels, with noise of their own, JPEGs of some
2.5 MB; a quarter lies on its side, as EXIF says. DISTINCT of them are written, and linked until there are PHOTOGRAPHS,
so all are read from the system's cache. They are decoded to the largest size that `convsearch run` offers of them in
the space `classic` without a limit of time.

*Decoding alone* is what anyone would write with Pillow, and as many threads: each file opened, decoded, turned upright
and made an array of RGB; as a draft of the scale that our reading takes too, and whole. *Reading* hashes all files,
reads their headers, decodes and resizes them, and writes the array. Each runs in a process of its own, in turns. What
else the machine does changes the processor time less than the seconds.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

import numpy as np
import psutil
from PIL import ExifTags, Image, ImageOps
from sklearn.datasets import load_sample_images

from convsearch.search.data.sizes import own_size
from convsearch.search.images.threads import THREADS
from convsearch.search.loop.input_sizes import Wanted, sizes_on_offer
from convsearch.search.sources.open import scan
from convsearch.search.sources.store import stored
from convsearch.search.system.memory import own_memory
from convsearch.spaces.definition import load
from convsearch.spaces.sizes import Size

PHOTOGRAPHS = int(os.environ.get("PHOTOGRAPHS", "2000"))
DISTINCT, HEIGHT, WIDTH = 100, 3024, 4032
NOISE, QUALITY = 5, 88  # the standard deviation of the noise; of the JPEG
ON_ITS_SIDE = 6  # EXIF
ROUNDS = 3
EARLY = 0.1  # of the photographs: when memory is to have reached what it needs

_T = TypeVar("_T")


class Spent(NamedTuple):
    """Seconds of the clock and of the processor."""

    clock: float
    processor: float


class Read(NamedTuple):
    """A first reading: the time it took, of which that for hashes and headers; its largest memory early and in all."""

    spent: Spent
    scanning: float
    early: int
    most: int


def measure() -> list[tuple[str, str, str]]:
    """Return the ratios of the times, and the memory of the last reading."""
    with tempfile.TemporaryDirectory() as place:
        photographs = Path(place) / "photographs"
        _write(photographs)
        size = _size(photographs)
        drafts, wholes, reads = [], [], []
        for number in range(ROUNDS):
            drafts.append(_apart(_decode_alone, photographs, 2 * max(size)))
            reads.append(_apart(_read, photographs, Path(place) / f"data-{number}", size))
            wholes.append(_apart(_decode_alone, photographs, 0))
    what = f"a first reading of {PHOTOGRAPHS:,} photographs of 12 megapixels at {size}"
    last = reads[-1]
    memory = f"{last.most / last.early:.2f} times ({last.early / 1e6:.0f} MB, {last.most / 1e6:.0f} MB)"
    return [
        (f"{what}, against decoding drafts alone with {THREADS} threads", _ratios(reads, drafts), "1.10 times"),
        ("the same, against decoding them whole", _ratios(reads, wholes), ""),
        (f"its largest private memory, against that of the first {EARLY:.0%}", memory, "flat"),
    ]


def _ratios(reads: list[Read], alone: list[Spent]) -> str:
    """Return the readings' time as a multiple of the other's, with the least and the most of single rounds."""
    clock = sorted(read.spent.clock / spent.clock for read, spent in zip(reads, alone, strict=True))
    processor = median(read.spent.processor / spent.processor for read, spent in zip(reads, alone, strict=True))
    seconds, scanning = median(read.spent.clock for read in reads), median(read.scanning for read in reads)
    return (
        f"{median(clock):.2f} times ({clock[0]:.2f} to {clock[-1]:.2f}; processor time {processor:.2f} times; "
        f"{median(spent.clock for spent in alone):.1f} s, {seconds:.1f} s, {scanning:.1f} s of it for hashes)"
    )


def _apart(function: Callable[..., _T], *args: object) -> _T:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def _write(folder: Path) -> None:
    scenes = [Image.fromarray(scene).resize((WIDTH, HEIGHT)) for scene in load_sample_images().images]
    for number in range(PHOTOGRAPHS):
        # Each class has a scene, and photographs of its own.
        file = folder / f"scene-{number % len(scenes)}" / f"{number:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        if number >= DISTINCT:
            os.link(file.with_name(f"{number % DISTINCT:05}.jpg"), file)
            continue
        noise = np.random.default_rng(number).normal(0, NOISE, (HEIGHT, WIDTH, 1))
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = ON_ITS_SIDE if number % 8 < 2 else 1
        pixels = (np.asarray(scenes[number % len(scenes)]) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(file, quality=QUALITY, exif=exif)


def _size(photographs: Path) -> Size:
    """Return the size that a search would decode the photographs to."""
    source = scan(str(photographs))
    wanted = Wanted(source.depth, len(source.classes), PHOTOGRAPHS, None, None)
    return max(sizes_on_offer(load("classic"), own_size(source.sizes), wanted).sizes, key=lambda size: size.pixels)


def _decode_alone(photographs: Path, least: int) -> Spent:
    """Return the time of decoding all photographs, as drafts whose sides are at least so long; 0 for whole ones."""

    def decode(file: Path) -> int:
        with Image.open(file) as image:
            if least:
                image.draft(None, (least, least))
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB")).size

    files = sorted(photographs.rglob("*.jpg"))
    began = _now()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(decode, files):
            pass
    return _since(began)


def _read(photographs: Path, cache: Path, size: Size) -> Read:
    process, over = psutil.Process(), threading.Event()
    most, early = own_memory(process), 0

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            most = max(most, own_memory(process))

    def progress(done: int, total: int) -> None:
        nonlocal early
        if not early and done >= EARLY * total:
            early = most

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = _now()
    source = scan(str(photographs))
    scanned = _since(began)
    stored(source, size, "stretch", cache, skip_bad=False, step=lambda what: progress)
    spent = _since(began)
    over.set()
    watcher.join()
    return Read(spent, scanned.clock, early, most)


def _now() -> Spent:
    return Spent(time.perf_counter(), time.process_time())


def _since(began: Spent) -> Spent:
    now = _now()
    return Spent(now.clock - began.clock, now.processor - began.processor)
