"""MCP server: offers the tools to agents, over standard input and output or over HTTP."""

import base64
import hmac
import json
from collections.abc import Sequence
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.client.reply_router import NoAnswer
from infra.config.errors import BadInput
from infra.config.settings import McpSettings
from infra.fetching.address_policy import is_loopback
from producers.agents.tools import Tool
from schemas.failures import Unavailable

INSTRUCTIONS = (
    "A catalogue that is searched by look. First count_items says what there is; filters take its values. "
    "A confidence of .8 means that four of five such items are right. `no_match` is an answer: do not present "
    "items then. Search by a picture if the user has one."
)
MAX_REQUEST_BYTES = 2_000_000
"""Largest request over HTTP: a picture of 700 kB as base64, and the rest."""


def make_server(tools: Sequence[Tool], version: str) -> Server[Any]:
    """A server with these tools. A fault of the arguments is an answer with its reason, to be mended."""
    by_name = {tool.name: tool for tool in tools}

    async def list_tools(_context: object, _page: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_definition(tool) for tool in tools])

    async def call_tool(_context: object, call: types.CallToolRequestParams) -> types.CallToolResult:
        tool = by_name.get(call.name)
        if tool is None:
            return _failure(f"there is no tool {call.name}: use {', '.join(by_name)}")
        try:
            answer = await tool.run(tool.arguments.model_validate_json(json.dumps(call.arguments or {})))
        except ValidationError as error:
            return _failure(
                "; ".join(_reason(dict(each)) for each in error.errors(include_url=False, include_input=False))
            )
        except (BadInput, Unavailable, NoAnswer) as error:
            return _failure(str(error))
        if isinstance(answer, bytes):
            image = types.ImageContent(type="image", data=base64.b64encode(answer).decode(), mime_type="image/png")
            return types.CallToolResult(content=[image])
        data = answer.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        text = types.TextContent(type="text", text=json.dumps(data, ensure_ascii=False))
        return types.CallToolResult(content=[text], structured_content=data)

    return Server(
        "lookstream",
        version=version,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(server: Server[Any]) -> None:
    """Serve one client on standard input and output, until it closes them."""
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


async def serve_http(server: Server[Any], settings: McpSettings) -> None:
    """Serve over HTTP at /mcp until a signal; raises BadInput if others could reach it without a token."""
    if settings.token is None and not is_loopback(settings.host):
        raise BadInput(
            f"agents everywhere could reach {settings.host}: set LOOKSTREAM_MCP_TOKEN, or listen on 127.0.0.1"
        )
    config = uvicorn.Config(
        make_http_app(server, settings), settings.host, settings.port, log_level="warning", limit_concurrency=64
    )
    await uvicorn.Server(config).serve()


def make_http_app(server: Server[Any], settings: McpSettings) -> ASGIApp:
    """The server as an application at /mcp; with a token, requests must carry it."""
    app: Starlette = server.streamable_http_app(host=settings.host, max_request_body_size=MAX_REQUEST_BYTES)
    return app if settings.token is None else _TokenGuard(app, settings.token.get_secret_value())


class _TokenGuard:
    """Refuses requests without `Authorization: Bearer TOKEN`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                headers = {"WWW-Authenticate": "Bearer"}
                await PlainTextResponse("send the token as Authorization: Bearer ...", 401, headers)(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


def _definition(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=" ".join((tool.arguments.__doc__ or "").split()),
        input_schema=tool.arguments.model_json_schema(),
        output_schema=None if tool.answer is None else tool.answer.model_json_schema(mode="serialization"),
        annotations=types.ToolAnnotations(read_only_hint=not tool.writes, open_world_hint=False),
    )


def _failure(reason: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=reason)], is_error=True)


def _reason(error: dict[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['msg']}" if place else str(error["msg"])
