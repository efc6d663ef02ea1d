"""What does the verification of hits cost a search?

    python -m tests.benchmarks.verification [--data FOLDER] [--encoder best]

The same searches run with and without verification, in turn, on the embedded engine in a process of its own. Times
are those of the processor, of all threads of this process, because other work on the machine hardly changes them.
The fetch of stored keypoints waits for the engine, so it has wall time too. The parts are measured by themselves:
to find the keypoints of the query, to fetch those of the first hits, and to match them.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.points.look_payload import KEYPOINTS, keypoints_of
from consumers.quality.evaluation.in_process import Outbox, chunks, fetch_inline
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import parts_of
from consumers.scoring.verification import NO_VERIFICATION, VERIFIED_HITS, Verification
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder, look_size
from consumers.vision.keypoint_matching import agreement
from consumers.vision.keypoints import NO_KEYPOINTS, find_keypoints
from infra.config.settings import TorchSettings
from infra.console import report_errors
from infra.encoder import EncoderUnavailable, open_encoder
from infra.images.decode import DecodeLimits, decode
from infra.qdrant.contract import Index
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted
from schemas.searches import SearchRequest
from tests.benchmarks.stages import own_index
from tests.consumers.vision.packages import jpeg, package, photo

TENANT, ITEMS_AT_ONCE = "verified", 64
ALWAYS = Verification(searches=100, before=0.0, after=1.0)
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Cost:
    """Milliseconds of the processor a search: medians, and that of the differences between paired searches."""

    searches: int
    without: float
    verified: float
    difference: float
    extraction: float
    fetch: float
    fetch_wall: float
    matching: float


class FixedVerification(Calibrator):
    """A calibrator that always has the same verification."""

    def __init__(self, index: Index, embedder: ImageEmbedder, choice: Verification) -> None:
        super().__init__(index, embedder.embed, parts_of(embedder.encoder))
        self._choice = choice

    def verification(self, tenant: str) -> Verification:
        return self._choice


@dataclass(frozen=True)
class Bench:
    """An index that is filled, and a search handler without and one with verification."""

    index: Index
    outbox: Outbox
    handlers: Mapping[bool, SearchHandler]

    def search(self, picture: bytes, *, verified: bool) -> float:
        """Milliseconds of the processor of one search."""
        request = SearchRequest(
            request_id="q", tenant=TENANT, image=InlineImage(data=picture), intent="exact", strict=False
        )
        elapsed = _cpu_ms(lambda: self.handlers[verified].handle([Event(request)]))
        assert len(self.outbox.take()) == 1
        return elapsed

    def parts(self, picture: bytes, hits: Sequence[str]) -> tuple[float, float, float, float]:
        """Milliseconds to find keypoints, to fetch those of hits (processor and wall), and to match them."""
        image = decode(picture, DecodeLimits(thumbnail=0)).image
        found, stored = [NO_KEYPOINTS], []
        extraction = _cpu_ms(lambda: found.append(find_keypoints(image)))
        started = time.perf_counter()
        fetch = _cpu_ms(lambda: stored.append(self.index.payloads(hits, [KEYPOINTS])))
        wall = (time.perf_counter() - started) * 1000
        others = [keypoints_of(payload) or NO_KEYPOINTS for payload in stored[0].values()]
        matching = _cpu_ms(lambda: [agreement(found[-1], other) for other in others])
        return extraction, fetch, wall, matching


@contextmanager
def open_bench(folder: Path, encoder: str, pictures: Sequence[bytes]) -> Iterator[Bench]:
    """Index the pictures, each as an item, on an embedded engine whose files are in `folder`."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        embedder = ImageEmbedder(
            open_encoder(encoder, TorchSettings()), make_colour_extractor(), DecodeLimits(), pool
        )
        fingerprint = embedder.encoder.fingerprint
        with own_index(folder, fingerprint, look_size(embedder.encoder)) as index:
            pipeline, outbox = ImagePipeline(fetch_inline, embedder.embed, fingerprint), Outbox()
            choices = {False: NO_VERIFICATION, True: ALWAYS}
            calibrators = {on: FixedVerification(index, embedder, choice) for on, choice in choices.items()}
            enrichers = enrichers_of(index, calibrators[False])
            indexer = ItemIndexer(pipeline, index, enrichers, OutcomePublisher(outbox))
            items = [
                ItemUpserted(tenant=TENANT, item_id=f"p{n}", revision=1, images=(InlineImage(data=data),))
                for n, data in enumerate(pictures)
            ]
            for batch in chunks(items, ITEMS_AT_ONCE):
                assert indexer.handle([Event(item) for item in batch]) == {}
            outbox.take()
            replies = ReplyPublisher(outbox, fingerprint)
            handlers = {on: SearchHandler(pipeline, index, each, replies) for on, each in calibrators.items()}
            yield Bench(index, outbox, handlers)


def measure(bench: Bench, queries: Sequence[bytes], items: int) -> Cost:
    """Search by each query without and with verification, in alternating order, after one search to warm up."""
    for verified in (False, True):
        bench.search(queries[0], verified=verified)
    times: dict[bool, list[float]] = {False: [], True: []}
    for number, query in enumerate(queries):
        for verified in (False, True) if number % 2 else (True, False):
            times[verified].append(bench.search(query, verified=verified))
    hits = [point_id(TENANT, f"p{n}", 0) for n in range(min(VERIFIED_HITS, items))]
    parts = [bench.parts(query, hits) for query in queries]
    extraction, fetch, wall, matching = (statistics.median(column) for column in zip(*parts, strict=True))
    differences = [with_it - without for without, with_it in zip(times[False], times[True], strict=True)]
    return Cost(
        len(queries), statistics.median(times[False]), statistics.median(times[True]),
        statistics.median(differences), extraction, fetch, wall, matching,
    )  # fmt: skip


def _cpu_ms(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def _pictures(data: Path | None, count: int, queries: int) -> tuple[list[bytes], list[bytes]]:
    """The pictures of the items and of the queries: those of a folder, the last as queries, or drawn packages."""
    if data is None:
        return (
            [jpeg(package(number)) for number in range(count)],
            [jpeg(photo(package(number), number)) for number in range(queries)],
        )
    files = sorted(file for file in data.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
    return [file.read_bytes() for file in files[:count]], [file.read_bytes() for file in files[-queries:]]


def main(
    data: Annotated[Path | None, typer.Option(help="Folder with pictures; else packages are drawn")] = None,
    items: Annotated[int, typer.Option(help="Items in the index", min=1)] = 100,
    queries: Annotated[int, typer.Option(help="Searches, each without and with verification", min=1)] = 60,
    encoder: Annotated[str, typer.Option(help="As LOOKSTREAM_ENCODER")] = "best",
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure what the verification of hits costs a search."""
    pictures, searches = _pictures(data, items, queries)
    with (
        report_errors(EncoderUnavailable),
        tempfile.TemporaryDirectory(prefix="lookstream-bench-") as temporary,
        open_bench(Path(temporary), encoder, pictures) as bench,
    ):
        cost = measure(bench, searches, len(pictures))
    table = Table("ms of the processor a search, p50", "", title="lookstream bench: verification")
    for name, value in asdict(cost).items():
        table.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(table)
    if path:
        path.write_text(json.dumps(asdict(cost), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
