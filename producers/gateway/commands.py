"""`lookstream gateway`: the HTTP door."""

import typer

from infra.console import plain_errors

app = typer.Typer()


@app.command("gateway")
def gateway() -> None:
    """Answer HTTP requests by asking over Kafka, until Ctrl-C; where it listens is in LOOKSTREAM_GATEWAY_*."""
    from contextlib import closing

    from infra.logs import configure_logs
    from infra.running import reach_kafka
    from infra.secrets import redaction
    from infra.settings import read_settings
    from producers.gateway.app import gateway_app
    from producers.gateway.asked import Searches
    from producers.gateway.asking import Asking
    from producers.gateway.searches import SearchDoor
    from producers.gateway.serving import refuse_open_door, run, server_of, system_check
    from producers.gateway.uploads import Uploads

    with plain_errors():
        settings = read_settings()
        refuse_open_door(settings.gateway)
        configure_logs(settings.logs, "gateway", redaction(settings))
        with closing(Asking(reach_kafka(settings))) as asking:
            door = SearchDoor(asking, Uploads(), Searches(), settings.gateway.in_flight)
            run(server_of(gateway_app(settings.gateway, door, system_check(settings)), settings.gateway))
