"""`lookstream` whose gateway has only uvicorn's own limits, and parses bodies of any size on the event loop."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import uvicorn
from starlette.types import Receive, Scope

from lookstream.__main__ import main
from producers.gateway import server
from producers.gateway.bodies import LEASE, BodyLease, BodyLimits
from producers.gateway.request_body import Parser


def plain_config(_table: object, **options: Any) -> uvicorn.Config:
    """uvicorn as it is: at its limit of connections it refuses everybody."""
    return uvicorn.Config(**options, limit_concurrency=1_000)


@asynccontextmanager
async def read_all(_bodies: BodyLimits, scope: Scope, receive: Receive, _address: str) -> AsyncIterator[Receive]:
    """Every body, at once and for as long as it takes."""
    scope[LEASE] = BodyLease()
    yield receive


async def parse(_parser: Parser, body: bytes) -> dict[str, Any]:
    """Parse on the event loop, at any size; invalid JSON is an internal error."""
    found: dict[str, Any] = json.loads(body)
    return found


if __name__ == "__main__":
    with (
        patch.object(server, "BoundedConfig", plain_config),
        patch.object(BodyLimits, "reading", read_all),
        patch.object(Parser, "fields", parse),
    ):
        main()
