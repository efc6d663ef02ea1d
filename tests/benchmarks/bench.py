"""Is it fast? Measures each stage, a plain loop, and the whole system on pictures drawn in code: `make bench`."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from consumers.vision.contracts import Encoder
from infra.config.settings import TorchSettings
from infra.console import FAILED, report_errors
from infra.encoder import EncoderUnavailable, open_encoder
from infra.encoder.projection import NetworkEncoder
from infra.observability.host_info import describe_machine, installed_versions
from producers.demo.catalogue import MAX_PRODUCTS, Catalogue, draw_catalogue
from producers.demo.figures import LatencySpread
from tests.benchmarks.baselines import PlainIndex, loop_over_kafka, plain_network, script_over_folder
from tests.benchmarks.limits import Limits, measure_peak
from tests.benchmarks.process_stages import open_process_stages, process_stage_measures
from tests.benchmarks.rounds import RATE, ROUNDS, WARM_UP, Figure, interleaved, short
from tests.benchmarks.stages import open_bench, stage_measures
from tests.benchmarks.whole_path import (
    Ingested,
    Searches,
    ingest,
    run_system,
    tenant_of,
    time_searches,
)

SEED = 7
PRODUCTS = 2
"""Matrix products a round, for the peak."""
NOISY = 1.5
"""Largest round over smallest, above which other work on the machine is likely part of the figure."""


@dataclass(frozen=True)
class Whole:
    """The whole path and, in the same rounds, its baselines; and the duration of searches."""

    ingested: tuple[Ingested, ...]
    """One for each round."""
    loop: Figure
    """The plain loop over the same events."""
    script: Figure
    """The batch script over the same files."""
    searches: Searches

    @property
    def ingest(self) -> Figure:
        """Pictures a second from the first event to the last one searchable."""
        return Figure("whole path, first event to last", RATE, tuple(one.rate for one in self.ingested))

    @property
    def steady(self) -> Figure | None:
        """The same without the start, where every round took several batches."""
        rates = tuple(one.steady_rate for one in self.ingested if one.steady_rate is not None)
        whole = len(rates) == len(self.ingested)
        return Figure("whole path, after its first batch", RATE, rates) if whole else None


@dataclass(frozen=True)
class Report:
    """All that was measured, and on what."""

    pictures: int
    encoder: str
    precision: str
    stages: dict[str, Figure]
    whole: Whole
    limits: Limits
    load_before: tuple[float, float, float]
    machine: dict[str, str | int] = field(default_factory=describe_machine)
    versions: dict[str, str] = field(default_factory=installed_versions)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def ratios(self) -> dict[str, float]:
        """The whole path as so many times something else."""
        best = best_rate(self.stages)
        steady = (self.whole.steady or self.whole.ingest).median
        return {
            "whole path / plain loop": self.whole.ingest.median / self.whole.loop.median,
            "whole path / batch script": self.whole.ingest.median / self.whole.script.median,
            "whole path after its first batch / encoder alone": steady / best,
            "whole path after its first batch / what the cores allow": steady / self.limits.by_cores,
            "encoder alone / what the peak allows": best / self.limits.by_arithmetic,
        }

    @property
    def noisy(self) -> list[str]:
        """What differed so much between its rounds that its figures, and the ratio, say little."""
        figures = self.stages | {"plain_loop": self.whole.loop, "whole_path": self.whole.ingest}
        return [name for name, figure in figures.items() if max(figure.rounds) > NOISY * min(figure.rounds)]

    @property
    def complete(self) -> bool:
        """Whether every picture became searchable and every search was answered."""
        searches = self.whole.searches
        return searches.ok == searches.sent and all(one.pictures == self.pictures for one in self.whole.ingested)

    def as_json(self) -> dict[str, object]:
        """All of it; rates are pictures a second, times are milliseconds."""
        whole = self.whole
        return {
            **{name: getattr(self, name) for name in ("at", "pictures", "encoder", "precision", "load_before")},
            "stages": {name: figure.as_json() for name, figure in self.stages.items()},
            "plain_loop": whole.loop.as_json(),
            "batch_script": whole.script.as_json(),
            "whole_path": whole.ingest.as_json() | {"indexed": [one.pictures for one in whole.ingested]},
            "whole_path_after_first_batch": whole.steady.as_json() if whole.steady else None,
            "ratios": {name: round(ratio, 6) for name, ratio in self.ratios.items()},
            "limits": self.limits.as_json(),
            "noisy": self.noisy,
            "searches": asdict(whole.searches),
            "machine": self.machine,
            "versions": self.versions,
        }


def precision_of(encoder: object) -> str:
    """In which numbers the network computes: figures of two precisions do not compare."""
    return encoder.backbone.precision if isinstance(encoder, NetworkEncoder) else "no network"


def measure_stages(catalogue: Catalogue, encoder: Encoder, rounds: int, folder: Path) -> dict[str, Figure]:
    """Each stage by itself; nothing else of ours runs meanwhile."""
    with (
        open_bench(shots_of(catalogue), encoder, folder) as bench,
        open_process_stages(bench.pictures) as process_stages,
    ):
        return interleaved(stage_measures(bench) | process_stage_measures(process_stages), rounds)


def shots_of(catalogue: Catalogue) -> list[Path]:
    """The files of the studio shots."""
    return [catalogue.folder / product.image for product in catalogue.products]


def measure_whole(catalogue: Catalogue, encoder: str, searches: int, rounds: int, folder: Path) -> Whole:
    """A system of its own: the catalogue goes in once a round, then searches in what the last round put in.

    After each round the plain loop takes the same events, and the script the same files, while the system is idle.
    """
    photos = [catalogue.folder / product.photo for product in catalogue.products]
    files, network = shots_of(catalogue), plain_network(encoder)
    loops, scripts, ingested = list[float](), list[float](), list[Ingested]()
    with (
        run_system(folder / "system", encoder) as system,
        closing(PlainIndex(folder / "plain", network.size)) as index,
    ):
        for number in range(rounds + 1):
            ingested.append(ingest(system, catalogue, number))
            loops.append(loop_over_kafka(system, tenant_of(number), len(files), network, index))
            scripts.append(script_over_folder(files, network, index))
        searched = time_searches(system, list(islice(cycle(photos), searches)), tenant_of(rounds))
    first = WARM_UP + 1
    loop = Figure("plain loop over Kafka, one at a time", RATE, tuple(loops[first:]))
    script = Figure("batch script over the folder", RATE, tuple(scripts[first:]))
    return Whole(tuple(ingested[first:]), loop, script, searched)


def count_limits(stages: Mapping[str, Figure], encoder: str, rounds: int) -> Limits:
    """What this machine allows, by the stages that were measured on it."""
    pipeline_ms, gflops = stages["see"].median, plain_network(encoder).operations() / 1e9
    return Limits(measure_peak(PRODUCTS * rounds), gflops, pipeline_ms, best_rate(stages), os.cpu_count() or 1)


def best_rate(stages: Mapping[str, Figure]) -> float:
    """Pictures a second of the encoder alone, at the best of its batches."""
    return max(figure.median for name, figure in stages.items() if name.startswith("encode"))


def show(report: Report, console: Console) -> None:
    """Print the one table."""
    machine, versions = report.machine, report.versions
    about = f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {report.precision}\n"
    about += ", ".join(f"{name} {version}" for name, version in versions.items())
    about += f"\n{report.encoder}, {report.pictures} pictures; load before: {report.load_before[0]:.1f}"
    table = Table(
        "what", "median", "range of rounds", title="lookstream bench", caption=about, caption_justify="left"
    )
    whole = report.whole
    for figure in (*report.stages.values(), whole.loop, whole.script, whole.ingest, whole.steady):
        if figure:
            table.add_row(*figure.cells)
    for name, ratio in report.ratios.items():
        table.add_row(name, f"{ratio:.2f}", "")
    table.add_section()
    searches = report.whole.searches
    table.add_row(f"searches answered, of {searches.sent}", str(searches.ok), "")
    table.add_row("search: request to answer", *_spread(searches.whole))
    for step, spread in searches.steps.items():
        table.add_row(f"   {step}", *_spread(spread))
    console.print(table)
    if report.noisy:
        console.print(f"[yellow]do not quote these, their rounds differ too much: {', '.join(report.noisy)}[/]")


def _spread(spread: LatencySpread) -> tuple[str, str]:
    return f"p50 {short(spread.p50)} ms", f"p95 {short(spread.p95)} ms"


def main(
    pictures: Annotated[int, typer.Option(help="Products to draw", min=1, max=MAX_PRODUCTS)] = 128,
    searches: Annotated[int, typer.Option(help="Searches, one after another", min=1)] = 40,
    rounds: Annotated[int, typer.Option(help="Rounds, after one to warm up", min=1)] = ROUNDS,
    encoder_name: Annotated[str, typer.Option("--encoder", help="As LOOKSTREAM_ENCODER")] = "best",
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure how fast the stages, a plain loop and the whole system are on this machine."""
    console, load = Console(), os.getloadavg()
    with report_errors(EncoderUnavailable), tempfile.TemporaryDirectory(prefix="lookstream-bench-") as temporary:
        folder = Path(temporary)
        encoder = open_encoder(encoder_name, TorchSettings())
        with console.status("drawing the pictures"):
            catalogue = draw_catalogue(folder / "shop", pictures, SEED)
        with console.status("measuring the stages"):
            stages = measure_stages(catalogue, encoder, rounds, folder / "stages")
        with console.status("measuring the whole system, the plain loop and the batch script"):
            whole = measure_whole(catalogue, encoder_name, searches, rounds, folder)
        limits = count_limits(stages, encoder_name, rounds)
    report = Report(pictures, encoder.fingerprint, precision_of(encoder), stages, whole, limits, load)
    show(report, console)
    if path:
        path.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    if not report.complete:
        console.print("[red]not everything went through: see `indexed` and `ok`[/]")
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    typer.run(main)
