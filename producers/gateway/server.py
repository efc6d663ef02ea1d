"""Listening: on loopback unless told otherwise, and then with a token; until a signal, or the failure of a part."""

import asyncio
import os
import resource
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from infra.config.settings import GatewaySettings
from infra.console import BadInput
from infra.fetching.address_policy import is_loopback
from infra.processes.garbage_collection import freeze_startup_objects
from producers.gateway.clients import ClientAddresses
from producers.gateway.connections import BoundedConfig, ConnectionTable

KEEP_ALIVE_SECONDS, GRACE_SECONDS = 30, 5
THREADS = 32
"""For calls that wait: more than can wait for one part that is away, so that the others are still asked."""
WAITING_CONNECTIONS, ACCEPTED_AT_ONCE = 2_048, 32
"""Connections that may wait to be accepted, and that are accepted before those that are open have their turn."""
OTHER_FILES = 256
"""File descriptors for everything but connections."""


class Background(Protocol):
    """Something that works in a thread of its own."""

    @property
    def failure(self) -> BaseException | None:
        """What has ended it; None while it works."""


class Server(uvicorn.Server):
    """Serves until it is told to end, or until a part of the gateway has failed."""

    def __init__(self, config: uvicorn.Config, parts: Sequence[Background] = ()) -> None:
        super().__init__(config)
        self._parts = parts

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "gateway"))
        await super().startup(sockets)
        for line in (line for server in self.servers for line in server.sockets):
            # asyncio accepts as many connections in one go as may wait, and fewer should be accepted than may wait.
            with socket.socket(fileno=os.dup(line.fileno())) as same:
                same.listen(WAITING_CONNECTIONS)

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; asked ten times a second."""
        return await super().on_tick(counter) or any(part.failure is not None for part in self._parts)

    def raise_failure(self) -> None:
        """Raise what has ended a part, if something has."""
        for part in self._parts:
            if part.failure is not None:
                raise part.failure


def refuse_open_door(settings: GatewaySettings) -> None:
    """Raise BadInput for an address that others can reach, without a token."""
    if settings.token is None and not settings.tokens and not is_loopback(settings.host):
        raise BadInput(
            f"the gateway would be open to whoever reaches {settings.host}: set LOOKSTREAM_GATEWAY_TOKENS, "
            "or listen on 127.0.0.1"
        )


def run(server: Server) -> None:
    """Answer until SIGINT or SIGTERM, which are no failure; raises what ended a part of the gateway."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)  # uvicorn stops by its own handler, and then raises the signal again
    freeze_startup_objects()
    server.run()
    server.raise_failure()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return None


def server_of(
    app: FastAPI, settings: GatewaySettings, clients: ClientAddresses, parts: Sequence[Background] = ()
) -> Server:
    """A server that listens where the settings say."""
    config = BoundedConfig(
        ConnectionTable(settings, clients, min(settings.connections, _descriptors() - OTHER_FILES)),
        app=app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # producers/gateway/clients.py looks at them, and knows whom to believe
        ws="none",
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config, parts)


def _descriptors() -> int:
    """How many files this process may open, raised as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(ValueError, OSError):  # macOS has a limit below the one that it names
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 2 * OTHER_FILES)
