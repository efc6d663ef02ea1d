"""What `tests.benchmarks.load` has measured, and its table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from infra.observability.host_info import describe_machine, installed_versions
from tests.benchmarks.asked import Asked
from tests.benchmarks.fed import Fed

LOW = 1.0
"""Items a second that leave the index worker time between them."""


@dataclass
class Measured:
    """Everything that was measured."""

    encoder_alone: dict[str, float] = field(default_factory=dict)
    """Pictures a second of each set, and of the photos that searches are by, at the best of 1, 8 and 16 at once."""
    ready_s: dict[str, float] = field(default_factory=dict)
    sets: dict[str, Fed] = field(default_factory=dict)
    """Pictures put in at once."""
    low: Fed | None = None
    workers: dict[str, Fed] = field(default_factory=dict)
    alone: dict[str, Asked] = field(default_factory=dict)
    while_indexing: dict[str, Asked] = field(default_factory=dict)
    indexed_meanwhile: dict[str, float] = field(default_factory=dict)
    """Items a second."""
    grown: dict[str, tuple[Fed, Asked]] = field(default_factory=dict)
    """Items put in at once, and searches, with so many points in the index."""
    memory_mb: dict[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every item became searchable, and every search was answered whose rate any machine can bear."""
        fed = [*self.sets.values(), *self.workers.values(), *(one for one, _ in self.grown.values())]
        asked = [*(one for one in self.alone.values() if one.rate <= LOW), *(one for _, one in self.grown.values())]
        return all(one.items == one.indexed for one in fed) and all("none" not in one.statuses for one in asked)

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """What was measured, for people."""
        for name, rate in self.encoder_alone.items():
            yield f"encoder alone: {name}", f"{rate:g} pictures/s", ""
        for part, seconds in self.ready_s.items():
            yield f"ready after `up`: {part}", f"{seconds:g} s", ""
        for name, fed in (self.sets | self.workers).items():
            yield f"indexing: {name}", f"{fed.rate:g} items/s", f"event to searchable {_three(fed.fresh)}"
        if self.low:
            yield f"indexing: {LOW:g} item a second", "", f"event to searchable {_three(self.low.fresh)}"
        for name, asked in self.alone.items():
            yield from _asked(f"searches: {name}", asked)
        for name, asked in self.while_indexing.items():
            yield from _asked(f"searches while {self.indexed_meanwhile[name]:g} items/s come in: {name}", asked)
        for points, (fed, asked) in self.grown.items():
            what = f"{points} points"
            yield what, f"{fed.rate:g} items/s", f"search {_three(asked.whole)}"
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


def _asked(what: str, asked: Asked) -> Iterator[tuple[str, str, str]]:
    count = f"{asked.found} of {sum(asked.statuses.values())} answered in time, {asked.rate:g}/s"
    yield what, count, f"whole {_three(asked.whole)}; beyond decode and encode {_three(asked.beyond)}"


def _three(percentiles: Sequence[float]) -> str:
    return " / ".join(f"{value:g}" for value in percentiles) + " ms" if percentiles else "-"
