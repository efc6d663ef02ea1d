"""Selections: samples are repeatable, uniform and judgeable, and endless sets are refused."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.quality.evaluation.datasets import selection
from consumers.quality.evaluation.datasets.retrieval_dataset import Entry, RetrievalDataset, SkippedEntry, inside
from consumers.quality.evaluation.datasets.selection import Reservoir, select
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.qrels import Judgement
from consumers.quality.evaluation.rankings import Measure
from infra.config.errors import BadInput


def image(n: int, label: str = "") -> LabelledImage:
    return LabelledImage(f"{n}.jpg", Path(f"/{n}.jpg"), label)


def dataset(queries: int, catalogue: int, labels: int = 10) -> RetrievalDataset:
    def some(role: str, count: int) -> Iterator[Entry]:
        for n in range(count):
            yield LabelledImage(f"{role}{n}", Path(f"/{role}{n}"), str(n) if n < labels else "")

    return RetrievalDataset(
        "A set", "test", "a rule", Measure("recall", 1), lambda: some("q", queries), lambda: some("c", catalogue)
    )


def test_a_reservoir_is_uniform_repeatable_and_in_order() -> None:
    counts = Counter[str]()
    for seed in range(400):
        sample = Reservoir(5, seed)
        for n in range(50):
            sample.add(n, image(n))
        numbers = [number for number, _ in sample.rows()]
        assert numbers == sorted(numbers)
        counts.update(row.image for _, row in sample.rows())
    assert len(counts) == 50
    assert max(counts.values()) < 75
    assert min(counts.values()) > 15


def test_a_sample_has_queries_their_answers_and_others() -> None:
    chosen = select(dataset(10, 1_000), 3, 7)
    labels = {row.label for row in chosen.queries}
    assert len(labels) == 3
    assert labels <= {row.label for row in chosen.catalogue}
    assert len(chosen.catalogue) == 6
    assert chosen == select(dataset(10, 1_000), 3, 7)
    assert chosen.queries != select(dataset(10, 1_000), 3, 8).queries


def test_without_a_limit_all_is_taken() -> None:
    chosen = select(dataset(10, 200), 0, 0)
    assert (len(chosen.queries), len(chosen.catalogue)) == (10, 200)


def test_an_endless_set_is_refused_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MAX_PICTURES", 100)
    with pytest.raises(BadInput, match="more than 100 pictures: take a sample with --limit"):
        select(dataset(10, 200), 0, 0)
    assert len(select(dataset(10, 200), 50, 0).catalogue) == 60


def test_entries_that_cannot_be_used_are_counted_once() -> None:
    def entries() -> Iterator[Entry]:
        yield SkippedEntry("bad", "it is bad")
        yield image(0, "a")
        yield image(1, "a")

    broken = RetrievalDataset("A set", "test", "a rule", Measure("recall", 1), entries, entries)
    chosen = select(broken, 0, 0)
    assert [(entry.name, entry.reason) for entry in chosen.skipped] == [("bad", "it is bad")]
    assert len(chosen.catalogue) == 2


@pytest.mark.parametrize(
    ("queries", "catalogue", "reason"), [(0, 5, "has no queries: see"), (5, 0, "has no catalogue: see")]
)
def test_an_empty_set_is_refused(queries: int, catalogue: int, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        select(dataset(queries, catalogue), 0, 0)


def test_queries_without_a_judgement_are_left_out() -> None:
    judgements = [Judgement("q1", "c3", 1), Judgement("q2", "c4", 0)]
    judged = dataset(5, 9)
    with_judgements = RetrievalDataset(
        judged.name,
        judged.split,
        judged.rule,
        judged.measure,
        judged.queries,
        judged.catalogue,
        lambda: iter(judgements),
    )
    chosen = select(with_judgements, 1, 0)
    assert [row.image for row in chosen.queries] == ["q1"]
    assert "c3" in {row.image for row in chosen.catalogue}
    assert len(chosen.catalogue) == 2


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "a/../../b.jpg", "", "a\0.jpg"])
def test_a_name_that_leads_out_of_the_folder_is_no_path(name: str) -> None:
    assert inside(Path("/set"), name) is None
    assert inside(Path("/set"), "a/b.jpg") == Path("/set/a/b.jpg")
