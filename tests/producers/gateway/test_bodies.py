"""Bodies: their memory, who waits for it, bodies that are not parsed, and how refused ones are read."""

import asyncio
import json
import socket
from functools import partial
from itertools import pairwise

import pytest

from producers.gateway.bodies import MAX_WAITING, BodyDrain, BodyPool, ReadRateLimit
from producers.gateway.problem_details import Problem
from producers.gateway.request_body import MAX_DEPTH, MAX_MARKS, parse_object
from tests.producers.conftest import png
from tests.producers.gateway.conftest import MakeClient

PARTS = 4
SIZE = 64 << 10
"""Of a refused body: its parts, and the bytes of each."""


def test_memory_goes_to_those_who_wait_in_their_order_and_to_one_address_no_more_than_half() -> None:
    async def order() -> list[str]:
        pool, served = BodyPool(100, wait_s=30), list[str]()

        async def read(name: str, address: str, size: int) -> None:
            lease = await pool.reserve(address, size)
            served.append(name)
            await asyncio.sleep(0)
            lease.release()
            lease.release()

        first, second = await pool.reserve("a", 50), await pool.reserve("b", 50)
        tasks = [asyncio.create_task(read(*one)) for one in (("a2", "a", 50), ("c", "c", 40), ("b2", "b", 10))]
        await asyncio.sleep(0)
        second.release()
        await asyncio.sleep(0.01)
        assert served == ["c", "b2"], "the address that has had its half waits"
        first.release()
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(order()) == ["c", "b2", "a2"]


def test_a_request_that_waits_too_long_for_memory_gets_503_and_leaves_the_queue() -> None:
    async def statuses() -> tuple[int, int]:
        pool = BodyPool(100, wait_s=0.05)
        lease = await pool.reserve("a", 100)
        with pytest.raises(Problem) as late:
            await pool.reserve("b", 1)
        lease.release()
        (await pool.reserve("b", 100)).release()
        return late.value.status, int(late.value.headers["Retry-After"])

    assert asyncio.run(statuses()) == (503, 5)


def test_who_leaves_while_waiting_takes_no_memory_along() -> None:
    async def leave() -> None:
        pool = BodyPool(100, wait_s=30)
        lease = await pool.reserve("a", 100)
        waiting = [asyncio.create_task(pool.reserve("b", 100)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Problem):
            await pool.reserve("b", 100)
        lease.release()  # the first of them has its memory now, and is ended before it can take it
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        (await pool.reserve("c", 100)).release()

    asyncio.run(leave())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b"[" * 19_000),
        (422, b"[" * 100_000),
        (422, b'{"a": [' + b"[]," * MAX_MARKS + b"[]]}"),
        (400, b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}"),
        (400, b'{"tenant": "a", "tenant": "b"}'),
        (400, b'{"filters": {"colour": 1, "colour": 2}}'),
        (400, b'{"top_k": NaN}'),
        (400, b'{"item_id": "\xff"}'),
        (400, '{"item_id": "a"}'.encode("utf-16")),
        (400, b'{"top_k": ' + b"9" * 5_000 + b"}"),
    ],
)
def test_json_that_is_too_wide_too_deep_or_ambiguous_is_refused(status: int, body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse_object(body)
    assert refused.value.status == status


def test_a_record_that_would_be_too_large_is_refused_with_its_size(make_client: MakeClient) -> None:
    client = make_client(record_bytes=100_000)
    item = {"item_id": "a", "tags": ["x" * 200] * 50, "attributes": {f"n{n}": "y" * 500 for n in range(50)}}
    pictures = [("pictures", (f"{n}.png", png() + bytes(40_000))) for n in range(2)]
    response = client.post("/v1/items", files=pictures, data={"item": json.dumps(item)})
    assert response.status_code == 413, response.text
    assert "100000" in response.json()["detail"]


def test_a_search_by_pictures_that_would_be_too_large_is_refused_too(make_client: MakeClient) -> None:
    client = make_client(record_bytes=100_000)
    response = client.post("/v1/search", files={"picture": ("a.png", png() + bytes(90_000))})
    assert response.status_code == 413, response.text


def test_those_who_read_large_bodies_share_one_rate() -> None:
    async def read_two() -> float:
        pace, began = ReadRateLimit(rate=1_000), asyncio.get_running_loop().time()
        await asyncio.gather(pace.wait(50), pace.wait(50))
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(read_two()) >= 0.099


class Reader(asyncio.Protocol):
    """A connection whose body is not read."""

    def __init__(self, name: str, drain: BodyDrain, order: list[str]) -> None:
        self._name, self._remainder, self._order = name, drain, order
        self.read, self.over = 0, asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._order.append(self._name)
        self.read += len(data)
        if self.read == PARTS * SIZE:
            self.over.set_result(None)
        else:
            self._remainder.add(self.transport)


async def read_both(names: str) -> tuple[list[str], list[int]]:
    """Who was read when, and how many bytes of each."""
    loop, drain, order = asyncio.get_running_loop(), BodyDrain(), list[str]()
    readers, senders, lines = [], [], []
    for name in names:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIZE)
        theirs.setblocking(False)
        _, reader = await loop.create_connection(partial(Reader, name, drain, order), sock=ours)
        readers.append(reader)
        senders.append(asyncio.create_task(loop.sock_sendall(theirs, bytes(PARTS * SIZE))))
        lines.append(theirs)
    await asyncio.gather(*senders, *(reader.over for reader in readers))
    for line in lines:
        line.close()
    for reader in readers:
        reader.transport.close()
    return order, [reader.read for reader in readers]


def test_two_bodies_are_read_in_turn_and_to_their_ends() -> None:
    order, read = asyncio.run(read_both("ab"))
    assert read == [PARTS * SIZE] * 2
    first_end = min(len(order) - order[::-1].index(name) for name in "ab")
    shared = order[:first_end]
    assert all(one != other for one, other in pairwise(shared[2:])), order


def test_a_connection_that_was_closed_meanwhile_holds_up_no_other() -> None:
    async def close_one() -> int:
        loop, drain, order = asyncio.get_running_loop(), BodyDrain(), list[str]()
        lines = [socket.socketpair() for _ in "ab"]
        readers = []
        for name, (ours, _theirs) in zip("ab", lines, strict=True):
            _, reader = await loop.create_connection(partial(Reader, name, drain, order), sock=ours)
            readers.append(reader)
            drain.add(reader.transport)
        readers[0].transport.abort()
        for _ours, theirs in lines:
            theirs.sendall(bytes(100))
        while not order:
            await asyncio.sleep(0)
        for _ours, theirs in lines:
            theirs.close()
        readers[1].transport.close()
        assert order == ["b"]
        return readers[1].read

    assert asyncio.run(close_one()) == 100
