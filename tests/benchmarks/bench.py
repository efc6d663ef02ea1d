"""Is it fast? Measures each stage, a plain loop, and the whole system on pictures drawn in code: `make bench`."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from consumers.vision.look import Encoder
from infra.console import FAILED, plain_errors
from infra.encoder import EncoderUnavailable, open_encoder
from infra.encoder.projection import TorchEncoder
from infra.machine import describe_machine, installed_versions
from infra.settings import Torch
from producers.demo.catalogue import MAX_PRODUCTS, Catalogue, draw_catalogue
from producers.demo.figures import Spread
from tests.benchmarks.rounds import RATE, ROUNDS, WARM_UP, Figure, interleaved, short
from tests.benchmarks.stages import open_bench, own_index, plain_loop, stage_measures
from tests.benchmarks.whole_path import Ingested, Searches, ingest, running_system, tenant_of, time_searches

SEED = 7
NOISY = 1.5
"""Largest round over smallest, above which other work on the machine is likely part of the figure."""


@dataclass(frozen=True)
class Whole:
    """The whole path: how fast pictures go in, and how long searches take."""

    ingested: tuple[Ingested, ...]
    """One for each round."""
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
    plain: Figure
    whole: Whole
    load_before: tuple[float, float, float]
    machine: dict[str, str | int] = field(default_factory=describe_machine)
    versions: dict[str, str] = field(default_factory=installed_versions)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def ratio(self) -> float:
        """How many times as fast the whole path is as the plain loop."""
        return self.whole.ingest.median / self.plain.median

    @property
    def noisy(self) -> list[str]:
        """What differed so much between its rounds that its figures, and the ratio, say little."""
        figures = self.stages | {"plain_loop": self.plain, "whole_path": self.whole.ingest}
        return [name for name, figure in figures.items() if max(figure.rounds) > NOISY * min(figure.rounds)]

    @property
    def complete(self) -> bool:
        """Whether every picture became searchable and every search was answered."""
        searches = self.whole.searches
        return searches.ok == searches.asked and all(one.pictures == self.pictures for one in self.whole.ingested)

    def as_json(self) -> dict[str, object]:
        """All of it; rates are pictures a second, times are milliseconds."""
        whole = self.whole
        return {
            **{name: getattr(self, name) for name in ("at", "pictures", "encoder", "precision", "load_before")},
            "stages": {name: figure.as_json() for name, figure in self.stages.items()},
            "plain_loop": self.plain.as_json(),
            "whole_path": whole.ingest.as_json() | {"indexed": [one.pictures for one in whole.ingested]},
            "whole_path_after_first_batch": whole.steady.as_json() if whole.steady else None,
            "ratio": round(self.ratio, 3),
            "noisy": self.noisy,
            "searches": asdict(whole.searches),
            "machine": self.machine,
            "versions": self.versions,
        }


def precision_of(encoder: object) -> str:
    """In which numbers the network computes: figures of two precisions do not compare."""
    if isinstance(encoder, TorchEncoder):
        return str(encoder.backbone.runtime.dtype).removeprefix("torch.")
    return "no network"


def measure_stages(catalogue: Catalogue, encoder: Encoder, folder: Path) -> dict[str, Figure]:
    """Each stage by itself; nothing else of ours runs meanwhile."""
    with open_bench(shots_of(catalogue), encoder, folder) as bench:
        return interleaved(stage_measures(bench))


def measure_plain(catalogue: Catalogue, encoder: Encoder, folder: Path) -> Figure:
    """The plain loop, with an index of its own; nothing else of ours runs meanwhile."""
    with own_index(folder, encoder.fingerprint, encoder.object_size + encoder.style_size) as index:
        return interleaved({"plain": plain_loop(shots_of(catalogue), encoder, index)})["plain"]


def shots_of(catalogue: Catalogue) -> list[Path]:
    """The files of the studio shots."""
    return [catalogue.folder / product.image for product in catalogue.products]


def measure_whole(catalogue: Catalogue, encoder: str, searches: int, folder: Path) -> Whole:
    """A system of its own: the catalogue goes in once a round, then searches in what the last round put in."""
    photos = [catalogue.folder / product.photo for product in catalogue.products]
    with running_system(folder, encoder) as system:
        ingested = [ingest(system, catalogue, number) for number in range(ROUNDS + 1)]
        searched = time_searches(system, list(islice(cycle(photos), searches)), tenant_of(ROUNDS))
    return Whole(tuple(ingested[WARM_UP + 1 :]), searched)


def show(report: Report, console: Console) -> None:
    """Print the one table."""
    machine, versions = report.machine, report.versions
    about = f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {report.precision}\n"
    about += ", ".join(f"{name} {version}" for name, version in versions.items())
    about += f"\n{report.encoder}, {report.pictures} pictures; load before: {report.load_before[0]:.1f}"
    table = Table(
        "what", "median", "range of rounds", title="lookstream bench", caption=about, caption_justify="left"
    )
    for figure in (*report.stages.values(), report.plain, report.whole.ingest, report.whole.steady):
        if figure:
            table.add_row(*figure.cells)
    table.add_row("whole path / plain loop", f"{report.ratio:.2f}", "", end_section=True)
    searches = report.whole.searches
    table.add_row(f"searches answered, of {searches.asked}", str(searches.ok), "")
    table.add_row("search: request to answer", *_spread(searches.whole))
    for step, spread in searches.steps.items():
        table.add_row(f"   {step}", *_spread(spread))
    console.print(table)
    if report.noisy:
        console.print(f"[yellow]do not quote these, their rounds differ too much: {', '.join(report.noisy)}[/]")


def _spread(spread: Spread) -> tuple[str, str]:
    return f"p50 {short(spread.p50)} ms", f"p95 {short(spread.p95)} ms"


def main(
    pictures: Annotated[int, typer.Option(help="Products to draw", min=1, max=MAX_PRODUCTS)] = 128,
    searches: Annotated[int, typer.Option(help="Searches, one after another", min=1)] = 40,
    encoder_name: Annotated[str, typer.Option("--encoder", help="As LOOKSTREAM_ENCODER")] = "best",
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure how fast the stages, a plain loop and the whole system are on this machine."""
    console, load = Console(), os.getloadavg()
    with plain_errors(EncoderUnavailable), tempfile.TemporaryDirectory(prefix="lookstream-bench-") as temporary:
        folder = Path(temporary)
        encoder = open_encoder(encoder_name, Torch())
        with console.status("drawing the pictures"):
            catalogue = draw_catalogue(folder / "shop", pictures, SEED)
        with console.status("measuring the stages"):
            stages = measure_stages(catalogue, encoder, folder / "stages")
        # The loop runs before the system and after it, so that a machine that slows down favours neither.
        with console.status("measuring the plain loop"):
            plain = measure_plain(catalogue, encoder, folder / "before")
        with console.status("measuring the whole system"):
            whole = measure_whole(catalogue, encoder_name, searches, folder / "system")
        with console.status("measuring the plain loop again"):
            plain += measure_plain(catalogue, encoder, folder / "after")
    report = Report(pictures, encoder.fingerprint, precision_of(encoder), stages, plain, whole, load)
    show(report, console)
    if path:
        path.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    if not report.complete:
        console.print("[red]not everything went through: see `indexed` and `ok`[/]")
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    typer.run(main)
