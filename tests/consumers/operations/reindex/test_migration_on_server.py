"""Changing the encoder of an index on the Qdrant server of --qdrant, or on qdrant-client's own engine."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from grpc import StatusCode
from qdrant_client import QdrantClient
from rich.console import Console

from consumers.operations.reindex.migration import Migration
from consumers.runtime.lanes import Lanes
from consumers.runtime.loop import WorkerLoop
from consumers.runtime.shutdown import ShutdownSignal
from consumers.workers.index_worker import index_worker
from consumers.workers.query_worker import query_worker
from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.config.observability import LogSettings
from infra.config.qdrant import QdrantSettings
from infra.config.settings import Settings
from infra.kafka import EventSink
from infra.qdrant.server import generation_register as server_register
from infra.qdrant.server.nodes import Cluster
from schemas.envelope import Event
from schemas.items import InlineImage, ItemDeleted, ItemUpserted, item_key
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS
from tests.conftest import draw_disc
from tests.kafka.brokers import open_kafka
from tests.qdrant_server import in_memory, own_cluster, own_settings
from tests.refusing_qdrant import node_at, refusing

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
COLOURS = {"red": "#cc2222", "green": "#228833", "blue": "#2255cc"}


class Shared:
    """One engine for many clients and threads: a call at a time, and nobody closes it.

    For a missing collection it raises the error of a server.
    """

    def __init__(self, empty: QdrantClient) -> None:
        self._client = QdrantClient(":memory:")
        self._empty = empty
        self._turn = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)

        def call(*arguments: object, **named: object) -> Any:
            with self._turn:
                try:
                    return found(*arguments, **named)
                except ValueError as error:
                    if "not found" not in str(error):
                        raise
                return getattr(self._empty, name)(*arguments, **named)

        return call

    def close(self) -> None:
        """Others go on."""


@pytest.fixture(scope="module")
def kafka(kafka_server: str | None) -> Iterator[KafkaSettings]:
    with open_kafka() as kafka:
        yield kafka


@pytest.fixture
def qdrant(qdrant_server: str | None) -> QdrantSettings:
    settings = own_settings()
    return settings if settings.url else settings.model_copy(update={"url": "http://the.server:6333"})


@pytest.fixture
def cluster(
    qdrant_server: str | None, qdrant: QdrantSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    if qdrant_server:
        with own_cluster(qdrant) as cluster:
            yield cluster
    else:
        with refusing(StatusCode.NOT_FOUND) as server, node_at(server.port) as empty:
            shared = in_memory(cast("QdrantClient", Shared(empty.client)))
            monkeypatch.setattr(server_register, "reach_cluster", lambda _settings: shared)
            yield shared


@pytest.fixture
def settings(kafka: KafkaSettings, qdrant: QdrantSettings, tmp_path: Path) -> Settings:
    (tmp_path / "run").mkdir()
    return Settings(
        data=tmp_path,
        cache=tmp_path / "cache",
        encoder="fake",
        kafka=kafka,
        qdrant=qdrant,
        logs=LogSettings(level="error"),
    )


@contextmanager
def at_work(build: Callable[[], AbstractContextManager[WorkerLoop | Lanes]]) -> Iterator[None]:
    """A worker in a thread of its own."""
    stop, ready, troubles = ShutdownSignal(), threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            with build() as worker:
                ready.set()
                worker.run(stop)
        except BaseException as trouble:
            troubles.append(trouble)
            raise

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        stop.stop_now()
        thread.join(60)
    assert troubles == []


class Shop:
    """What a merchant and a visitor do."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._sink = EventSink(kafka)
        self._searches = SearchClient(kafka)

    def put(self, *items: str) -> None:
        for item in items:
            picture = InlineImage(data=draw_disc(COLOURS[item]))
            self._send(ItemUpserted(item_id=item, revision=time.time_ns() // 1_000, images=(picture,)))

    def delete(self, item: str) -> None:
        self._send(ItemDeleted(item_id=item, revision=time.time_ns() // 1_000))

    def search(self, colour: str) -> SearchResult:
        request = SearchRequest(
            request_id=f"q{time.time_ns()}", image=InlineImage(data=draw_disc(COLOURS[colour])), strict=False
        )
        return self._searches.search(request, after=self._sink)

    def close(self) -> None:
        self._searches.close()
        self._sink.close()

    def _send(self, body: ItemUpserted | ItemDeleted) -> None:
        self._sink.send(CATALOG_ITEMS, item_key(body.tenant, body.item_id), Event(body))
        self._sink.flush()


def wait_for(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.1)


def test_an_encoder_is_changed_gone_back_to_and_dropped_on_a_server(
    cluster: Cluster, kafka: KafkaSettings, settings: Settings
) -> None:
    name = settings.qdrant.collection
    with ExitStack() as stack:
        shop = stack.enter_context(closing(Shop(kafka)))
        change = stack.enter_context(closing(Migration(settings, Console(file=StringIO()))))
        stack.enter_context(at_work(lambda: index_worker(settings, None, generation=1)))
        stack.enter_context(at_work(lambda: query_worker(settings, None)))
        shop.put(*COLOURS)
        found = shop.search("red")
        assert (found.hits[0].item_id, found.encoder) == ("red", "fake:1")
        assert alias_of(cluster, name) == f"{name}-1"

        # As on a server: the command asks for the second index before its worker has made it.
        begun = stack.enter_context(ThreadPoolExecutor(1)).submit(change.begin, "fake2")
        wait_for(lambda: change.generations.other is not None, "the second index to be written down")
        [_, not_there_yet] = change.status()
        assert (not_there_yet["index"], not_there_yet["points"]) == (2, None)
        assert "or not yet" in str(not_there_yet["unavailable"])
        second = stack.enter_context(ExitStack())
        second.enter_context(at_work(lambda: index_worker(settings, None, generation=2)))
        serving, other = begun.result(60)
        assert change.fill(serving.index, other.index).missing == 0
        assert [side.first_hit_rate for side in change.weigh(serving, other, 3)] == [1.0, 1.0]
        assert change.switch().number == 2
        wait_for(lambda: shop.search("red").encoder == "fake:2", "the new encoder to answer")
        assert alias_of(cluster, name) == f"{name}-2"

        shop.delete("red")
        assert "red" not in {hit.item_id for hit in shop.search("red").hits}
        assert change.back().number == 1
        wait_for(lambda: shop.search("blue").encoder == "fake:1", "the old encoder to answer")
        assert {hit.item_id for hit in shop.search("red").hits} == {"blue", "green"}
        second.close()
        assert change.drop().number == 2
        assert not cluster.run(lambda client: client.collection_exists(f"{name}-2"))
        assert alias_of(cluster, name) == f"{name}-1"
        assert [one["index"] for one in change.status()] == [1]


def alias_of(cluster: Cluster, name: str) -> str:
    aliases = cluster.run(lambda client: client.get_aliases()).aliases
    return {alias.alias_name: alias.collection_name for alias in aliases}[name]
