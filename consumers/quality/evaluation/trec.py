"""TREC files: runs and qrels, as trec_eval, pytrec_eval, ranx and ir_measures read them.

A line of a run is `qid Q0 docno rank sim run_id`, one of the qrels `qid 0 docno rel`, with blanks between (README
of trec_eval, https://github.com/usnistgov/trec_eval). trec_eval ignores the rank: it sorts by `sim`, which it
keeps as a 32-bit float, and equal ones by docno. So the scores that are written descend strictly, as 32-bit
floats.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np

from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.rankings import Rankings
from infra.config.errors import BadInput

UNSAFE = re.compile(r"[\s%\x00-\x1f\x7f]")
"""What separates fields or lines, and the sign that encodes it."""


def trec_id(name: str) -> str:
    """The name of a picture without blanks: these, and `%`, are percent-encoded, so that no two names get equal."""
    return UNSAFE.sub(lambda match: quote(match.group(), safe=""), name)


def write_run(file: Path, truth: GroundTruth, rankings: Rankings, encoder: str) -> None:
    """Write the rankings as a run. Raises BadInput when the file cannot be written."""
    tag = trec_id(f"lookstream-{encoder}")
    _write("--run", file, _run_lines(truth, rankings, tag))


def write_qrels(file: Path, truth: GroundTruth) -> None:
    """Write the relevant pictures of each query. Raises BadInput when the file cannot be written."""
    _write("--qrels", file, _qrels_lines(truth))


def _run_lines(truth: GroundTruth, rankings: Rankings, tag: str) -> Iterator[str]:
    for n, query in _unique_queries(truth):
        docnos: set[str] = set()
        last = np.float32(np.inf)
        for position, score in zip(rankings.positions[n], rankings.scores[n], strict=True):
            docno = trec_id(truth.catalogue[position].image) if position >= 0 else ""
            if docno and docno not in docnos:
                docnos.add(docno)
                last = np.fmin(score, np.nextafter(last, np.float32(-np.inf)))
                yield f"{query} Q0 {docno} {len(docnos)} {last:.9g} {tag}\n"


def _qrels_lines(truth: GroundTruth) -> Iterator[str]:
    for n, query in _unique_queries(truth):
        docnos: set[str] = set()
        for position, grade in zip(*truth.qrels_of(truth.queries[n]), strict=True):
            docno = trec_id(truth.catalogue[position].image)
            if docno not in docnos:
                docnos.add(docno)
                yield f"{query} 0 {docno} {grade}\n"


def _unique_queries(truth: GroundTruth) -> Iterator[tuple[int, str]]:
    """The number and the id of each query; of queries with one id, the first."""
    known: set[str] = set()
    for n, row in enumerate(truth.queries):
        query = trec_id(row.image)
        if query not in known:
            known.add(query)
            yield n, query


def _write(option: str, file: Path, lines: Iterable[str]) -> None:
    try:
        # Names of files may hold bytes that are no UTF-8; they are written as they are.
        with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            out.writelines(lines)
    except OSError as error:
        raise BadInput(f"{option} {file} cannot be written: {error.strerror}") from None
