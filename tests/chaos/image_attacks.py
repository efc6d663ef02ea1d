"""Image attacks: files that crash, bloat or stall decoders; the looks of good pictures must not change."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from infra.images.decoder_child import ProcessLimits
from schemas.failures import Code, Failure
from schemas.searches import Crop
from tests.chaos.attack_files import attacks, bomb, bombs, disguises, flips, healthy, largest
from tests.chaos.background import in_background
from tests.chaos.scenario import NO_BROKER, Report, Scenario, Size
from tests.fuzz.pictures import peak

FLIPS = 5_000
SECONDS = 5.0
LATE_SECONDS = 0.5
"""Tolerance for the detection of a timeout."""
WATCH_SECONDS = 0.01


@dataclass(frozen=True)
class Form:
    """How large bombs are, and what a process that decodes may have."""

    side: int
    memory: int
    pixels: int


FULL, SHORT = Form(17_000, 1 << 30, 100_000_000), Form(11_000, 384 << 20, 5_000_000)


@dataclass
class Watch:
    """Watches the resident memory of processes, in bytes; on Linux only."""

    decoders: DecodePool
    most: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Until it is over."""
        while not self.stop.wait(WATCH_SECONDS):
            self.most = max(self.most, *map(peak, self.decoders.pids()))


@dataclass
class Tally:
    """The results of the files."""

    files: int = 0
    bad_vectors: int = 0
    spoilt: int = 0
    """Good pictures whose looks changed."""
    slowest: float = 0
    passed: set[str] = field(default_factory=set)
    """Files from which a look was made."""
    crashed: int = 0

    def note(self, name: str, look: Look | Failure, seconds: float) -> None:
        """Note one file."""
        self.files += 1
        self.slowest = max(self.slowest, round(seconds, 2))
        if isinstance(look, Look):
            self.passed.add(name)
            self.bad_vectors += not np.isfinite(look.vector).all()
        else:
            self.crashed += look.code is Code.IMAGE_CRASHED


def run(_folder: Path, size: Size) -> Report:
    """Embed every file together with a good picture, by the embedder of a worker."""
    report = Report()
    form = FULL if size.share >= 1 else SHORT
    limits, good, tally = DecodeLimits(max_pixels=form.pixels), healthy()["JPEG"], Tally()
    decoders = DecodePool(2, ProcessLimits(SECONDS, form.memory))
    watch = Watch(decoders)
    with report.timed(), closing(decoders), ThreadPoolExecutor(2) as pool, in_background(watch.look, watch.stop):
        embedder = ImageEmbedder(
            open_encoder("fake", TorchSettings()), make_colour_extractor(), limits, pool, decoders.decode
        )
        [expected] = embedder.embed([good])
        [whole] = embedder.embed([largest(form.pixels)])
        flipped = (("flip", data) for data in flips(size.of(FLIPS), size.seed))
        for name, data in chain(attacks(form.side), flipped):
            started = time.monotonic()
            look, companion = embedder.embed([data, good])
            tally.note(name, look, time.monotonic() - started)
            tally.spoilt += not same(companion, expected)
    never = {name for name, _ in chain(bombs(20), disguises())}
    report.figures["files"] = tally.files
    report.expect("the largest picture is looked at", isinstance(whole, Look), True)
    report.expect("bombs and other formats that were let through", len(tally.passed & never), 0)
    report.expect("vectors that are not finite", tally.bad_vectors, 0)
    report.expect("good pictures beside them that look otherwise", tally.spoilt, 0)
    report.expect_at_most("slowest, s", tally.slowest, SECONDS + LATE_SECONDS)
    report.expect_at_most("largest process, MB", watch.most >> 20, form.memory >> 20)
    report.figures["processes ended"] = tally.crashed
    return report


def same(look: Look | Failure, expected: Look | Failure) -> bool:
    """Whether both are the same look."""
    return isinstance(look, Look) and isinstance(expected, Look) and np.array_equal(look.vector, expected.vector)


def control(_folder: Path, size: Size) -> Report:
    """One bomb without the limits of pixels and memory."""
    report = Report()
    form = FULL if size.share >= 1 else SHORT
    decoders = DecodePool(1, ProcessLimits(seconds=120, memory=1 << 40))
    watch = Watch(decoders)
    with report.timed(), closing(decoders), in_background(watch.look, watch.stop):
        part = Crop(x=0, y=0, w=0.01, h=0.01)
        decoders.decode(bomb(form.side), DecodeLimits(max_pixels=1 << 40), part)
        time.sleep(5 * WATCH_SECONDS)
    report.expect_at_most("largest process, MB", watch.most >> 20, form.memory >> 20)
    return report


SCENARIO = Scenario(
    name="image attacks",
    promise="No file harms a worker: 80 attacks and 5,000 damaged pictures crash nothing, take 5 s and 1 GB at "
    "most each, give no vector that is not finite, and good pictures beside them look as ever",
    run=run,
    control=control,
    brokers=NO_BROKER,
)
