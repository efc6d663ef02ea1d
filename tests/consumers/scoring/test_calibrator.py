"""The calibrator on a real index: it measures in small steps or at once, stores results, repeats after growth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import ITEM_SYNC_POINTS, UNCALIBRATED, Calibrator
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions, ImageEmbedder
from consumers.vision.look import Look
from infra.qdrant.contract import Index
from infra.qdrant.embedded.client import EmbeddedIndex
from schemas.failures import Failure
from schemas.ranking import INTENTS, Weights
from schemas.searches import Crop
from tests.consumers.flag_catalogue import items, portrait, search

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
SIMILAR = INTENTS["similar"]
FEW = 32
"""The number of null pictures in these tests: the engine in memory is slow."""
MANY_TURNS = 200


class CountingEmbedder:
    """Counts the embedded pictures."""

    def __init__(self, embedder: ImageEmbedder) -> None:
        self.embedder = embedder
        self.batches: list[int] = []

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> Sequence[Look | Failure]:
        self.batches.append(len(pictures))
        return self.embedder.embed(pictures, crops, options)


@pytest.fixture
def indexer(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> ItemIndexer:
    return ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))


def test_idle_turns_measure_bit_by_bit_what_was_asked_for(
    index: Index, embedder: ImageEmbedder, confidence: Calibrator, indexer: ItemIndexer
) -> None:
    indexer.handle(items(0, 24))
    glances = CountingEmbedder(embedder)
    patient = Calibrator(index, glances.embed, confidence.parts, nulls=NullEmbeddings(FEW))
    assert patient.curve("default", SIMILAR) == UNCALIBRATED
    for _ in range(FEW // 4):
        patient.idle()
    assert glances.batches == [4] * (FEW // 4)
    turns = 0
    while not index.notes(["confidence:default"]):
        patient.idle()
        turns += 1
        assert turns < MANY_TURNS
    assert patient.curve("default", SIMILAR).has_threshold


def test_only_the_first_worker_looks_at_the_null_pictures(
    index: Index, embedder: ImageEmbedder, confidence: Calibrator, indexer: ItemIndexer
) -> None:
    indexer.handle(items(0, 24))
    confidence.calibrate("default")
    glances = CountingEmbedder(embedder)
    second = Calibrator(index, glances.embed, confidence.parts, nulls=NullEmbeddings(FEW))
    ours, theirs = confidence.curve("default", SIMILAR), second.curve("default", SIMILAR)
    assert theirs.has_threshold
    assert theirs.threshold == pytest.approx(ours.threshold, abs=2e-3)
    second.idle()
    assert glances.batches == []


def test_a_small_tenant_is_measured_at_once_and_again_when_it_has_grown(
    index: Index, embedder: ImageEmbedder, confidence: Calibrator, indexer: ItemIndexer
) -> None:
    confidence.calibrate("nobody")
    synchronous = Calibrator(
        index, embedder.embed, confidence.parts, nulls=NullEmbeddings(FEW), at_once=ITEM_SYNC_POINTS
    )
    assert not synchronous.curve("default", SIMILAR).has_threshold
    indexer.handle(items(0, 24))
    again = Calibrator(index, embedder.embed, confidence.parts, nulls=NullEmbeddings(FEW), at_once=ITEM_SYNC_POINTS)
    assert again.curve("default", SIMILAR).has_threshold
    assert index.notes(["confidence:default"])["confidence:default"]["points"] == 24
    indexer.handle(items(24, 24))
    third = Calibrator(index, embedder.embed, confidence.parts, nulls=NullEmbeddings(FEW), at_once=ITEM_SYNC_POINTS)
    third.curve("default", SIMILAR)
    assert index.notes(["confidence:default"])["confidence:default"]["points"] == 48


def test_a_larger_tenant_that_has_grown_is_measured_again_between_batches_without_a_wait(
    index: Index,
    embedder: ImageEmbedder,
    confidence: Calibrator,
    indexer: ItemIndexer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumers.scoring.calibrator.SEARCH_SYNC_POINTS", 10)
    indexer.handle(items(0, 24))
    confidence.calibrate("default")
    indexer.handle(items(24, 24))
    worker = Calibrator(
        index, embedder.embed, confidence.parts, nulls=NullEmbeddings(FEW), at_once=ITEM_SYNC_POINTS
    )
    assert worker.curve("default", SIMILAR).has_threshold
    assert index.notes(["confidence:default"])["confidence:default"]["points"] == 24, "nobody waited"
    turns = 0
    while index.notes(["confidence:default"])["confidence:default"]["points"] == 24:
        worker.step_between_batches()
        turns += 1
        assert turns < MANY_TURNS
    assert turns > 1, "in small steps"


def test_while_the_index_is_away_an_idle_turn_does_nothing(embedder: ImageEmbedder, confidence: Calibrator) -> None:
    away = Calibrator(EmbeddedIndex(Path("nobody listens here")), embedder.embed, confidence.parts)
    away.idle()
    away.idle()


def test_own_weights_need_no_new_measurement(index: Index, confidence: Calibrator, indexer: ItemIndexer) -> None:
    indexer.handle(items(0, 24))
    confidence.calibrate("default")
    own = confidence.curve("default", Weights(object=0.5, style=0.2, colour=0.3))
    assert own.has_threshold
    assert own.threshold != confidence.curve("default", SIMILAR).threshold


def test_strict_requests_leave_out_what_is_no_more_alike_than_unrelated_pictures(
    pipeline: ImagePipeline, index: Index, confidence: Calibrator, indexer: ItemIndexer, outbox: "Outbox"
) -> None:
    indexer.handle(items(0, 24))
    confidence.calibrate("default")
    job = SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, "fake:1"))
    known = search(job, outbox, portrait(99, "rgbk"))
    assert known.status == "ok"
    assert known.threshold is not None
    assert {hit.category for hit in known.hits} == {"flag"}
    assert all(0 < hit.confidence <= 1 and hit.score >= known.threshold for hit in known.hits)
    assert [likely.name for likely in known.categories][:1] == ["flag"]
    strange = search(job, outbox, portrait(99, "yyyy"))
    assert (strange.status, strange.hits, strange.categories) == ("no_match", (), ())
    assert "strict: false" in (strange.message or "")
    anyway = search(job, outbox, portrait(99, "yyyy"), strict=False)
    assert anyway.status == "ok"
    assert {hit.confidence for hit in anyway.hits} == {0.0}


def test_before_a_calibration_no_hit_is_cut_and_there_is_no_threshold(
    pipeline: ImagePipeline, index: Index, confidence: Calibrator, indexer: ItemIndexer, outbox: "Outbox"
) -> None:
    indexer.handle(items(0, 24))
    result = search(
        SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, "fake:1")), outbox, portrait(9, "yyyy")
    )
    assert (result.status, result.threshold, len(result.hits)) == ("ok", None, 10)
