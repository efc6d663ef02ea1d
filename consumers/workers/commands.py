"""Commands: `lookstream worker index` and `lookstream worker query`."""

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

EXIT_ENCODER_ERROR = 3
"""Exit code when a restart cannot help: the encoder is missing, or is not the one of the index."""

HeartbeatOption = Annotated[Path | None, typer.Option(help="Heartbeat file, for health checks")]
MetricsPort = Annotated[
    int | None,
    typer.Option("--metrics", help="Port of the metrics, instead of LOOKSTREAM_METRICS_PORT; 0: none"),
]


@worker.command("index")
def index(
    heartbeat: HeartbeatOption = None,
    metrics: MetricsPort = None,
    generation: Annotated[
        int | None, typer.Option(help="Whose index to fill; the one that serves, unless `reindex` is under way.")
    ] = None,
) -> None:
    """Read item events, embed their pictures, and write them to the index."""
    from functools import partial

    from consumers.workers.index_worker import index_worker

    _run_worker("index", partial(index_worker, generation=generation), heartbeat, metrics)


@worker.command("query")
def query(heartbeat: HeartbeatOption = None, metrics: MetricsPort = None) -> None:
    """Read search requests and answer them."""
    from consumers.workers.query_worker import query_worker

    _run_worker("query", query_worker, heartbeat, metrics)


def _run_worker(kind: str, build: "Build", heartbeat: Path | None, metrics: int | None) -> None:
    """Build a worker and run it until a signal stops it; exits with EXIT_ENCODER_ERROR, or 1 after DrainTimeout."""
    from consumers.runtime.loop import DrainTimeout
    from consumers.runtime.shutdown import ShutdownSignal
    from infra.config.settings import read_settings
    from infra.console import print_error, report_errors
    from infra.encoder import EncoderUnavailable
    from infra.observability.host_info import lower_priority
    from infra.observability.logging import configure_logs
    from infra.observability.redaction import redaction
    from infra.processes.garbage_collection import freeze_startup_objects
    from infra.qdrant.contract import EncoderDiffers

    os.umask(0o077)  # files that a worker writes are readable by its user only
    shutdown = ShutdownSignal()
    _install_signal_handlers(shutdown)
    try:
        with report_errors():
            settings = read_settings()
            if metrics is not None:
                settings = settings.with_port("metrics", metrics)
            configure_logs(settings.logs, kind, redaction(settings))
            if kind == "index":
                lower_priority(settings.worker.niceness)
            with build(settings, heartbeat) as worker:
                freeze_startup_objects()
                worker.run(shutdown)
    except (EncoderDiffers, EncoderUnavailable) as error:
        print_error(str(error))
        raise typer.Exit(EXIT_ENCODER_ERROR) from None
    except DrainTimeout as error:
        print_error(str(error))
        os._exit(1)  # a normal exit would wait for the processing thread


def _install_signal_handlers(shutdown: "ShutdownSignal") -> None:
    """SIGTERM and Ctrl-C finish the batch in progress, a second one exits at once; SIGUSR1 drains, then exits."""
    import signal

    def stop_now(_number: int, _frame: object) -> None:
        if shutdown.now:
            os._exit(1)
        shutdown.stop_now()

    def stop_when_idle(_number: int, _frame: object) -> None:
        shutdown.stop_when_idle()

    signal.signal(signal.SIGTERM, stop_now)
    signal.signal(signal.SIGINT, stop_now)
    signal.signal(signal.SIGUSR1, stop_when_idle)
