"""The failures of an engine in another process: killed, owned twice, a full disk, unavailable."""

import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from pydantic import SecretStr

from infra.config.qdrant import QdrantSettings
from infra.config.settings import Settings
from infra.local.ports import find_free_port
from infra.qdrant.contract import EncoderDiffers, Patch, Point
from infra.qdrant.embedded.channel import address_of, bind, connect
from infra.qdrant.embedded.client import EmbeddedIndex, send_request
from infra.qdrant.embedded.owner_process import CHECK_SECONDS, IndexBusy, serve
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.embedded.storage import current_shard
from infra.qdrant.server.generation_register import open_server
from schemas.failures import Unavailable
from tests.chaos.processes import family

FINGERPRINT, SIZE = "test-encoder", 8
WIDE = 1_024
SLOW_SECONDS = 60.0
"""Copying a shard to a busy disk takes its time."""
"""Numbers a vector, so that the engine finds 3,000 of them worth a graph."""
Answer = TypeVar("Answer")


class Engine:
    """The embedded engine in a process of its own, which tests kill and start again on the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = address_of(folder)
        self.process = self.start()

    def start(self) -> SpawnProcess:
        self.process = get_context("spawn").Process(target=serve, args=(self.folder, self.address, 0), daemon=True)
        self.process.start()
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def client(self) -> EmbeddedIndex:
        return EmbeddedIndex(self.address)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose folder does not exist before it starts."""
    engine = Engine(tmp_path / "data" / "index")
    yield engine
    engine.kill()


