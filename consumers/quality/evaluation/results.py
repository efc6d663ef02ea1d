"""Evaluation results: everything that an evaluation measures, and its JSON document."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.calibration_check import CalibrationCheck
from consumers.quality.evaluation.claim_checks import CategoryCheck, OffTopicCheck, StrictCheck
from consumers.quality.evaluation.colours import ColourAgreement
from consumers.quality.evaluation.coverage_check import CoverageCheck
from consumers.quality.evaluation.retrieval_scores import Agreement, FilteredScore, Score
from consumers.quality.evaluation.robustness import Robustness
from infra.observability.host_info import describe_machine, installed_versions

FORMAT = "lookstream.evaluation/2"
COMPARABLE_FORMATS = ("lookstream.evaluation/1", FORMAT)
"""Formats whose query results compare with those of this one."""


@dataclass(frozen=True)
class QueryResult:
    """One query, for the paired comparison of runs: `right` has a 1 or 0 for each of DEPTH hits, best first."""

    image: str
    label: str
    relevant: int
    right: str


@dataclass(frozen=True)
class QueryCounts:
    """The pictures and queries that were evaluated or skipped; `unanswerable` queries have no relevant picture, and
    are left out, or those of a public set count as misses."""

    catalogue: int
    queries: int
    unanswerable: int
    unreadable: tuple[str, ...]
    """The pictures of the catalogue and of the queries that could not be read or indexed."""


@dataclass(frozen=True)
class ProtocolResult:
    """A public set that was evaluated by its own protocol: which pictures were searched where, and its official
    measure. Queries to which nothing is relevant count as misses."""

    dataset: str
    split: str
    rule: str
    measure: str
    value: Estimate
    skipped: Mapping[str, str]
    """Entries of the set that cannot be used, by name, and why; at most 1,000."""


@dataclass(frozen=True)
class EvaluationResult:
    """The whole result; a part is None or empty where it could not be measured or was not requested."""

    through: str
    encoder: str
    catalogue: str
    """Digest of the catalogue's picture names and labels."""
    seed: int
    counts: QueryCounts
    weightings: Mapping[str, Score]
    by_category: Mapping[str, Score]
    by_colour: Mapping[str, Score]
    filtered: Mapping[str, FilteredScore]
    calibration: Mapping[str, CalibrationCheck]
    strict: StrictCheck | None
    off_topic: OffTopicCheck | None
    categories: CategoryCheck | None
    engine_recall: Estimate | None
    colours: ColourAgreement | None
    colour_hits: Agreement | None
    same: Mapping[str, Agreement]
    robustness: Robustness | None
    queries: tuple[QueryResult, ...]
    machine: Mapping[str, str | int] = field(default_factory=describe_machine)
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    coverage: CoverageCheck | None = None
    protocol: ProtocolResult | None = None
    """None for tables of one's own, which have no protocol."""


def as_json(result: EvaluationResult) -> str:
    """The result as one JSON document; numbers are rounded to four digits. Raises ValueError for a NaN."""
    return json.dumps({"format": FORMAT} | _rounded_object(asdict(result)), indent=1, allow_nan=False) + "\n"


def _rounded_object(value: object) -> dict[str, object]:
    rounded = _rounded(value)
    if not isinstance(rounded, dict):
        raise TypeError("a document is an object")
    return rounded


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {str(name): _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value
