"""Quality gate: whether the calibration errors of a run are within their limits."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.calibration_check import CATEGORY, ITEM, LABEL
from consumers.quality.evaluation.results import EvaluationResult
from infra.config.errors import BadInput

DEFAULT = "default"
"""In place of a file with limits: all limits are MAX_ECE."""
MAX_ECE = 0.05
"""Default limit of an expected calibration error."""
COVERAGE = "coverage"
MEASURES = (ITEM, LABEL, CATEGORY, f"{LABEL}, all hits", f"{CATEGORY}, all hits", COVERAGE)
"""The measures that have limits."""


@dataclass(frozen=True)
class GateCheck:
    """A calibration error and its limit, which is exceeded if the whole interval lies above it: else by chance."""

    measure: str
    ece: Estimate
    limit: float

    @property
    def is_exceeded(self) -> bool:
        """Whether the error is above the limit by more than chance."""
        return self.ece.low > self.limit

    def describe(self) -> str:
        """One line: the measure, its value, its interval, the limit, and what follows."""
        value = f"ECE of {self.measure}: {self.ece.value:.3f} [{self.ece.low:.3f}, {self.ece.high:.3f}]"
        if self.is_exceeded:
            return f"{value} is above its limit {self.limit:g}"
        if self.ece.value > self.limit:
            return f"{value} may be above its limit {self.limit:g} by chance: its interval begins below it"
        return f"{value} is within its limit {self.limit:g}"


def read_limits(text: str) -> dict[str, float]:
    """The limits in a JSON file, an object of measures and numbers; MAX_ECE for all others. Raises BadInput."""
    limits = dict.fromkeys(MEASURES, MAX_ECE)
    if text == DEFAULT:
        return limits
    try:
        document = json.loads(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"--gate {text} cannot be read ({error.strerror}): name a JSON file with limits, or `{DEFAULT}`"
        ) from None
    except ValueError as error:
        raise BadInput(f"--gate {text} is no JSON ({error}): write the limits as in {example()}") from None
    if not isinstance(document, dict):
        raise BadInput(f"--gate {text} is no JSON object: write the limits as in {example()}")
    for name, limit in document.items():
        if name not in limits:
            raise BadInput(f"--gate {text} has a limit of `{name}`: the measures are {', '.join(MEASURES)}")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1:
            raise BadInput(f"--gate {text}: the limit of `{name}` is {limit!r}: write a number from 0 to 1")
    return limits | document


def example() -> str:
    """A file of limits."""
    return json.dumps({CATEGORY: MAX_ECE, ITEM: 0.08})


def check_gate(result: EvaluationResult, limits: Mapping[str, float]) -> list[GateCheck]:
    """Compare the calibration errors of a run with their limits; raises BadInput when the run has none of them."""
    checks = [GateCheck(measure, ece, limits[measure]) for measure, ece in _calibration_errors(result)]
    if not checks:
        raise BadInput(
            "--gate: this run has no calibration error: its catalogue is too small to be calibrated, or no search "
            "has hits"
        )
    return checks


def _calibration_errors(result: EvaluationResult) -> Iterator[tuple[str, Estimate]]:
    for criterion, check in result.calibration.items():
        if check.is_claimed:
            yield criterion, check.first.ece
            if check.all is not None:
                yield f"{criterion}, all hits", check.all.ece
    if result.coverage is not None and result.coverage.scores is not None:
        yield COVERAGE, result.coverage.scores.calibration.ece
