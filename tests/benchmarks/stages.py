"""Each stage of the item path by itself."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

from PIL.Image import Image

from consumers.points.look_payload import look_payload
from consumers.points.payload import ItemState
from consumers.vision.colour import ColourExtractor, make_colour_extractor
from consumers.vision.contracts import Encoder, EncoderInput
from consumers.vision.crops import select_views
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from consumers.vision.look_vector import look_size
from consumers.vision.restoration import brighten, deblur
from infra.images.decode import DecodeLimits, decode, thumbnail
from infra.local.services import index_service
from infra.qdrant.contract import Point, SearchPlan
from infra.qdrant.embedded.channel import address_of
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.generations import FIRST, index_folder
from infra.qdrant.point_ids import point_id
from schemas.items import item_key
from tests.benchmarks.rounds import RATE, Measure
from tests.end_to_end.system import make_environment
from tests.service_process import run_service

BATCH = 8
UPSERT = 64
UPSERTS, SEARCHES = 4, 32
"""How often the short ones are done in a round, of which the median counts."""

PATIENCE_SECONDS = 60.0
"""How long a call waits for the index: a machine that does much else stalls it."""
PICTURE = "ms/picture"

Shots = Sequence[Path]
Thing = TypeVar("Thing")


@contextmanager
def own_index(folder: Path, fingerprint: str, size: int) -> Iterator[EmbeddedIndex]:
    """An embedded index in a process of its own, as `lookstream up` starts it, for vectors of `size`."""
    address = address_of(index_folder(folder, FIRST))
    with (
        run_service(index_service(address), make_environment(folder, {})),
        closing(EmbeddedIndex(address, PATIENCE_SECONDS)) as index,
    ):
        index.open(fingerprint, size)
        yield index


@dataclass(frozen=True, eq=False)
class Bench:
    """The data of the stages: picture files, the encoder's inputs and looks of them, and an index."""

    encoder: Encoder
    colours: ColourExtractor
    pictures: Sequence[bytes]
    images: Sequence[Image]
    """The same, decoded."""
    inputs: Sequence[EncoderInput]
    looks: Sequence[Look]
    index: EmbeddedIndex

    def see(self, _round: int) -> float:
        """Milliseconds a picture, on one thread, for all that comes before the network."""
        return self._each(lambda one: see(one, self.encoder, self.colours), self.pictures)

    def decode(self, _round: int) -> float:
        """Milliseconds a picture, on one thread, from bytes to pixels."""
        return self._each(lambda one: decode(one, DecodeLimits()), self.pictures)

    def colour(self, _round: int) -> float:
        """Milliseconds a picture, on one thread, for its colours."""
        return self._each(self.colours.extract, self.images)

    def prepare(self, _round: int) -> float:
        """Milliseconds a picture, on one thread, for the encoder's input."""
        return self._each(lambda image: show(image, self.encoder), self.images)

    def restore(self, _round: int) -> float:
        """Milliseconds a picture, on one thread, to restore dark and blurred photos of queries."""
        return self._each(lambda image: deblur(brighten(image)), self.images)

    def _each(self, work: Callable[[Thing], object], things: Sequence[Thing]) -> float:
        return _seconds(lambda: [work(one) for one in things]) * 1000 / self.count

    def encode(self, few: int) -> Callable[[int], float]:
        """Measures pictures a second, `few` of them at once."""
        batches = [self.inputs[n : n + few] for n in range(0, self.count, few)]
        return lambda _round: self.count / _seconds(lambda: [self.encoder.run(batch) for batch in batches])

    def upsert(self, number: int) -> float:
        """Milliseconds for UPSERT new points in one call."""
        batches = [self.points(f"upsert-{number}-{n}", UPSERT) for n in range(UPSERTS)]
        return statistics.median(_seconds(partial(self.index.upsert, few)) for few in batches) * 1000

    def search(self, _round: int) -> float:
        """Milliseconds for one search among all pictures."""
        plans = [SearchPlan(look.vector, "held") for look in islice(cycle(self.looks), SEARCHES)]
        return statistics.median(_seconds(partial(self.index.search, [plan])) for plan in plans) * 1000

    def points(self, tenant: str, count: int) -> list[Point]:
        """So many points of a tenant, with the looks of the pictures in turn."""
        turns = islice(cycle(zip(self.pictures, self.looks, strict=True)), count)
        return [_point(tenant, n, look, self.encoder.fingerprint) for n, (_, look) in enumerate(turns)]

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self.pictures)


def see(data: bytes, encoder: Encoder, colours: ColourExtractor) -> EncoderInput:
    """The work of `ImageEmbedder` on one picture before the network runs."""
    limits = DecodeLimits()
    image = decode(data, limits).image
    thumbnail(image, limits.thumbnail)
    colours.extract(image)
    return show(image, encoder)


def show(image: Image, encoder: Encoder) -> EncoderInput:
    """The encoder's input of a picture."""
    focus = select_views(image)
    return EncoderInput(tuple(encoder.prepare(image, box) for box in focus.boxes), focus.studio)


@contextmanager
def open_bench(shots: Shots, encoder: Encoder, folder: Path) -> Iterator[Bench]:
    """Prepare the data of the stages from picture files; the index lies in `folder`."""
    colours = make_colour_extractor()
    pictures = [shot.read_bytes() for shot in shots]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        looked = ImageEmbedder(encoder, colours, DecodeLimits(), pool).embed(pictures)
    looks = [look for look in looked if isinstance(look, Look)]
    assert len(looks) == len(pictures), "every drawn picture can be used"
    images = [decode(data, DecodeLimits()).image for data in pictures]
    inputs = [show(image, encoder) for image in images]
    with own_index(folder, encoder.fingerprint, look_size(encoder)) as index:
        bench = Bench(encoder, colours, pictures, images, inputs, looks, index)
        index.upsert(bench.points("held", bench.count))
        yield bench


def stage_measures(bench: Bench) -> dict[str, Measure]:
    """The stages of the item path."""
    return {
        "decode": Measure("decode; one thread", PICTURE, bench.decode),
        "colour": Measure("colours; one thread", PICTURE, bench.colour),
        "prepare": Measure("preprocess; one thread", PICTURE, bench.prepare),
        "restore": Measure("restore a photo of a query; one thread", PICTURE, bench.restore),
        "see": Measure("these and a thumbnail; one thread", PICTURE, bench.see),
        "encode_1": Measure("encode, 1 at once", RATE, bench.encode(1)),
        "encode_8": Measure(f"encode, {BATCH} at once", RATE, bench.encode(BATCH)),
        "upsert_64": Measure(f"write {UPSERT} points", "ms", bench.upsert),
        "search_1": Measure(f"one search among {bench.count} points", "ms", bench.search),
    }


def _point(tenant: str, n: int, look: Look, encoder: str) -> Point:
    """A point with as much payload as the index worker gives it."""
    plain = {"item": item_key(tenant, f"p{n}"), "item_id": f"p{n}", "tenant": tenant, "source": "catalog", "n": 0}
    state = ItemState(1, True, "0" * 32, {"title": f"Product {n}"})
    made = {"version": 1, "encoder": encoder, "sha256": "0" * 64, **look_payload(look)}
    return Point(point_id(tenant, f"p{n}", 0), {**plain, **state.payload(), **made}, look.vector)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
