"""What the tour measured, in numbers that a program can read."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from infra.observability.host_info import describe_machine, installed_versions

WANTED_SHARE = 0.8
"""Least share of first hits that must be the right kind and the right colour."""


@dataclass(frozen=True)
class LatencySpread:
    """Some durations in milliseconds."""

    p50: float
    p95: float
    count: int


def spread(milliseconds: Sequence[float]) -> LatencySpread:
    """Median and 95th percentile (nearest rank); zeros when nothing was measured."""
    if not milliseconds:
        return LatencySpread(0, 0, 0)
    ranked = sorted(milliseconds)
    nearest = ranked[min(len(ranked) - 1, round(0.95 * len(ranked)))]
    return LatencySpread(round(statistics.median(ranked), 1), round(nearest, 1), len(ranked))


@dataclass(frozen=True)
class IngestFigures:
    """What became of the items."""

    products: int
    posts: int
    seconds: float
    """From the first product of the bulk to the last one being searchable."""
    images_per_second: float
    missing: tuple[str, ...]
    """Items without an outcome in time, or refused, with the reason."""
    event_to_searchable: LatencySpread
    """Of events sent one at a time to an idle system."""


@dataclass(frozen=True)
class FirstHits:
    """How many first hits of the phone photos were right."""

    queries: int
    kind: int
    colour: int
    both: int
    product: int
    """The very product in the photo."""

    @property
    def share(self) -> float:
        """Share of the queries whose first hit is the right kind and the right colour, 0 to 1."""
        return self.both / self.queries if self.queries else 0.0


@dataclass(frozen=True)
class SearchFigures:
    """How long searches took: as the client saw it, and each step as the worker saw it."""

    client: LatencySpread
    queued: LatencySpread
    fetched: LatencySpread
    decoded: LatencySpread
    encoded: LatencySpread
    searched: LatencySpread


@dataclass(frozen=True)
class PromiseCheck:
    """Something that must hold of the answers, and whether it did."""

    what: str
    kept: bool
    detail: str


@dataclass(frozen=True)
class DemoFigures:
    """All that the tour measured."""

    ingested: IngestFigures
    first_hits: FirstHits
    searched: SearchFigures
    promises: tuple[PromiseCheck, ...]
    encoder: str | None
    machine: dict[str, str | int] = field(default_factory=describe_machine)
    versions: dict[str, str] = field(default_factory=installed_versions)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def as_json(self) -> dict[str, object]:
        """Everything, with the shares and the verdict spelled out."""
        return asdict(self) | {"first_hits_right_share": self.first_hits.share, "complaints": complaints(self)}


def complaints(figures: DemoFigures) -> list[str]:
    """Why the demo failed, one sentence each; empty when all is well."""
    found = [f"{promise.what}: {promise.detail}" for promise in figures.promises if not promise.kept]
    if figures.ingested.missing:
        shown = "; ".join(figures.ingested.missing[:3])
        found.append(f"{len(figures.ingested.missing)} items did not become searchable: {shown}")
    if figures.first_hits.share < WANTED_SHARE:
        found.append(
            f"{figures.first_hits.share:.0%} of the first hits are the right kind and colour, "
            f"fewer than {WANTED_SHARE:.0%}"
        )
    return found