def eventually(ask: Callable[[], Answer]) -> Answer:
    """The first answer that is not Unavailable, within 30 seconds."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def opened(engine: Engine) -> EmbeddedIndex:
    """A client whose index is open."""
    client = engine.client()
    eventually(lambda: client.open(FINGERPRINT, SIZE))
    return client


def points(count: int, size: int = SIZE, first: int = 1) -> list[Point]:
    """Points of as many items, each of its own version."""
    looks = np.random.default_rng(first).standard_normal((count, size)).astype(np.float32)
    return [
        Point(
            str(uuid.UUID(int=n)),
            {"item": f"t:{n}", "item_id": str(n), "tenant": "t", "version": n, "state": "live"},
            look,
        )
        for n, look in enumerate(looks, start=first)
    ]


def test_nothing_acknowledged_is_lost_when_the_engine_is_killed(engine: Engine) -> None:
    client = opened(engine)
    written = points(200)
    for half in (written[:100], written[100:]):
        before = client.count()
        for start in range(0, 100, 10):
            client.upsert(half[start : start + 10])
        engine.kill()
        with pytest.raises(Unavailable, match=r"the embedded index at .*socket cannot be reached"):
            client.count()
        engine.start()
        assert eventually(client.count) == before + 100
    stored = client.vectors([point.id for point in written])
    assert stored.keys() == {point.id for point in written}
    assert all(np.array_equal(stored[point.id], point.vector) for point in written if point.vector is not None)
    with pytest.raises(EncoderDiffers):
        client.open("another-encoder", SIZE)


def test_a_client_finds_an_engine_that_was_restarted_while_it_was_idle(engine: Engine) -> None:
    client, other = opened(engine), engine.client()
    client.upsert(points(3))
    engine.kill()
    engine.start()
    assert eventually(other.count) == 3
    assert client.count() == 3


def test_sigterm_ends_the_engine_with_code_0_and_keeps_everything(engine: Engine) -> None:
    opened(engine).upsert(points(10))
    engine.process.terminate()
    engine.process.join()
    assert engine.process.exitcode == 0
    shard = Shard(engine.folder, 0)
    assert shard.count() == 10
    shard.close()


def test_many_workers_open_and_write_at_once(engine: Engine) -> None:
    def work(part: list[Point]) -> None:
        client = opened(engine)
        client.upsert(part)
        client.close()

    written = points(80)
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(work, [written[n::8] for n in range(8)]))
    assert engine.client().count() == 80


def test_a_second_process_on_the_same_folder_is_refused(engine: Engine) -> None:
    opened(engine)
    with pytest.raises(IndexBusy, match=r"another process owns the index in .*index: .*LOOKSTREAM_DATA"):
        serve(engine.folder, engine.address)


def test_a_place_that_has_no_sockets_is_refused(tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 120)
    with pytest.raises(IndexBusy, match=r"cannot have a socket at .*another LOOKSTREAM_DATA folder"):
        serve(tmp_path / "index", too_long)


def test_an_engine_that_hangs_is_unavailable(tmp_path: Path) -> None:
    with bind(address_of(tmp_path)) as silent:
        silent.listen()
        client = EmbeddedIndex(address_of(tmp_path), timeout_s=0.05)
        with pytest.raises(Unavailable, match=r"no answer in 0\.05 s"):
            client.count()


def test_an_index_that_was_not_made_is_unavailable(engine: Engine) -> None:
    eventually(lambda: engine.client().flush())
    with pytest.raises(Unavailable, match="not made yet"):
        engine.client().count()


def test_nothing_is_written_without_free_space_and_searches_continue(tmp_path: Path) -> None:
    shard = Shard(tmp_path, 0)
    shard.open(FINGERPRINT, SIZE)
    shard.upsert(points(3))
    shard.close()
    full = Shard(tmp_path, 1 << 60)
    ids = [point.id for point in points(3)]
    writes: list[Callable[[], None]] = [
        lambda: full.upsert(points(4)),
        lambda: full.patch([Patch(ids[0], {"version": 9})]),
        lambda: full.remove({ids[0]: 9}),
    ]
    for write in writes:
        with pytest.raises(Unavailable, match=r"MB free .* make space"):
            write()
    assert full.count() == 3
    full.close()


@pytest.mark.long
def test_an_optimised_copy_takes_over_with_all_that_was_written_meanwhile(engine: Engine) -> None:
    client = engine.client()
    eventually(lambda: client.open(FINGERPRINT, WIDE))
    written = points(3_000, WIDE)
    for start in range(0, len(written), 500):
        client.upsert(written[start : start + 500])
    assert client.status().unindexed == 3_000
    client.optimise()
    later, until = list[Point](), time.monotonic() + 120
    while current_shard(engine.folder).name == "shard":
        assert time.monotonic() < until
        later += points(1, WIDE, first=10_000 + len(later))
        client.upsert(later[-1:])
        time.sleep(0.05)
    assert eventually(client.count) == 3_000 + len(later)
    status = client.status()
    assert status.unindexed <= len(later)
    assert not status.wanted
    assert not status.optimising
    vectors = client.vectors([point.id for point in later])
    assert all(np.array_equal(vectors[point.id], point.vector) for point in later if point.vector is not None)
    engine.kill()
    engine.start()
    assert eventually(client.count) == 3_000 + len(later)
    assert [path.name for path in engine.folder.glob("shard*")] == [current_shard(engine.folder).name]


def test_a_failed_optimisation_leaves_everything_unchanged(engine: Engine) -> None:
    client = opened(engine)
    client.upsert(points(3))
    client.optimise()
    until = time.monotonic() + 60
    while (status := client.status()).wanted or status.optimising:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert client.count() == 3
    assert current_shard(engine.folder).name == "shard"


def test_the_owner_ends_soon_when_the_process_that_it_waits_for_dies(engine: Engine) -> None:
    opened(engine).close()
    assert engine.process.pid is not None
    [_, child] = family(engine.process.pid)
    os.kill(child, signal.SIGSTOP)
    time.sleep(CHECK_SECONDS + 1)  # by now it has asked how the index is
    os.kill(child, signal.SIGKILL)
    engine.process.join(10)
    assert engine.process.exitcode == 1


def test_a_copy_cannot_take_over_before_the_shard_has_stopped(engine: Engine) -> None:
    opened(engine)
    with (
        connect(engine.address, SLOW_SECONDS) as line,
        pytest.raises(ValueError, match="after `hand_over`"),
    ):
        send_request(line, "take_over", str(engine.folder / "shard-1"))
    assert current_shard(engine.folder).name == "shard"


def test_a_wish_to_be_optimised_that_came_after_the_copy_is_handed_over(engine: Engine) -> None:
    client = opened(engine)
    with connect(engine.address, SLOW_SECONDS) as line:
        send_request(line, "copy", str(engine.folder / "shard-1"))
        client.optimise()
        assert send_request(line, "hand_over") is True


def test_the_shard_continues_when_its_successor_hangs_up(engine: Engine) -> None:
    client = opened(engine)
    with connect(engine.address, SLOW_SECONDS) as line:
        send_request(line, "copy", str(engine.folder / "shard-1"))
        send_request(line, "hand_over")
        waiting = EmbeddedIndex(engine.address, timeout_s=0.2)
        with pytest.raises(Unavailable, match="no answer"):
            waiting.count()
    client.upsert(points(2))
    assert client.count() == 2


def test_the_log_alone_brings_everything_back(tmp_path: Path) -> None:
    shard = Shard(tmp_path, 0)
    shard.open(FINGERPRINT, SIZE)
    shard.upsert(points(10))
    shard.flush()
    power_lost = tmp_path / "as it was at the last flush"
    shutil.copytree(tmp_path / "shard", power_lost)
    written = points(500)
    shard.upsert(written)
    shard.remove({written[0].id: 600})
    (tmp_path / "shard" / "wal" / "tmp-open-99").symlink_to("renamed meanwhile")
    assert shard.sync() > 0
    (tmp_path / "shard" / "wal" / "tmp-open-99").unlink()
    shutil.rmtree(power_lost / "wal")
    shutil.copytree(tmp_path / "shard" / "wal", power_lost / "wal")
    found = Shard(tmp_path, 0, power_lost)
    assert found.count() == shard.count() == 499
    assert found.vectors([point.id for point in written]).keys() == {point.id for point in written[1:]}
    for one in (found, shard):
        one.close()


def test_a_shard_that_was_only_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "shard.new" / "segments").mkdir(parents=True)
    shard = Shard(tmp_path, 0)
    shard.open(FINGERPRINT, SIZE)
    assert shard.count() == 0
    shard.close()


def test_a_server_that_is_not_there_is_unavailable_in_one_sentence_without_its_key() -> None:
    port = find_free_port(0)
    qdrant = QdrantSettings(
        url=f"https://user:password@127.0.0.1:{port}", grpc_port=port, api_key=SecretStr("secret"), timeout_s=2
    )
    index = open_server(Settings(qdrant=qdrant))
    with pytest.raises(
        Unavailable, match=rf"127\.0\.0\.1:{port} cannot be reached .*LOOKSTREAM_QDRANT_URL"
    ) as away:
        index.open(FINGERPRINT, SIZE)
    assert not any(word in str(away.value) for word in ("secret", "password", "\n"))
    index.close()
