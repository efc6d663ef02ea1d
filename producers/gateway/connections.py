"""Connections: how long a client may take to ask, how many may be open, and which one makes room for another.

uvicorn limits the time between requests and nothing else. Here a request's head must come in time, a client that
does not read its response is cut off, and at the limit the connection that has been of least use for longest is
closed, so that a client that asks is always let in.
"""

import asyncio
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from infra.config.settings import GatewaySettings
from producers.gateway.body_drain import BodyDrain
from producers.gateway.clients import UNKNOWN, ClientAddresses, rate_key
from producers.gateway.problem_details import MEDIA_TYPE, TITLES

LINGER_SECONDS = 2.0
"""How long the rest of a body is still read after its answer: a connection cut off earlier loses the answer."""
UNREAD_SECONDS = 30.0
"""How long a client may leave a response unread."""


class Phase(IntEnum):
    """What a connection is doing, the first to make room for others first."""

    UNUSED = 0
    """No request has come on it yet, or only a part of its head."""
    IDLE = 1
    """Between requests, or in the head of a later one."""
    LINGERING = 2
    """The request was answered, and its body is still coming."""
    BODY = 3
    """A body is coming."""
    WORKING = 4
    """The request is complete and is being answered: never closed for others."""


@dataclass
class ConnectionTable:
    """The open connections, oldest first, and room for new ones."""

    settings: GatewaySettings
    clients: ClientAddresses
    total: int
    drain: BodyDrain = field(default_factory=BodyDrain)
    _open: dict["BoundedProtocol", str] = field(default_factory=dict)
    _of: dict[str, dict["BoundedProtocol", None]] = field(default_factory=dict)
    """The same by their addresses."""

    def admit(self, connection: "BoundedProtocol", host: str) -> bool:
        """Count a connection, in the place of another one if need be; False when all others are at work."""
        key = rate_key(host)
        same = self._of.get(key, {})
        is_limited = not self.clients.is_proxy(host)
        if is_limited and len(same) >= self.settings.connections_per_address and not _close_one(same):
            return False
        if len(self._open) >= self.total and not _close_one(self._open):
            return False
        self._open[connection] = key
        self._of.setdefault(key, {})[connection] = None
        return True

    def remove(self, connection: "BoundedProtocol") -> None:
        """The connection is closed."""
        key = self._open.pop(connection, None)
        if key is not None:
            del self._of[key][connection]
            if not self._of[key]:
                del self._of[key]


def _close_one(connections: Iterable["BoundedProtocol"]) -> bool:
    """Close the oldest connection of the least useful phase; False when all are at work."""
    found: BoundedProtocol | None = None
    for connection in connections:
        if found is None or connection.phase < found.phase:
            found = connection
        if found.phase is Phase.UNUSED:
            break
    if found is None or found.phase is Phase.WORKING:
        return False
    found.drop()
    return True


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings with the table of connections."""

    def __init__(self, table: ConnectionTable, **options: Any) -> None:
        super().__init__(**options, http=BoundedProtocol)
        self.table = table


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, BoundedConfig)
        self._table = config.table
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of: object = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def phase(self) -> Phase:
        """What the connection is doing."""
        if self.conn.their_state is h11.IDLE:
            return Phase.UNUSED if self.cycle is None else Phase.IDLE
        if self.conn.their_state is not h11.SEND_BODY:
            return Phase.WORKING
        return Phase.LINGERING if self.cycle is not None and self.cycle.response_complete else Phase.BODY

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit it, or say that there are too many."""
        super().connection_made(transport)
        if not self._table.admit(self, self.client[0] if self.client else UNKNOWN):
            self._refuse(503, "too many connections are open: try again in a moment")
            return
        _give_up_on_silent_peer(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another one."""
        self._table.remove(self)
        self._cancel_timers()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and watch over what is still missing."""
        super().data_received(data)
        self._watch()
        self._wait_for_turn()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of a body that is not wanted."""
        super().on_response_complete()
        self._watch()
        self._wait_for_turn()

    def pause_writing(self) -> None:
        """The client reads more slowly than the response is written."""
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(UNREAD_SECONDS, self.drop)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, as a problem like any other."""
        self._refuse(400, msg.rstrip("."))

    def drop(self) -> None:
        """Cut the connection off, with whatever is still to be sent."""
        self._table.remove(self)
        self._cancel_timers()
        self.transport.abort()

    def _watch(self) -> None:
        """Set the time by which the head of a request, or the rest of an unwanted body, must have come."""
        phase = self.phase
        has_begun = phase is Phase.IDLE and bool(self.conn.trailing_data[0])
        waits = (phase, self.cycle) if has_begun or phase in (Phase.UNUSED, Phase.LINGERING) else None
        if waits == self._deadline_of and not self.transport.is_closing():
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline, self._deadline_of = None, waits
        if waits is not None and not self.transport.is_closing():
            seconds = LINGER_SECONDS if phase is Phase.LINGERING else self._table.settings.request_s
            self._deadline = self.loop.call_later(seconds, self._expire)

    def _wait_for_turn(self) -> None:
        if self.phase is Phase.LINGERING and self.transport.is_reading():
            self._table.drain.add(self.transport)

    def _expire(self) -> None:
        if self.phase is not Phase.LINGERING and self.conn.trailing_data[0]:
            self._refuse(408, f"the head of the request did not come within {self._table.settings.request_s:g} s")
        else:
            self.drop()

    def _refuse(self, status: int, message: str) -> None:
        """Answer with a problem, where nothing was answered yet, and close the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.drop()
            return
        problem = json.dumps({"title": TITLES[status], "status": status, "detail": message}).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(problem))), ("connection", "close")]
        headers += [("retry-after", "1")] if status == 503 else []
        response = h11.Response(status_code=status, headers=headers)
        parts = (response, h11.Data(data=problem), h11.EndOfMessage())
        self.transport.write(b"".join(self.conn.send(part) or b"" for part in parts))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._unread = self._unread or self.loop.call_later(LINGER_SECONDS, self.drop)

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()


def _give_up_on_silent_peer(transport: asyncio.Transport) -> None:
    """Have the system end a connection whose peer acknowledges nothing, or reads nothing, for so long."""
    line = transport.get_extra_info("socket")
    if line is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
