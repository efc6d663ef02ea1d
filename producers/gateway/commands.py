"""Gateway command: `lookstream gateway` runs the HTTP gateway."""

from typing import Annotated

import typer

from infra.console import report_errors

app = typer.Typer()


@app.command("gateway")
def gateway(
    port: Annotated[int | None, typer.Option(help="Port to listen on, before the setting.")] = None,
) -> None:
    """Serve the HTTP API over Kafka until Ctrl-C; LOOKSTREAM_GATEWAY_* configure it."""
    from contextlib import ExitStack

    from infra.config.settings import read_settings
    from infra.observability.logging import configure_logs
    from infra.observability.redaction import redaction
    from producers.gateway.app import make_gateway_app
    from producers.gateway.clients import ClientAddresses
    from producers.gateway.compose import open_gateway_parts, system_check
    from producers.gateway.middleware import GuardSettings
    from producers.gateway.server import make_server, require_token, run

    with report_errors(), ExitStack() as stack:
        settings = read_settings()
        if port is not None:
            settings = settings.with_port("gateway", port)
        require_token(settings.gateway)
        configure_logs(settings.logs, "gateway", redaction(settings))
        parts = open_gateway_parts(settings, stack)
        guard = GuardSettings(settings.gateway, settings.kafka.record_bytes, settings.metrics.token)
        app = make_gateway_app(guard, parts, system_check(settings))
        run(make_server(app, settings.gateway, ClientAddresses(settings.gateway), parts.background))
