"""Connection limits: bound the number of connections, and the time that a client may take for a request.

uvicorn only limits the time between requests. Here a request's head must arrive in time, and a client that does not
read its response is disconnected. At the limit of connections, the oldest one in the least useful phase is closed,
so that a client with a request is always admitted.
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

from infra.config.gateway import GatewaySettings
from producers.gateway.bodies import BodyDrain
from producers.gateway.clients import UNKNOWN, ClientAddresses, rate_key
from producers.gateway.problem_details import MEDIA_TYPE, TITLES

LINGER_SECONDS = 2.0
"""How long the rest of a body is read after its response: closing the connection earlier loses the response."""
UNREAD_SECONDS = 30.0
"""How long a client may leave a response unread before it is disconnected."""


class Phase(IntEnum):
    """Phase of a connection, ordered by which one is closed first to make room for others."""

    UNUSED = 0
    """No request has arrived yet, or only a part of the first one's head."""
    IDLE = 1
    """Between requests, or in the head of a later one."""
    LINGERING = 2
    """The request was answered, and the rest of its body is still arriving."""
    BODY = 3
    """The request's body is arriving."""
    WORKING = 4
    """The request is complete and is being answered; never closed to make room."""


@dataclass
class ConnectionTable:
    """The open connections, oldest first; at a limit it closes one to admit another."""

    settings: GatewaySettings
    clients: ClientAddresses
    total: int
    drain: BodyDrain = field(default_factory=BodyDrain)
    _open: dict["BoundedProtocol", str] = field(default_factory=dict)
    _by_address: dict[str, dict["BoundedProtocol", None]] = field(default_factory=dict)
    """The open connections by client address, as `rate_key` returns it."""

    def admit(self, connection: "BoundedProtocol", host: str) -> bool:
        """Register a connection, and close another one at a limit; False if all others are WORKING."""
        key = rate_key(host)
        same_address = self._by_address.get(key, {})
        is_limited = not self.clients.is_proxy(host)
        if (
            is_limited
            and len(same_address) >= self.settings.connections_per_address
            and not _close_one(same_address)
        ):
            return False
        if len(self._open) >= self.total and not _close_one(self._open):
            return False
        self._open[connection] = key
        self._by_address.setdefault(key, {})[connection] = None
        return True

    def remove(self, connection: "BoundedProtocol") -> None:
        """Forget a closed connection; a second call has no effect."""
        key = self._open.pop(connection, None)
        if key is not None:
            del self._by_address[key][connection]
            if not self._by_address[key]:
                del self._by_address[key]


def _close_one(connections: Iterable["BoundedProtocol"]) -> bool:
    """Close the oldest connection of the lowest phase; False if all are WORKING."""
    oldest: BoundedProtocol | None = None
    for connection in connections:
        if oldest is None or connection.phase < oldest.phase:
            oldest = connection
        if oldest.phase is Phase.UNUSED:
            break
    if oldest is None or oldest.phase is Phase.WORKING:
        return False
    oldest.drop()
    return True


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration with BoundedProtocol and its table of connections."""

    def __init__(self, table: ConnectionTable, **options: Any) -> None:
        super().__init__(**options, http=BoundedProtocol)
        self.table = table


class BoundedProtocol(H11Protocol):
    """uvicorn's h11 protocol for one connection, with the limits of this module."""

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
        self._awaited: object = None
        self._unread_timer: asyncio.TimerHandle | None = None

    @property
    def phase(self) -> Phase:
        """Derived from the state of the h11 connection."""
        if self.conn.their_state is h11.IDLE:
            return Phase.UNUSED if self.cycle is None else Phase.IDLE
        if self.conn.their_state is not h11.SEND_BODY:
            return Phase.WORKING
        return Phase.LINGERING if self.cycle is not None and self.cycle.response_complete else Phase.BODY

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the connection, or refuse it with a 503."""
        super().connection_made(transport)
        if not self._table.admit(self, self.client[0] if self.client else UNKNOWN):
            self._refuse(503, "too many connections are open: try again in a moment")
            return
        _set_tcp_user_timeout(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the table."""
        self._table.remove(self)
        self._cancel_timers()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process received data, and set the deadline for what is missing."""
        super().data_received(data)
        self._set_deadline()
        self._drain_body()

    def on_response_complete(self) -> None:
        """Set the deadline for the next request, or for the rest of an unread body."""
        super().on_response_complete()
        self._set_deadline()
        self._drain_body()

    def pause_writing(self) -> None:
        """The client reads more slowly than the response is written: start the timer for unread responses."""
        super().pause_writing()
        self._unread_timer = self._unread_timer or self.loop.call_later(UNREAD_SECONDS, self.drop)

    def resume_writing(self) -> None:
        """The client has read: stop the timer for unread responses."""
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def send_400_response(self, msg: str) -> None:
        """Refuse data that is no HTTP with a problem response."""
        self._refuse(400, msg.rstrip("."))

    def drop(self) -> None:
        """Abort the connection, and discard unsent data."""
        self._table.remove(self)
        self._cancel_timers()
        self.transport.abort()

    def _set_deadline(self) -> None:
        """Set the deadline for the head of a request, or for the rest of a body after its response."""
        phase = self.phase
        has_started = phase is Phase.IDLE and bool(self.conn.trailing_data[0])
        awaited = (phase, self.cycle) if has_started or phase in (Phase.UNUSED, Phase.LINGERING) else None
        if awaited == self._awaited and not self.transport.is_closing():
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline, self._awaited = None, awaited
        if awaited is not None and not self.transport.is_closing():
            seconds = LINGER_SECONDS if phase is Phase.LINGERING else self._table.settings.request_s
            self._deadline = self.loop.call_later(seconds, self._expire)

    def _drain_body(self) -> None:
        if self.phase is Phase.LINGERING and self.transport.is_reading():
            self._table.drain.add(self.transport)

    def _expire(self) -> None:
        if self.phase is not Phase.LINGERING and self.conn.trailing_data[0]:
            self._refuse(408, f"the head of the request did not come within {self._table.settings.request_s:g} s")
        else:
            self.drop()

    def _refuse(self, status: int, message: str) -> None:
        """Send a problem unless a response has begun, and close the connection."""
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
        self._unread_timer = self._unread_timer or self.loop.call_later(LINGER_SECONDS, self.drop)

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._unread_timer):
            if timer is not None:
                timer.cancel()


def _set_tcp_user_timeout(transport: asyncio.Transport) -> None:
    """Let the kernel end a connection whose peer acknowledges or reads nothing for UNREAD_SECONDS."""
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
