"""All that a trial measures, and the document that it is written as."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.claim_checks import CalibrationCheck, CategoryCheck, OffTopicCheck, StrictCheck
from consumers.quality.evaluation.colours import ColourAgreement
from consumers.quality.evaluation.retrieval_scores import Agreement, FilteredScore, Score
from consumers.quality.evaluation.robustness import Robustness
from infra.observability.host_info import describe_machine, installed_versions

FORMAT = "lookstream.evaluation/1"


@dataclass(frozen=True)
class QueryResult:
    """One query for paired comparison: `right` has a 1 or 0 for each of its first hits, best first."""

    image: str
    label: str
    relevant: int
    right: str


@dataclass(frozen=True)
class QueryCounts:
    """What was tried, and what had to be left out: `unanswerable` queries have no label of the catalogue's."""

    catalogue: int
    queries: int
    unanswerable: int
    unreadable: tuple[str, ...]
    """Pictures that the system refused, catalogue and queries."""


@dataclass(frozen=True)
class EvaluationResult:
    """The whole result; a part is None or empty where it could not be measured, or was not asked for."""

    through: str
    encoder: str
    catalogue: str
    """Digest of the catalogue's pictures and labels."""
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


def as_json(figures: EvaluationResult) -> str:
    """One JSON document; numbers are written with four digits."""
    return json.dumps({"format": FORMAT} | _plain(asdict(figures)), indent=1, allow_nan=False) + "\n"


def _plain(value: object) -> dict[str, object]:
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
