"""Demo command: run the whole system on a small product catalogue that is drawn in code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from infra.console import FAILED, command_options

app = typer.Typer()


@dataclass(frozen=True)
class DemoOptions:
    """Options of `demo`."""

    products: Annotated[int, typer.Option(help="How many products to draw.")] = 288
    queries: Annotated[int, typer.Option(help="How many casual photos to search with.")] = 90
    keep_up: Annotated[bool, typer.Option("--keep-up", help="Leave the system running at the end.")] = False
    out: Annotated[Path, typer.Option(help="Folder for demo.png and demo.json.")] = Path()


@app.command()
@command_options(DemoOptions)
def demo(options: DemoOptions) -> None:
    """Draw a shop, index it, search it with casual photos; writes demo.png and demo.json."""
    import signal

    from rich.console import Console

    from infra.config.settings import read_settings
    from producers.demo.tour import TourOptions, run_tour

    # SIGTERM raises KeyboardInterrupt like Ctrl-C, so that the started system is stopped again.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tour_options = TourOptions(options.products, options.queries, options.keep_up, options.out)
    if not run_tour(read_settings(), tour_options, Console(highlight=False)):
        raise typer.Exit(FAILED)
