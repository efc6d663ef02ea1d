"""The whole path: a real `lookstream up`, the real ingest command, and searches one after another."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.kafka import TopicReader
from infra.local_state import LOCAL_SESSION_MS
from producers.demo.catalogue import Catalogue
from producers.demo.figures import LatencySpread, spread
from schemas.envelope import from_bytes
from schemas.items import InlineImage
from schemas.outcomes import ItemIndexed
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import ITEM_OUTCOMES
from tests.benchmarks.fresh_bytes import new
from tests.benchmarks.system_processes import as_outside_tests
from tests.chaos.brokers import second_kafka
from tests.end_to_end.system import System, make_environment

SILENCE_SECONDS = 60.0
"""Without a new searchable item for so long, a round is given up."""
WARM_SEARCHES = 3
PATIENCE_MS = 20_000
STEPS = ("queued", "fetched", "decoded", "encoded", "searched")


@contextmanager
def run_system(folder: Path, encoder: str, settings: Mapping[str, str] | None = None) -> Iterator[System]:
    """`lookstream up` on a data folder, with the settings of the local mode and more; stopped at the end."""
    # Tests run with a session timeout so short that a busy machine breaks it.
    own = {
        "LOOKSTREAM_ENCODER": encoder,
        "LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(LOCAL_SESSION_MS),
        **as_outside_tests(),
    }
    system = System(folder, make_environment(folder, {**own, **(settings or {})}))
    try:
        yield system.start()
    finally:
        if system.process is not None:
            system.stop()


def kafka_of(system: System) -> KafkaSettings:
    """How to reach the broker of a running system."""
    return second_kafka(system)


@dataclass(frozen=True)
class Ingested:
    """The result of the catalogue in one round; rates are pictures a second."""

    pictures: int
    """How many became searchable."""
    rate: float
    """From the first event made to the last picture searchable: whatever the walk waits for counts."""
    steady_rate: float | None
    """From the first batch searchable to the last; None when it was all one batch."""


def ingest(system: System, catalogue: Catalogue, number: int) -> Ingested:
    """Ingest the catalogue by command, as the tenant of this round, and wait until it is searchable."""
    tenant = tenant_of(number)
    with closing(TopicReader(kafka_of(system), ITEM_OUTCOMES)) as outcomes:
        place = ("--image-root", catalogue.folder, "--tenant", tenant)
        system.run("ingest", "catalog", catalogue.products_file, *place)
        done = _await(outcomes, tenant, len(catalogue.products))
    pictures = sum(one.images for one in done)
    begun = min(one.times.event_time for one in done if one.times.event_time)
    return Ingested(pictures, pictures / (max(_searchable(done)) - begun.timestamp()), _steady(done))


def tenant_of(number: int) -> str:
    """The tenant of a round: its items are new to the index."""
    return f"round-{number}"


def _await(outcomes: TopicReader, tenant: str, items: int) -> list[ItemIndexed]:
    """The outcomes of a tenant's items, at most this many; fewer when nothing came for long."""
    done: dict[str, ItemIndexed] = {}
    heard = time.monotonic()
    while len(done) < items and time.monotonic() - heard < SILENCE_SECONDS:
        record = outcomes.poll(0.2)
        body = from_bytes(record.value) if record is not None and record.value is not None else None
        if isinstance(body, ItemIndexed) and body.tenant == tenant:
            heard = time.monotonic()
            done[body.item_id] = body
    assert done, "items became searchable"
    return list(done.values())


def _steady(done: Sequence[ItemIndexed]) -> float | None:
    """The pictures of the first batch took their time before the clock started, so they do not count."""
    times = _searchable(done)
    later = sum(one.images for one, moment in zip(done, times, strict=True) if moment > min(times))
    return later / (max(times) - min(times)) if later else None


def _searchable(done: Sequence[ItemIndexed]) -> list[float]:
    return [one.times.searchable_at.timestamp() for one in done if one.times.searchable_at]


@dataclass(frozen=True)
class Searches:
    """Searches with casual photos, one after another: milliseconds at the client, and of each step."""

    sent: int
    ok: int
    whole: LatencySpread
    steps: dict[str, LatencySpread]


def time_searches(system: System, photos: Sequence[Path], tenant: str) -> Searches:
    """Search a tenant's items with each photo, after a few to warm up."""
    pictures = [photo.read_bytes() for photo in photos]
    with SearchClient(kafka_of(system)) as client:
        for picture in pictures[:WARM_SEARCHES]:
            _search(client, picture, tenant)
        timed = [_search(client, picture, tenant) for picture in pictures]
    results = [result for result, _ in timed]
    steps = {step: [float(getattr(result.times, step)) for result in results] for step in STEPS}
    # What no step of the worker covers: the request's way to Kafka, and the answer's way back.
    steps["elsewhere"] = [whole - sum(times) for (_, whole), *times in zip(timed, *steps.values(), strict=True)]
    ok = sum(result.status == "ok" for result in results)
    whole = spread([milliseconds for _, milliseconds in timed])
    return Searches(len(timed), ok, whole, {step: spread(times) for step, times in steps.items()})


def _search(client: SearchClient, picture: bytes, tenant: str) -> tuple[SearchResult, float]:
    """The answer, and the milliseconds that it took."""
    request = SearchRequest(
        request_id=uuid.uuid4().hex, tenant=tenant, image=InlineImage(data=new(picture)), deadline_ms=PATIENCE_MS
    )
    started = time.perf_counter()
    result = client.search(request)
    return result, (time.perf_counter() - started) * 1000
