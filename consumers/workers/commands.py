"""Commands of consumers: the workers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from consumers.runtime.lanes import Lanes
    from consumers.runtime.loop import WorkerLoop
    from consumers.runtime.shutdown import ShutdownSignal
    from infra.config.settings import Settings

    Build = Callable[[Settings, Path | None], AbstractContextManager[WorkerLoop | Lanes]]

app = typer.Typer()
worker = typer.Typer(help="The workers; `lookstream up` runs one of each.", no_args_is_help=True)
app.add_typer(worker, name="worker")

HOPELESS = 3
"""Exit code of a worker that no restart will mend: the encoder is missing, or not the index's own."""

HeartbeatFile = Annotated[Path | None, typer.Option(help="File to touch each turn, for health checks")]
MetricsPort = Annotated[
    int | None,
    typer.Option("--metrics", help="Port to tell metrics at, for LOOKSTREAM_METRICS_PORT; 0: none"),
]


@worker.command("index")
def index(
    heartbeat: HeartbeatFile = None,
    metrics: MetricsPort = None,
    generation: Annotated[
        int | None, typer.Option(help="Whose index to fill; the one that serves, unless `reindex` is under way.")
    ] = None,
) -> None:
    """Take item events, look at their pictures, and put them into the index."""
    from functools import partial

    from consumers.workers.index_worker import index_worker

    _work("index", partial(index_worker, generation=generation), heartbeat, metrics)


@worker.command("query")
def query(heartbeat: HeartbeatFile = None, metrics: MetricsPort = None) -> None:
    """Take search requests and answer them."""
    from consumers.workers.query_worker import query_worker

    _work("query", query_worker, heartbeat, metrics)


def _work(part: str, build: "Build", heartbeat: Path | None, metrics: int | None) -> None:
    """Build a worker and run it until a signal stops it."""
    from consumers.runtime.loop import DrainTimeout
    from consumers.runtime.shutdown import ShutdownSignal
    from infra.config.settings import read_settings
    from infra.console import complain, plain_errors
    from infra.encoder import EncoderUnavailable
    from infra.observability.host_info import give_way
    from infra.observability.logging import configure_logs
    from infra.observability.redaction import redaction
    from infra.processes.garbage_collection import freeze_startup_objects
    from infra.qdrant.contract import EncoderDiffers

    os.umask(0o077)  # what a worker writes is its user's alone
    stop = ShutdownSignal()
    _listen(stop)
    try:
        with plain_errors():
            settings = read_settings()
            if metrics is not None:
                settings.metrics.port = metrics
            configure_logs(settings.logs, part, redaction(settings))
            if part == "index":
                give_way(settings.worker.niceness)
            with build(settings, heartbeat) as worker:
                freeze_startup_objects()
                worker.run(stop)
    except (EncoderDiffers, EncoderUnavailable) as error:
        complain(str(error))
        raise typer.Exit(HOPELESS) from None
    except DrainTimeout as slow:
        complain(str(slow))
        os._exit(1)  # its thread would be waited for


def _listen(stop: "ShutdownSignal") -> None:
    """SIGTERM and Ctrl-C finish the batch in hand, a second one ends at once; SIGUSR1 drains, then ends."""
    import signal

    def now(_number: int, _frame: object) -> None:
        if stop.now:
            os._exit(1)
        stop.at_once()

    def when_idle(_number: int, _frame: object) -> None:
        stop.when_idle = True

    signal.signal(signal.SIGTERM, now)
    signal.signal(signal.SIGINT, now)
    signal.signal(signal.SIGUSR1, when_idle)
