"""The looks of queries: by all views, or by the whole view alone where the collection has chosen so."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.points.look_payload import WHOLE_VIEW, whole_view_of
from consumers.points.payload import as_int
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.fetching.fetcher import ImageFetcher
from infra.images.decode import DecodeLimits
from infra.qdrant.contract import Patch
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import calibration_note, point_id
from schemas.items import InlineImage
from schemas.results import SearchResult
from tests.consumers.conftest import Outbox, answer_to, look_parts_of
from tests.consumers.framed_catalogue import TwoViewEncoder, framed_items, framed_photo

Ask = Callable[..., SearchResult]
MANY_STEPS = 2_000
QUERY = 1_001
"""Number of a photo that the catalogue does not have."""


@pytest.fixture
def embedder() -> Iterator[ImageEmbedder]:
    with ThreadPoolExecutor(2) as pool:
        yield ImageEmbedder(TwoViewEncoder(), make_colour_extractor(), DecodeLimits(), pool)


@pytest.fixture
def calibrator(shard: Shard, embedder: ImageEmbedder) -> Calibrator:
    return Calibrator(shard, embedder.embed, look_parts_of(embedder), nulls=NullEmbeddings(32))


@pytest.fixture
def ask(shard: Shard, images: ImageFetcher, embedder: ImageEmbedder, calibrator: Calibrator, outbox: Outbox) -> Ask:
    """Searches over photos whose whole views show their category well."""
    pipeline = ImagePipeline(images.fetch_waves, embedder.embed, "fake:1")
    indexer = ItemIndexer(pipeline, shard, enrichers_of(shard, calibrator), OutcomePublisher(outbox))
    assert indexer.handle(framed_items()) == {}
    sharpen_whole_views(shard, calibrator.parts)
    handler = SearchHandler(pipeline, shard, calibrator, ReplyPublisher(outbox, "fake:1"))
    return partial(answer_to, handler, outbox, image=InlineImage(data=framed_photo(QUERY)))


def sharpen_whole_views(shard: Shard, parts: LookParts) -> None:
    """Bring the stored whole views nearer to those of their category, by which the collection chooses."""
    points, _ = shard.page(None, 1_000)
    stored = {point.id: whole_view_of(point.payload) for point in points}
    patches = []
    for point in points:
        mates = [mate for mate in points if mate.payload["category"] == point.payload["category"]]
        mean = np.mean([part for mate in mates if (part := stored[mate.id]) is not None], axis=0)
        packed = base64.b64encode((mean / np.linalg.norm(mean)).astype("<f2").tobytes()).decode()
        assert len(mean) == parts.object_size
        patches.append(Patch(point.id, {"version": as_int(point.payload["version"]) + 1, WHOLE_VIEW: packed}))
    shard.patch(patches)


def test_a_collection_that_is_idle_chooses_the_whole_view_and_stores_the_choice_with_the_index(
    ask: Ask, shard: Shard, calibrator: Calibrator
) -> None:
    assert ask(explain=True).metric is None, "no search waits for the choice"
    steps = 0
    while not (notes := shard.notes([calibration_note("default")])):
        calibrator.idle()
        steps += 1
        assert steps < MANY_STEPS
    assert steps > 1
    [note] = notes.values()
    summary = note["summary"]
    assert isinstance(summary, dict)
    assert "whole view alone" in summary["metric"], "what `lookstream index status` prints"
    check = calibrator.metric("default").check
    assert check is not None
    assert check.own - check.default > check.margin


def test_searches_by_photos_follow_the_choice_and_explain_it(
    ask: Ask, shard: Shard, embedder: ImageEmbedder, calibrator: Calibrator
) -> None:
    calibrator.calibrate("default")
    [look] = embedder.embed([framed_photo(QUERY)])
    assert isinstance(look, Look)
    assert look.whole_view is not None
    found = ask(explain=True, look=True)
    assert found.metric == calibrator.metric("default").summary()
    ids = [point_id("default", hit.item_id, 0) for hit in found.hits]
    stored = shard.vectors(ids)
    parts = calibrator.parts
    whole = [float(look.whole_view @ parts.object(stored[id])) for id in ids]
    assert [hit.explained.object for hit in found.hits if hit.explained] == pytest.approx(whole, abs=1e-4)
    assert found.look is not None
    assert np.allclose(np.frombuffer(found.look.vector, np.float32), look.vector, atol=1e-6), "all views"


@pytest.mark.parametrize("fields", [{"metric": "default"}, {"intent": "style"}, {"weights": {"object": 1}}])
def test_a_request_can_have_all_views_all_the_same(
    ask: Ask, shard: Shard, embedder: ImageEmbedder, calibrator: Calibrator, fields: dict[str, object]
) -> None:
    calibrator.calibrate("default")
    [look] = embedder.embed([framed_photo(QUERY)])
    assert isinstance(look, Look)
    found = ask(explain=True, **fields)
    assert found.metric is None
    ids = [point_id("default", hit.item_id, 0) for hit in found.hits]
    stored, parts = shard.vectors(ids), calibrator.parts
    both = [float(parts.object(look.vector) @ parts.object(stored[id])) for id in ids]
    assert [hit.explained.object for hit in found.hits if hit.explained] == pytest.approx(both, abs=1e-4)
