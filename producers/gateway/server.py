"""HTTP server: run uvicorn with connection limits until a signal or the failure of a component.

It listens on loopback by default; any other address needs a token.
"""

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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.config.errors import BadInput
from infra.config.gateway import GatewaySettings
from infra.fetching.address_policy import is_loopback
from infra.processes.garbage_collection import freeze_startup_objects
from producers.gateway.clients import ClientAddresses
from producers.gateway.connections import BoundedConfig, ConnectionTable

KEEP_ALIVE_SECONDS, GRACE_SECONDS = 30, 5
THREADS = 32
"""Threads for blocking calls: more than can wait for one unavailable service, so that others are still called."""
LISTEN_BACKLOG, ACCEPT_BATCH = 2_048, 32
"""Connections that may wait to be accepted, and how many asyncio accepts before it serves the open ones."""
RESERVED_FILES = 256
"""File descriptors reserved for everything but connections."""


class Background(Protocol):
    """A component that runs in a thread of its own."""

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the thread; None while it runs."""


class Server(uvicorn.Server):
    """uvicorn server that also stops when a component of the gateway has failed."""

    def __init__(self, config: uvicorn.Config, parts: Sequence[Background] = ()) -> None:
        super().__init__(config)
        self._parts = parts

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, with a larger backlog than asyncio's batch of accepts."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "gateway"))
        await super().startup(sockets)
        for listener in (listener for server in self.servers for listener in server.sockets):
            # asyncio accepts a whole backlog in one go: it gets ACCEPT_BATCH, and the real backlog is set here.
            with socket.socket(fileno=os.dup(listener.fileno())) as duplicate:
                duplicate.listen(LISTEN_BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; uvicorn calls it ten times per second."""
        return await super().on_tick(counter) or any(part.failure is not None for part in self._parts)

    def raise_failure(self) -> None:
        """Raise the error of a failed component, if there is one."""
        for part in self._parts:
            if part.failure is not None:
                raise part.failure


def require_token(settings: GatewaySettings) -> None:
    """Raise BadInput if the gateway would listen on an address other than loopback without a token."""
    if settings.token is None and not settings.tokens and not is_loopback(settings.host):
        raise BadInput(
            f"the gateway would be open to everyone who reaches {settings.host}: set LOOKSTREAM_GATEWAY_TOKENS, "
            "or listen on 127.0.0.1"
        )


def run(server: Server) -> None:
    """Serve until SIGINT or SIGTERM, which are no failure; raises the error of a failed component."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)  # uvicorn stops in its own handler, and then raises the signal again
    freeze_startup_objects()
    server.run()
    server.raise_failure()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return None


def make_server(
    app: FastAPI, settings: GatewaySettings, clients: ClientAddresses, parts: Sequence[Background] = ()
) -> Server:
    """Create a server for the address and limits in the settings."""
    config = BoundedConfig(
        ConnectionTable(settings, clients, min(settings.connections, _raise_file_limit() - RESERVED_FILES)),
        app=_LoggedErrors(app),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # producers/gateway/clients.py reads them, and trusts configured proxies only
        ws="none",
        backlog=ACCEPT_BATCH,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config, parts)


class _LoggedErrors:
    """ASGI application that ends without an error when its handler of errors has answered and logged it.

    Starlette raises such an error again for the server, which would log its traceback a second time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except Exception:
            if not started:
                raise


def _raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard limit if possible, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(ValueError, OSError):  # macOS enforces a lower limit than the one that it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 2 * RESERVED_FILES)
