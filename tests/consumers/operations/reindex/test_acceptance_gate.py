"""The acceptance gate of a new index, and the shadow queries by which it decides."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.operations.reindex.acceptance_gate import AcceptanceGate, gate_violations, read_gate
from consumers.operations.reindex.shadow_queries import ShadowIndex, ShadowMeasures, draw, measure
from consumers.scoring.calibrator import Calibrator
from consumers.vision.embedder import ImageEmbedder
from infra.config.errors import BadInput
from infra.qdrant.contract import Index
from tests.consumers.indexing.test_handler import inline, upsert

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

GOOD = ShadowMeasures(10, 1.0, 0.9)


@pytest.mark.parametrize(
    ("new", "missing", "message"),
    [
        (ShadowMeasures(10, 0.8, 0.9), 0, "first_hit_rate is 0.800"),
        (ShadowMeasures(10, 0.95, 0.9), 0, "first_hit_loss is 0.050"),
        (ShadowMeasures(10, 1.0, 0.7), 0, "category_loss is 0.200"),
        (GOOD, 3, "3 items are missing"),
    ],
)
def test_each_limit_holds_a_new_index_up_by_itself(new: ShadowMeasures, missing: int, message: str) -> None:
    assert message in gate_violations(AcceptanceGate(), GOOD, new, missing)[0]


def test_what_is_as_good_or_cannot_be_measured_passes() -> None:
    assert gate_violations(AcceptanceGate(), GOOD, GOOD, 0) == []
    assert gate_violations(AcceptanceGate(), GOOD, ShadowMeasures(10, 0.98, 0.88), 0) == [], (
        "exactly what is allowed"
    )
    assert gate_violations(AcceptanceGate(), ShadowMeasures(0, None, None), ShadowMeasures(0, None, None), 0) == []
    assert (
        gate_violations(AcceptanceGate(missing=3, category_loss=0.5), GOOD, ShadowMeasures(10, 0.99, 0.5), 3) == []
    )


def test_a_gate_is_read_from_toml(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("first_hit_rate = 0.5\nmissing = 7\n")
    assert read_gate(tmp_path / "gate.toml") == AcceptanceGate(first_hit_rate=0.5, missing=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("first_hit_rate = 2\n", "first_hit_rate"),
        ("speed = 1\n", "speed"),
        ("first_hit_rate", "TOML"),
        (None, "cannot be read"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "gate.toml").write_text(text)
    with pytest.raises(BadInput, match=message):
        read_gate(tmp_path / "gate.toml")


def test_shadow_queries_find_items_by_their_own_thumbnails_and_judge_by_given_categories(
    index: Index,
    embedder: ImageEmbedder,
    pipeline: ImagePipeline,
    confidence: Calibrator,
    outbox: "Outbox",
    discs: Path,
) -> None:
    job = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
    kinds = {"red": "disc", "green": "disc", "blue": "disc", "yellow": "ball", "black": None}
    job.handle([upsert(name, 1, inline(discs, name), category=kind) for name, kind in kinds.items()])
    queries = draw(index, index, 100)
    assert {query.item_id for query in queries} == set(kinds)
    assert {query.item_id: query.category for query in queries}["black"] is None
    measures = measure(ShadowIndex(index, embedder), queries)
    assert (measures.queries, measures.first_hit_rate) == (5, 1.0)
    assert measures.category_share == pytest.approx((3 * 2 / 4 + 0) / 4)
    assert len(draw(index, index, 2)) == 2


def test_of_an_empty_index_there_is_nothing_to_measure(index: Index, embedder: ImageEmbedder) -> None:
    assert measure(ShadowIndex(index, embedder), draw(index, index, 10)) == ShadowMeasures(0, None, None)
