"""TREC files: they are read back as trec_eval reads them, in the order in which the hits came."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.qrels import Judgement, make_qrels
from consumers.quality.evaluation.rankings import Rankings
from consumers.quality.evaluation.trec import trec_id, write_qrels, write_run
from infra.config.errors import BadInput


def named(*names: str, label: str = "") -> tuple[LabelledImage, ...]:
    return tuple(LabelledImage(name, Path(f"/{n}-{name[:5]}"), label) for n, name in enumerate(names))


def rankings(positions: list[list[int]], scores: list[list[float]]) -> Rankings:
    return Rankings(np.array(positions, np.int64), np.array(scores, np.float32))


def order_of_trec_eval(file: Path) -> dict[str, list[str]]:
    """The docnos of each query as trec_eval ranks them: by the score in 32 bits, then by docno, descending."""
    found: dict[str, list[tuple[float, str]]] = {}
    for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        query, q0, docno, rank, score, tag = line.split(" ")
        assert (q0, tag) == ("Q0", "lookstream-fake:1")
        found.setdefault(query, []).append((float(np.float32(score)), docno))
        assert len(found[query]) == int(rank)
    return {query: [docno for _, docno in sorted(hits, reverse=True)] for query, hits in found.items()}


def test_a_run_is_read_back_in_its_order(tmp_path: Path) -> None:
    truth = GroundTruth(named("a/1.jpg", "b 2.jpg", "c%.jpg"), named("q one", "q2"))
    found = rankings([[1, 0, 2], [2, -1, -1]], [[0.9, 0.9, 0.25], [0.5, 0, 0]])
    write_run(tmp_path / "run", truth, found, "fake:1")
    assert order_of_trec_eval(tmp_path / "run") == {
        "q%20one": ["b%202.jpg", "a/1.jpg", "c%25.jpg"],
        "q2": ["c%25.jpg"],
    }


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30))
def test_scores_descend_strictly_in_any_order_of_hits(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float]
) -> None:
    """Also when scores are equal, or when a later hit has a higher one, as after a reordering."""
    file = tmp_path_factory.mktemp("run") / "run"
    truth = GroundTruth(named(*(f"{n}.jpg" for n in range(len(scores)))), named("q"))
    write_run(file, truth, rankings([list(range(len(scores)))], [scores]), "fake:1")
    assert order_of_trec_eval(file)["q"] == [f"{n}.jpg" for n in range(len(scores))]


def test_scores_that_are_no_numbers_keep_the_order(tmp_path: Path) -> None:
    truth = GroundTruth(named("a", "b", "c"), named("q"))
    write_run(tmp_path / "run", truth, rankings([[2, 1, 0]], [[float("nan"), 0.5, float("nan")]]), "fake:1")
    assert order_of_trec_eval(tmp_path / "run") == {"q": ["c", "b", "a"]}


def test_names_that_come_twice_are_written_once(tmp_path: Path) -> None:
    truth = GroundTruth(named("a", "a", "b", label="x"), named("q", "q", label="x"))
    write_run(tmp_path / "run", truth, rankings([[0, 1, 2]] * 2, [[3, 2, 1]] * 2), "fake:1")
    assert order_of_trec_eval(tmp_path / "run") == {"q": ["a", "b"]}
    write_qrels(tmp_path / "qrels", truth)
    assert (tmp_path / "qrels").read_text() == "q 0 a 1\nq 0 b 1\n"


def test_qrels_have_grades_and_no_own_picture(tmp_path: Path) -> None:
    items = named("a", "b", "c")
    qrels = make_qrels(
        [Judgement("a", name, grade) for name, grade in (("a", 1), ("b", 2), ("c", 1))], ["a"], "abc"
    )
    write_qrels(tmp_path / "qrels", GroundTruth(items, items[:1], 0, qrels))
    assert (tmp_path / "qrels").read_text() == "a 0 b 2\na 0 c 1\n"


@given(st.text(min_size=1), st.text(min_size=1))
def test_ids_have_no_blanks_and_stay_different(one: str, other: str) -> None:
    for name in (one, other):
        assert len(trec_id(name).split()) == 1
        assert trec_id(name).isprintable() or not name.isprintable()
    assert (trec_id(one) == trec_id(other)) == (one == other)


def test_names_of_files_that_are_no_utf8_are_written_as_they_are(tmp_path: Path) -> None:
    truth = GroundTruth(named("a\udcff.jpg", label="x"), named("q", label="x"))
    write_qrels(tmp_path / "qrels", truth)
    assert (tmp_path / "qrels").read_bytes() == b"q 0 a\xff.jpg 1\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--qrels .* cannot be written: "):
        write_qrels(tmp_path, GroundTruth((), ()))
    with pytest.raises(BadInput, match=r"--run .* cannot be written: "):
        write_run(tmp_path / "no" / "run", GroundTruth((), ()), rankings([], []), "fake:1")
