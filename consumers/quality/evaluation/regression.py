"""Two runs side by side: the same queries in the same catalogue, and what became better or worse."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consumers.quality.evaluation.bootstrap import Estimate, differences
from consumers.quality.evaluation.ranking_metrics import DEPTH, MAIN, Relevance, per_query
from consumers.quality.evaluation.results import FORMAT, EvaluationResult, QueryResult
from infra.console import BadInput


@dataclass(frozen=True)
class BaselineRun:
    """What is needed of the other run."""

    encoder: str
    catalogue: str
    queries: Mapping[str, QueryResult]


@dataclass(frozen=True)
class Comparison:
    """This run less the other one, over the queries that both have."""

    other: str
    queries: int
    differences: Mapping[str, Estimate]

    @property
    def regressions(self) -> list[str]:
        """The main measures that got worse for certain: the whole interval lies below 0."""
        return [name for name in MAIN if self.differences[name].high < 0]


def read_earlier(file: Path) -> BaselineRun:
    """The other run, from what --json wrote; raises BadInput when the file is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"it is {document['format']}, not {FORMAT}")
        queries = {one["image"]: QueryResult(**one) for one in document["queries"]}
        for one in queries.values():
            if len(one.right) != DEPTH or set(one.right) - {"0", "1"}:
                raise ValueError(f"`right` of {one.image} is no row of {DEPTH} zeros and ones")
        return BaselineRun(str(document["encoder"]), str(document["catalogue"]), queries)
    except OSError as error:
        raise BadInput(f"--against {file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        said = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"--against {file} is no result of `lookstream evaluate --json` ({said})") from None


def compare(figures: EvaluationResult, earlier: BaselineRun) -> Comparison:
    """Query by query; raises BadInput when the two cannot be compared."""
    if figures.catalogue != earlier.catalogue:
        raise BadInput(
            "--against: the other run had another catalogue, so its figures do not compare: run it again"
        )
    mine = {one.image: one for one in figures.queries}
    common = [image for image in mine if image in earlier.queries]
    if not common:
        raise BadInput("--against: the other run asked none of these queries, so its figures do not compare")
    other = [earlier.queries[image] for image in common]
    if relabelled := [one.image for one in other if one.label != mine[one.image].label]:
        raise BadInput(f"--against: {relabelled[0]} has another label in the other run: they do not compare")
    values, others = (per_query(_judged(asked)) for asked in ([mine[image] for image in common], other))
    return Comparison(earlier.encoder, len(common), differences(values, others, figures.seed))


def _judged(asked: Sequence[QueryResult]) -> Relevance:
    right = np.array([[letter == "1" for letter in one.right] for one in asked])
    return Relevance(right, np.array([one.relevant for one in asked]))
