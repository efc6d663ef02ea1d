"""Which index serves, written down on a Qdrant server."""

from collections.abc import Iterator
from functools import partial

import grpc
import pytest
from qdrant_client import QdrantClient, models

from infra.generations import FIRST, Generation, chosen
from infra.qdrant.server import ServerIndex
from infra.qdrant.server_collection import name_of
from infra.qdrant.server_register import ServerRegister
from infra.settings import Qdrant
from schemas.failures import Unavailable

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


class Clock:
    """A time of ours."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_written_down_is_read_by_others_a_moment_later(client: QdrantClient) -> None:
    clock = Clock()
    ours, theirs = (ServerRegister(client, "shop", encoder, clock) for encoder in ("best", "another"))
    assert theirs.read().serving == Generation(FIRST, "another")
    ours.write(ours.read().begun("fast"))
    assert ours.read().other == Generation(2, "fast")
    assert theirs.read().other is None
    clock.now = 0.3
    assert theirs.read() == ours.read()
    assert theirs.read().serving == Generation(FIRST, "best")


def test_of_two_who_write_at_once_one_is_told_so(client: QdrantClient) -> None:
    clock = Clock()
    ours, theirs = (ServerRegister(client, "shop", "best", clock) for _ in range(2))
    before = ours.read(), theirs.read()
    ours.write(before[0].begun("fast"))
    with pytest.raises(Unavailable, match="another command has changed"):
        theirs.write(before[1].begun("balanced"))
    assert ours.read().other == Generation(2, "fast")


def test_a_server_that_is_away_for_a_moment_changes_nothing_and_for_longer_it_is_told(
    client: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    register = ServerRegister(client, "shop", "best", clock)
    register.write(register.read().begun("fast"))

    def away(*_arguments: object, **_named: object) -> None:
        raise grpc.RpcError

    monkeypatch.setattr(client, "retrieve", away)
    clock.now = 1.0
    assert register.read().other == Generation(2, "fast")
    clock.now = 2.0
    with pytest.raises(Unavailable, match="LOOKSTREAM_QDRANT_URL"):
        register.read()


def test_each_index_has_a_collection_and_a_dropped_one_is_reached_no_more(client: QdrantClient) -> None:
    clock = Clock()
    register = ServerRegister(client, "lookstream", "best", clock)
    first, second, serving = (ServerIndex(client, Qdrant(), partial(chosen, register, n)) for n in (1, 2, None))
    first.open("a:1", 4)
    register.write(register.read().begun("fast"))
    second.open("b:1", 8)
    assert [index.status().fingerprint for index in (first, second, serving)] == ["a:1", "b:1", "a:1"]
    register.write(register.read().switched(0.0))
    assert serving.status().fingerprint == "b:1"
    assert {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases} == {
        "lookstream": "lookstream-2"
    }
    register.write(register.read().dropped())
    register.forget(1)
    assert not client.collection_exists("lookstream-1")
    with pytest.raises(Unavailable, match="there is no index 1"):
        first.count()
    assert second.count() == 0


def test_a_collection_of_the_name_itself_stays_the_first_and_is_never_given_an_alias(client: QdrantClient) -> None:
    look = {"look": models.VectorParams(size=4, distance=models.Distance.DOT)}
    client.create_collection("lookstream", vectors_config=look)
    register = ServerRegister(client, "lookstream", "best", Clock())
    ServerIndex(client, Qdrant()).open("a:1", 4)
    assert name_of(client, "lookstream", 1) == "lookstream"
    register.write(register.read().begun("fast"))
    ServerIndex(client, Qdrant(), lambda: 2).open("b:1", 4)
    register.write(register.read().switched(0.0))
    assert client.get_aliases().aliases == []
