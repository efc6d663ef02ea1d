"""What is still coming of unwanted bodies is read to its end, a part of each in turn."""

import asyncio
import socket
from functools import partial
from itertools import pairwise

from producers.gateway.body_drain import BodyDrain

PARTS = 4
SIZE = 64 << 10


class Reader(asyncio.Protocol):
    """A connection whose body nobody wants."""

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
