"""MCP command: `lookstream mcp` serves the tools to an agent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from infra.config.errors import BadInput
from infra.console import command_options, report_errors
from producers.cli_options import TenantOption

app = typer.Typer()


@dataclass(frozen=True)
class McpOptions:
    """Options of `mcp`."""

    tenant: TenantOption = "default"
    pictures: Annotated[
        Path | None, typer.Option(help="Folder whose pictures an agent may search by; no others are read.")
    ] = None
    writes: Annotated[
        bool, typer.Option("--writes", help="Let agents add and remove standing searches; else they only read.")
    ] = False
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP at LOOKSTREAM_MCP_HOST and _PORT, not standard input.")
    ] = False


@app.command("mcp")
@command_options(McpOptions)
def mcp(options: McpOptions) -> None:
    """Serve the catalogue of a tenant to agents, as tools of the Model Context Protocol, until Ctrl-C."""
    import asyncio
    from contextlib import closing
    from importlib.metadata import version

    from infra.client.async_search_client import AsyncSearchClient
    from infra.config.settings import read_settings
    from infra.local_state import resolve_kafka_settings
    from infra.observability.logging import configure_logs
    from infra.observability.redaction import redaction
    from producers.watches.client import WatchClient

    if options.pictures is not None and not options.pictures.is_dir():
        raise BadInput(f"--pictures {options.pictures} is no folder: name the folder of the pictures")
    with report_errors():
        settings = read_settings()
        configure_logs(settings.logs, "mcp", redaction(settings))
        try:
            from producers.agents.server import make_server, serve_http, serve_stdio
            from producers.agents.tools import CatalogueTools
        except ImportError as error:
            raise BadInput(f"{error.name} is not installed: `pip install 'lookstream[mcp]'`") from None
        kafka = resolve_kafka_settings(settings)
        with closing(AsyncSearchClient(kafka)) as client:
            tools = CatalogueTools(client, WatchClient(kafka), options.tenant, options.pictures)
            server = make_server(tools.all(writes=options.writes), version("lookstream"))
            asyncio.run(serve_http(server, settings.mcp) if options.http else serve_stdio(server))
