"""Regression check: compares two runs, query by query, on the same catalogue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consumers.quality.evaluation.bootstrap import Estimate, differences
from consumers.quality.evaluation.ranking_metrics import DEPTH, MAIN, Relevance, per_query
from consumers.quality.evaluation.results import COMPARABLE_FORMATS, FORMAT, EvaluationResult, QueryResult
from infra.config.errors import BadInput


@dataclass(frozen=True)
class BaselineRun:
    """The encoder, the catalogue's digest and the query results of the run to compare with."""

    encoder: str
    catalogue: str
    queries: Mapping[str, QueryResult]


@dataclass(frozen=True)
class Comparison:
    """This run minus the other one, over the queries that both have; `other` is the other run's encoder."""

    other: str
    queries: int
    differences: Mapping[str, Estimate]

    @property
    def regressions(self) -> list[str]:
        """The main measures that are significantly worse: the whole interval lies below 0."""
        return [name for name in MAIN if self.differences[name].high < 0]


def read_baseline(file: Path) -> BaselineRun:
    """Read the other run from a result of --json; raises BadInput when the file is not one."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] not in COMPARABLE_FORMATS:
            raise ValueError(f"it is {document['format']}, not {FORMAT}")
        queries = {query["image"]: QueryResult(**query) for query in document["queries"]}
        for query in queries.values():
            if len(query.right) != DEPTH or set(query.right) - {"0", "1"}:
                raise ValueError(f"`right` of {query.image} is no row of {DEPTH} zeros and ones")
        return BaselineRun(str(document["encoder"]), str(document["catalogue"]), queries)
    except OSError as error:
        raise BadInput(f"--against {file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"--against {file} is no result of `lookstream evaluate --json` ({reason})") from None


def compare(result: EvaluationResult, earlier: BaselineRun) -> Comparison:
    """Compare two runs query by query; raises BadInput when they are not comparable."""
    if result.catalogue != earlier.catalogue:
        raise BadInput(
            "--against: the other run had another catalogue, so they cannot be compared: run it again with this one"
        )
    queries = {query.image: query for query in result.queries}
    common = [image for image in queries if image in earlier.queries]
    if not common:
        raise BadInput(
            "--against: the other run had none of these queries, so they cannot be compared: run it with them"
        )
    other = [earlier.queries[image] for image in common]
    if relabelled := [query.image for query in other if query.label != queries[query.image].label]:
        raise BadInput(
            f"--against: {relabelled[0]} has another label in the other run: run it again with these labels"
        )
    values, other_values = (per_query(_relevance(run)) for run in ([queries[image] for image in common], other))
    return Comparison(earlier.encoder, len(common), differences(values, other_values, result.seed))


def _relevance(queries: Sequence[QueryResult]) -> Relevance:
    correct = np.array([[digit == "1" for digit in query.right] for query in queries])
    return Relevance(correct, np.array([query.relevant for query in queries]))
