"""Figures: the measurements of a demo run, and the checks that decide whether it succeeded."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from infra.observability.host_info import describe_machine, installed_versions

MIN_SHARE = 0.8
"""Minimum share of first hits that must have the right kind and the right colour."""


@dataclass(frozen=True)
class LatencySpread:
    """Percentiles of some durations, in milliseconds."""

    p50: float
    p95: float
    count: int


def spread(milliseconds: Sequence[float]) -> LatencySpread:
    """Median and 95th percentile (nearest rank); zeros when nothing was measured."""
    if not milliseconds:
        return LatencySpread(0, 0, 0)
    ordered = sorted(milliseconds)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return LatencySpread(round(statistics.median(ordered), 1), round(p95, 1), len(ordered))


@dataclass(frozen=True)
class IngestFigures:
    """Results of ingesting the items."""

    products: int
    posts: int
    seconds: float
    """From the first event of the bulk until its last product is searchable."""
    images_per_second: float
    missing: tuple[str, ...]
    """Items that were rejected or had no outcome in time, with the reason."""
    event_to_searchable: LatencySpread
    """Latency of events that are sent one at a time to an idle system."""


@dataclass(frozen=True)
class FirstHits:
    """How many first hits of the searches with casual photos were right."""

    queries: int
    kind: int
    colour: int
    both: int
    product: int
    """First hits that are exactly the product in the photo."""

    @property
    def share(self) -> float:
        """Share of the queries whose first hit is the right kind and the right colour, 0 to 1."""
        return self.both / self.queries if self.queries else 0.0


@dataclass(frozen=True)
class SearchFigures:
    """Duration of searches: in total as measured by the client, and of each step as measured by the worker."""

    client: LatencySpread
    queued: LatencySpread
    fetched: LatencySpread
    decoded: LatencySpread
    encoded: LatencySpread
    searched: LatencySpread


@dataclass(frozen=True)
class PromiseCheck:
    """A condition that the answers must satisfy, and whether they did."""

    what: str
    kept: bool
    detail: str


@dataclass(frozen=True)
class DemoFigures:
    """All measurements of a demo run."""

    ingested: IngestFigures
    first_hits: FirstHits
    searched: SearchFigures
    promises: tuple[PromiseCheck, ...]
    encoder: str | None
    machine: dict[str, str | int] = field(default_factory=describe_machine)
    versions: dict[str, str] = field(default_factory=installed_versions)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def as_json(self) -> dict[str, object]:
        """All figures, with the computed share of right first hits and the complaints."""
        return asdict(self) | {"first_hits_right_share": self.first_hits.share, "complaints": complaints(self)}


def complaints(figures: DemoFigures) -> list[str]:
    """Reasons why the demo failed, one sentence each; empty if it succeeded."""
    reasons = [f"{promise.what}: {promise.detail}" for promise in figures.promises if not promise.kept]
    if figures.ingested.missing:
        examples = "; ".join(figures.ingested.missing[:3])
        reasons.append(f"{len(figures.ingested.missing)} items did not become searchable: {examples}")
    if figures.first_hits.share < MIN_SHARE:
        reasons.append(
            f"{figures.first_hits.share:.0%} of the first hits are the right kind and colour, "
            f"fewer than {MIN_SHARE:.0%}"
        )
    return reasons
