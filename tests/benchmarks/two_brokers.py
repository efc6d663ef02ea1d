"""Searches over Kafka on both brokers, compared: `python -m tests.benchmarks.two_brokers`.

A system on each broker holds the same items. Each is asked in turn, round after round, so that whatever slows the
machine down for a while slows both. Between them an echo service on the same broker is asked, which answers at
once: that is what Kafka and its clients take by themselves.
"""

import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.config.kafka import KafkaSettings
from infra.console import FAILED, report_errors
from infra.encoder import EncoderUnavailable
from infra.observability.host_info import describe_machine, installed_versions
from producers.demo.catalogue import draw_catalogue
from producers.demo.figures import LatencySpread
from tests.benchmarks.echo import echo
from tests.benchmarks.steady_rate import STEPS, Queries, Searches, search_steadily
from tests.benchmarks.whole_path import ingest, kafka_of, run_system, tenant_of
from tests.chaos.brokers import KINDS, Kind, broker_for_up, brokers_of
from tests.end_to_end.system import System
from tests.kafka.jars import KafkaMissing, kafka_version

SEED = 7
LIMITS = {"p50": 20.0, "p95": 40.0}
"""Milliseconds beyond decoding and encoding, on Apache Kafka."""

WATERFALL = {
    "queued": "producer, broker, worker's fetch",
    "fetched": "the picture, from the request",
    "decoded": "picture and colours",
    "encoded": "the networks",
    "searched": "index, verification, ranking",
    "answered": "transaction, broker, client's fetch",
}
"""What each of STEPS is."""


@dataclass
class Measured:
    """The rounds on one broker, and those of the echo service there."""

    rounds: list[Searches] = field(default_factory=list)
    echoes: list[Searches] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every search was answered."""
        return all(one.answered == one.sent for one in (*self.rounds, *self.echoes))

    def median(self, part: str) -> LatencySpread:
        """The medians of the rounds: of `whole`, `looked` or `beyond`."""
        return _median([getattr(one, part) for one in self.rounds])

    def step(self, name: str) -> LatencySpread:
        """The medians of the rounds, of one of STEPS."""
        return _median([one.steps[name] for one in self.rounds])

    @property
    def least(self) -> LatencySpread:
        """The medians of the rounds of the echo service."""
        return _median([one.whole for one in self.echoes])


def _median(spreads: Sequence[LatencySpread]) -> LatencySpread:
    p50, p95 = (round(statistics.median(getattr(one, p) for one in spreads), 1) for p in ("p50", "p95"))
    return LatencySpread(p50, p95, sum(one.count for one in spreads))


def measure(
    systems: dict[Kind, System],
    echoes: dict[Kind, KafkaSettings],
    pictures: Sequence[bytes],
    rounds: int,
    rate: float,
    seconds: float,
) -> dict[Kind, Measured]:
    """Ask each system in turn, round after round."""
    measured, queries = {kind: Measured() for kind in systems}, Queries(pictures, tenant_of(0))
    for _ in range(rounds):
        for kind, system in systems.items():
            found = search_steadily(kafka_of(system), queries, rate, round(rate * seconds))
            measured[kind].rounds.append(found)
            at_once = search_steadily(echoes[kind], queries, rate, round(rate * seconds))
            measured[kind].echoes.append(at_once)
    return measured


def rows(measured: dict[Kind, Measured]) -> Iterator[tuple[str, str, str, str]]:
    """What was measured, for people."""
    for kind, one in measured.items():
        parts = {"whole": "whole", "looked": "decoding and encoding", "beyond": "beyond"}
        spreads = {name: one.median(part) for part, name in parts.items()}
        spreads |= {f"   {name}: {WATERFALL[name]}": one.step(name) for name in STEPS}
        spreads["answered at once"] = one.least
        for name, found in spreads.items():
            yield kind, name, f"{found.p50} ms", f"{found.p95} ms"


def main(
    kafka: Annotated[str, typer.Option(help="Brokers to measure, with commas between them")] = "local,apache",
    pictures: Annotated[int, typer.Option(help="Items, and photos to search by", min=2)] = 120,
    rounds: Annotated[int, typer.Option(help="Rounds on each", min=1)] = 5,
    rate: Annotated[float, typer.Option(help="Searches a second", min=0.1)] = 5.0,
    seconds: Annotated[float, typer.Option(help="How long a round is", min=1)] = 20.0,
    encoder: Annotated[str, typer.Option(help="As LOOKSTREAM_ENCODER")] = "best",
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure how long searches take over Kafka beyond decoding and encoding."""
    load, kinds = os.getloadavg(), [kind for kind in KINDS if kind in kafka.split(",")]
    with (
        report_errors(EncoderUnavailable, KafkaMissing),
        tempfile.TemporaryDirectory(prefix="lookstream-bench-") as temporary,
        ExitStack() as stack,
    ):
        folder = Path(temporary)
        catalogue = draw_catalogue(folder / "shop", pictures, SEED)
        systems: dict[Kind, System] = {}
        for kind in kinds:
            with brokers_of(kind):
                _, settings = stack.enter_context(broker_for_up(folder))
                systems[kind] = stack.enter_context(run_system(folder / kind, encoder, settings))
            ingest(systems[kind], catalogue, 0)
        photos = [(catalogue.folder / product.photo).read_bytes() for product in catalogue.products]
        echoes = {kind: stack.enter_context(echo(kafka_of(system))) for kind, system in systems.items()}
        measured = measure(systems, echoes, photos, rounds, rate, seconds)
    _show(measured, rate, load)
    if path:
        report = {"rate": rate, "machine": describe_machine(), "versions": installed_versions()}
        report |= {"kafka": kafka_version(), "load_before": load, "limits": LIMITS}
        report |= {kind: asdict(one) for kind, one in measured.items()}
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if not all(one.complete for one in measured.values()):
        Console().print("[red]not everything was answered: see `answered`[/]")
        raise typer.Exit(FAILED)


def _show(measured: dict[Kind, Measured], rate: float, load: tuple[float, float, float]) -> None:
    machine = describe_machine()
    about = f"{machine['processor']}, {machine['cores']} cores; load before: {load[0]:.1f}; medians of the rounds"
    title = f"search over Kafka, {rate:g} a second (beyond: {LIMITS['p50']:g} and {LIMITS['p95']:g} ms at most)"
    table = Table("broker", "what", "p50", "p95", title=title, caption=about, caption_justify="left")
    for row in rows(measured):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
