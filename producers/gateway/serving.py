"""Listening: on loopback unless told otherwise, and then with a token."""

import signal
from types import FrameType

import uvicorn
from fastapi import FastAPI

from infra.addresses import is_loopback
from infra.console import BadInput
from infra.settings import Gateway

KEEP_ALIVE_SECONDS, GRACE_SECONDS = 30, 5
MOST_CONNECTIONS = 1_000


def refuse_open_door(settings: Gateway) -> None:
    """Raise BadInput for an address that others can reach, without a token."""
    if settings.token is None and not is_loopback(settings.host):
        raise BadInput(
            f"the gateway would be open to whoever reaches {settings.host}: set LOOKSTREAM_GATEWAY_TOKEN, "
            "or listen on 127.0.0.1"
        )


def run(server: uvicorn.Server) -> None:
    """Answer until SIGINT or SIGTERM, which are no failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _enough)  # uvicorn stops by its own handler, and then raises the signal again
    server.run()


def _enough(_number: int, _frame: FrameType | None) -> None:
    return None


def server_of(app: FastAPI, settings: Gateway) -> uvicorn.Server:
    """A server that listens where the settings say."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=MOST_CONNECTIONS,
    )
    return uvicorn.Server(config)
