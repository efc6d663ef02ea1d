"""The server of agents over HTTP: with a token nobody comes in without it, and without one only this machine."""

import asyncio
from collections.abc import Iterator
from threading import Thread

import httpx
import pytest
import uvicorn
from mcp import Client
from pydantic import SecretStr

from infra.config.errors import BadInput
from infra.config.settings import McpSettings
from infra.local.ports import LOOPBACK, find_free_port
from producers.agents.answers import WatchAnswer
from producers.agents.arguments import Arguments, WatchList
from producers.agents.server import make_http_app, make_server, serve_http
from producers.agents.tools import Tool

TOKEN = "correct horse"


async def no_watches(_given: Arguments) -> WatchAnswer:
    return WatchAnswer(active=())


TOOLS = [Tool("list_watches", WatchList, WatchAnswer, no_watches)]


@pytest.fixture(params=[TOKEN, None], ids=["token", "open"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server, with a token and without."""
    settings = McpSettings(port=find_free_port(8410), token=SecretStr(request.param) if request.param else None)
    app = make_http_app(make_server(TOOLS, "1"), settings)
    server = uvicorn.Server(uvicorn.Config(app, settings.host, settings.port, log_level="warning"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        pass
    yield f"http://{LOOPBACK}:{settings.port}/mcp"
    server.should_exit = True
    thread.join()


def test_only_the_token_opens_a_server_that_has_one(address: str, request: pytest.FixtureRequest) -> None:
    has_token = "token" in request.node.name.split("[")[1]
    statuses = [
        httpx.post(address, json={}, headers={"Authorization": f"Bearer {token}"} if token else {}).status_code
        for token in (None, "wrong", TOKEN)
    ]
    assert [status == 401 for status in statuses] == [has_token, has_token, False]


def test_another_host_needs_a_token() -> None:
    with pytest.raises(BadInput, match="LOOKSTREAM_MCP_TOKEN"):
        asyncio.run(serve_http(make_server(TOOLS, "1"), McpSettings(host="0.0.0.0")))


def test_a_page_of_another_host_cannot_call_a_server_of_this_machine(address: str) -> None:
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Host": "evil.example",
        "Accept": "application/json, text/event-stream",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert httpx.post(address, json=body, headers=headers).status_code in (403, 421)


def test_an_unknown_tool_is_told_the_others() -> None:
    async def ask() -> str:
        async with Client(make_server(TOOLS, "1")) as client:
            result = await client.call_tool("buy", {})
            assert result.is_error
            return str(result.content)

    assert "use list_watches" in asyncio.run(ask())
