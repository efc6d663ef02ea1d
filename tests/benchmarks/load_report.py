"""What `tests.benchmarks.load` has measured, and its table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from infra.observability.host_info import describe_machine, installed_versions
from tests.benchmarks.item_load import ItemLoadResult
from tests.benchmarks.search_load import SearchLoadResult

LOW = 1.0
"""A rate of items a second at which the index worker is idle between items."""


@dataclass
class Measured:
    """Everything that was measured."""

    encoder_alone: dict[str, float] = field(default_factory=dict)
    """Pictures a second of each set, and of the photos that searches are by, at the best of 1, 8 and 16 at once."""
    ready_s: dict[str, float] = field(default_factory=dict)
    sets: dict[str, ItemLoadResult] = field(default_factory=dict)
    """Pictures put in at once."""
    low: ItemLoadResult | None = None
    workers: dict[str, ItemLoadResult] = field(default_factory=dict)
    alone: dict[str, SearchLoadResult] = field(default_factory=dict)
    while_indexing: dict[str, SearchLoadResult] = field(default_factory=dict)
    indexed_meanwhile: dict[str, float] = field(default_factory=dict)
    """Items a second."""
    grown: dict[str, tuple[ItemLoadResult, SearchLoadResult]] = field(default_factory=dict)
    """Items put in at once, and searches, with so many points in the index."""
    memory_mb: dict[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every item became searchable, and every search at a rate of LOW or less was answered."""
        indexing = [*self.sets.values(), *self.workers.values(), *(one for one, _ in self.grown.values())]
        searches = [
            *(one for one in self.alone.values() if one.rate <= LOW),
            *(one for _, one in self.grown.values()),
        ]
        return all(one.items == one.indexed for one in indexing) and all(
            "none" not in one.statuses for one in searches
        )

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """What was measured, for people."""
        for name, rate in self.encoder_alone.items():
            yield f"encoder alone: {name}", f"{rate:g} pictures/s", ""
        for part, seconds in self.ready_s.items():
            yield f"ready after `up`: {part}", f"{seconds:g} s", ""
        for name, indexing in (self.sets | self.workers).items():
            yield f"indexing: {name}", f"{indexing.rate:g} items/s", f"event to searchable {_three(indexing.fresh)}"
        if self.low:
            yield f"indexing: {LOW:g} item a second", "", f"event to searchable {_three(self.low.fresh)}"
        for name, searches in self.alone.items():
            yield from _search_rows(f"searches: {name}", searches)
        for name, searches in self.while_indexing.items():
            yield from _search_rows(
                f"searches while {self.indexed_meanwhile[name]:g} items/s come in: {name}", searches
            )
        for points, (indexing, searches) in self.grown.items():
            what = f"{points} points"
            yield what, f"{indexing.rate:g} items/s", f"search {_three(searches.whole)}"
        for part, megabytes in self.memory_mb.items():
            yield f"memory: {part}", f"{megabytes:g} MB", ""


@dataclass(frozen=True)
class Report:
    """What was measured, and on what; times are p50 / p95 / p99."""

    measured: Measured
    encoder: str
    load_before: tuple[float, float, float]
    machine: dict[str, str | int] = field(default_factory=describe_machine)
    versions: dict[str, str] = field(default_factory=installed_versions)

    def show(self, console: Console) -> None:
        """Print the one table."""
        about = f"{self.machine['processor']}, {self.machine['cores']} cores, Python {self.machine['python']}\n"
        about += ", ".join(f"{name} {version}" for name, version in self.versions.items())
        about += f"\n{self.encoder}; load before: {self.load_before[0]:.1f}"
        table = Table(
            "what", "", "p50 / p95 / p99", title="lookstream bench: load", caption=about, caption_justify="left"
        )
        for row in self.measured.rows():
            table.add_row(*row)
        console.print(table)


def _search_rows(what: str, searches: SearchLoadResult) -> Iterator[tuple[str, str, str]]:
    count = f"{searches.found} of {sum(searches.statuses.values())} answered in time, {searches.rate:g}/s"
    yield what, count, f"whole {_three(searches.whole)}; beyond decode and encode {_three(searches.beyond)}"


def _three(percentiles: Sequence[float]) -> str:
    return " / ".join(f"{value:g}" for value in percentiles) + " ms" if percentiles else "-"
