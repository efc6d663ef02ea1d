"""Fixtures for the parts of a worker: the index in memory, the quick encoder, and an outbox instead of Kafka."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.search_handler import SearchHandler
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look_vector import look_size
from infra.config.images import ImageSettings
from infra.config.qdrant import QdrantSettings
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from infra.fetching.fetcher import ImageFetcher
from infra.images.decode import DecodeLimits
from infra.kafka import OutgoingRecord
from infra.qdrant.contract import Index
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.server.index import ServerIndex
from schemas.envelope import Body, Event
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_RESULTS
from tests.qdrant_server import in_memory


@dataclass
class Outbox:
    """A sink that records the sent events."""

    sent: list[tuple[str, str, Event, int | None]] = field(default_factory=list)

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        self.sent.append((topic, key, event, partition))

    def send_record(self, record: OutgoingRecord) -> None:
        raise AssertionError("a handler sends events, only the loop sends records")

    def flush(self) -> None:
        """Nothing to flush: sent events are in the list at once."""

    def bodies(self, topic: str) -> list[Body]:
        return [event.body for sent_to, _, event, _ in self.sent if sent_to == topic]


def answer_to(handler: SearchHandler, outbox: Outbox, **fields: object) -> SearchResult:
    """The answer to one request; best effort, unless the fields say otherwise."""
    outbox.sent.clear()
    request = SearchRequest.model_validate({"request_id": "q", "strict": False, **fields}, strict=False)
    assert handler.handle([Event(request)]) == {}
    [result] = outbox.bodies(SEARCH_RESULTS)
    assert isinstance(result, SearchResult)
    return result


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture(scope="session")
def embedder() -> Iterator[ImageEmbedder]:
    with ThreadPoolExecutor(2) as pool:
        yield ImageEmbedder(open_encoder("fake", TorchSettings()), make_colour_extractor(), DecodeLimits(), pool)


@pytest.fixture
def images() -> Iterator[ImageFetcher]:
    fetcher = ImageFetcher(ImageSettings())
    yield fetcher
    fetcher.close()


@pytest.fixture
def pipeline(images: ImageFetcher, embedder: ImageEmbedder) -> ImagePipeline:
    return ImagePipeline(images.fetch_waves, embedder.embed, "fake:1")


@pytest.fixture
def confidence(index: Index, embedder: ImageEmbedder) -> Calibrator:
    """An uncalibrated calibrator with few null pictures, because the engine in memory is slow."""
    return Calibrator(index, embedder.embed, look_parts_of(embedder), nulls=NullEmbeddings(32))


def look_parts_of(embedder: ImageEmbedder) -> LookParts:
    return LookParts(embedder.encoder.object_size, embedder.encoder.style_size)


@pytest.fixture
def shard(tmp_path: Path, embedder: ImageEmbedder) -> Iterator[Shard]:
    """The embedded engine, of looks by the quick encoder."""
    made = Shard(tmp_path, 0)
    made.open("fake:1", look_size(embedder.encoder))
    yield made
    made.close()


@pytest.fixture
def index(embedder: ImageEmbedder) -> Iterator[Index]:
    made: Index = ServerIndex(in_memory(), QdrantSettings())
    made.open("fake:1", look_size(embedder.encoder))
    yield made
    made.close()
