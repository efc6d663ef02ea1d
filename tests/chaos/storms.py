"""A storm of rebalances of any size: `python -m tests.chaos.storms`, with any settings of its workers.

It helps to choose between settings: the protocol of the group, session timeouts, static members.
"""

import json
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.brokers import Kind, brokers_of
from tests.chaos.storm import CONTROL, Storm, StormResult, run_storm
from tests.chaos.testbed import LOOKSTREAM

Protocol = Literal["classic", "consumer"]


def main(
    kafka: Annotated[Kind, typer.Option(help="Whose broker")] = "apache",
    searches: Annotated[int, typer.Option(min=1)] = 12_000,
    rate: Annotated[float, typer.Option(min=0.1, help="Searches a second")] = 50.0,
    moves: Annotated[int, typer.Option(min=1, help="Arrivals and departures")] = 100,
    least: Annotated[int, typer.Option(min=1, help="Workers at any time")] = 1,
    most: Annotated[int, typer.Option(min=2, help="Workers at most")] = 2,
    partitions: Annotated[int, typer.Option(min=1, help="Of the topic of requests")] = 2,
    session_ms: Annotated[int, typer.Option(min=500)] = 6_000,
    protocol: Annotated[Protocol, typer.Option(help="Of the group; consumer: KIP-848")] = "classic",
    setting: Annotated[list[str] | None, typer.Option(help="More for the workers, as NAME=VALUE")] = None,
    control: Annotated[bool, typer.Option(help="Without the safeguard")] = False,
    seed: Annotated[int, typer.Option()] = 1,
    keep: Annotated[Path | None, typer.Option(help="New folder to keep logs and data in")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="Where to write everything")] = None,
) -> None:
    """Run one storm of searches and print its figures; exits 1 when a promise is broken."""
    settings = dict(pair.split("=", 1) for pair in setting or [])
    if protocol == "consumer":
        settings["LOOKSTREAM_KAFKA_GROUP_PROTOCOL"] = protocol
    program = CONTROL if control else LOOKSTREAM
    storm = Storm(searches, rate, moves, least, most, session_ms, partitions, program, settings, seed)
    with brokers_of(kafka), nullcontext(keep) if keep else tempfile.TemporaryDirectory() as folder:
        result = run_storm(Path(folder) / "storm", storm)
    Console(width=None if sys.stdout.isatty() else 160).print(_table(result))
    if report is not None:
        report.write_text(json.dumps(_as_json(storm, kafka, result), indent=1) + "\n")
    sys.exit(0 if result.report.holds else 1)


def _table(result: StormResult) -> Table:
    broken = "; ".join(result.report.broken)
    table = Table("what", "seen", title="storm of searches", caption=f"BROKEN: {broken}" if broken else "kept")
    for name, value in result.report.figures.items():
        table.add_row(name, str(value))
    return table


def _as_json(storm: Storm, kafka: Kind, result: StormResult) -> dict[str, Any]:
    moves, pauses = map(asdict, result.moves), map(asdict, result.pauses)
    return {
        "kafka": kafka, "storm": asdict(storm), **asdict(result.report), "moves": [*moves], "pauses": [*pauses]
    }  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
