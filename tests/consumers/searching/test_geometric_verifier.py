"""Verified hits: keypoints distinguish packages that look alike as a whole."""

from collections.abc import Callable
from functools import partial

import pytest

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.points.look_payload import KEYPOINTS
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.scoring.verification import MIN_AGREEING, VERIFIED_HITS
from consumers.searching.geometric_verifier import GeometricVerifier
from consumers.searching.query_state import QueryState
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import ImageEmbedder
from infra.qdrant.contract import Patch, ScoredPoint
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import calibration_note, numbered_id, point_id, region_numbers
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from tests.consumers.conftest import Outbox, answer_to, look_parts_of
from tests.consumers.vision.packages import jpeg, package, photo

COUNT = 30
Ask = Callable[..., SearchResult]


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [jpeg(package(number)) for number in range(COUNT)]


@pytest.fixture
def calibrator(shard: Shard, embedder: ImageEmbedder) -> Calibrator:
    return Calibrator(shard, embedder.embed, look_parts_of(embedder), nulls=NullEmbeddings(32))


@pytest.fixture
def ask(
    shard: Shard, pipeline: ImagePipeline, calibrator: Calibrator, outbox: Outbox, pictures: list[bytes]
) -> Ask:
    """Searches over thirty packages, after the collection has measured the value of its keypoints."""
    indexer = ItemIndexer(pipeline, shard, enrichers_of(shard, calibrator), OutcomePublisher(outbox))
    items = [
        ItemUpserted(item_id=f"p{number}", revision=1, images=(InlineImage(data=data),))
        for number, data in enumerate(pictures)
    ]
    assert indexer.handle([Event(item) for item in items]) == {}
    calibrator.calibrate("default")
    handler = SearchHandler(pipeline, shard, calibrator, ReplyPublisher(outbox, "fake:1"))
    return partial(answer_to, handler, outbox)


def casual(number: int) -> InlineImage:
    return InlineImage(data=jpeg(photo(package(number), number)))


def ids(result: SearchResult) -> list[str]:
    return [hit.item_id for hit in result.hits]


def test_the_index_measures_that_keypoints_distinguish_packages(ask: Ask, shard: Shard) -> None:
    del ask
    [note] = shard.notes([calibration_note("default")]).values()
    assert isinstance(summary := note["summary"], dict)
    assert summary["verification"].startswith("on: ")


def test_more_photos_find_their_package_first_than_by_the_look_alone(ask: Ask) -> None:
    own = {metric: 0 for metric in ("collection", "default")}
    for number in range(12):
        for metric in own:
            own[metric] += ids(ask(image=casual(number), intent="exact", metric=metric))[0] == f"p{number}"
    assert own["collection"] > own["default"]


def test_an_explained_hit_names_the_points_that_agree(ask: Ask) -> None:
    number = next(n for n in range(COUNT) if ids(ask(image=casual(n), intent="exact"))[0] == f"p{n}")
    hits = ask(image=casual(number), intent="exact", explain=True, top_k=10).hits
    first, *_ = hits
    matches = {hit.item_id: hit.explained.matches for hit in hits if hit.explained}
    assert sum(found is not None for found in matches.values()) == VERIFIED_HITS
    own = matches.pop(first.item_id)
    assert own is not None
    assert len(own) >= MIN_AGREEING
    assert first.explained is not None
    assert 0 < first.explained.geometry == first.boost
    assert all(len(other) < MIN_AGREEING for other in matches.values() if other is not None)


def test_pages_follow_each_other(ask: Ask) -> None:
    whole = ids(ask(image=casual(1), intent="exact", top_k=12))
    pages = [ids(ask(image=casual(1), intent="exact", top_k=3, offset=offset)) for offset in (0, 3, 6, 9)]
    assert [item for page in pages for item in page] == whole


@pytest.mark.parametrize(
    "fields", [{"intent": "style"}, {"intent": "colour"}, {"metric": "default"}, {"weights": {"object": 1}}]
)
def test_searches_for_something_else_or_with_weights_of_their_own_are_not_verified(
    ask: Ask, fields: dict[str, object]
) -> None:
    hits = ask(image=casual(0), explain=True, **fields).hits
    assert [hit.explained.matches for hit in hits if hit.explained] == [None] * len(hits)


def test_an_item_is_verified_by_its_own_keypoints(ask: Ask) -> None:
    hits = ask(item_id="p0", intent="exact", explain=True).hits
    assert any(hit.explained.matches is not None for hit in hits if hit.explained)


def test_a_hit_in_a_region_is_verified_by_the_keypoints_of_its_picture(ask: Ask, shard: Shard) -> None:
    del ask
    request = SearchRequest(request_id="q", item_id="p0")
    place: dict[str, object] = {"tenant": "default", "item_id": "p0"}
    picture = ScoredPoint(point_id("default", "p0", 0), 0.9, {**place, "n": 0})
    region = ScoredPoint(numbered_id("default", "p0", region_numbers(0)[0]), 0.8, {**place, "region_of": 0})
    agreements = GeometricVerifier(shard).verify(QueryState(Event(request), request), [region, picture])
    assert len(agreements[region.id]) >= MIN_AGREEING
    assert agreements[region.id].tolist() == agreements[picture.id].tolist()


def test_a_point_with_broken_keypoints_is_not_verified_and_affects_no_other(ask: Ask, shard: Shard) -> None:
    id = point_id("default", "p0", 0)
    [version] = [payload["version"] for payload in shard.payloads([id], ["version"]).values()]
    assert isinstance(version, int)
    shard.patch([Patch(id, {"version": version + 1, KEYPOINTS: "not base64"})])
    hits = ask(image=casual(0), intent="exact", explain=True, top_k=COUNT).hits
    [broken] = [hit for hit in hits if hit.item_id == "p0"]
    assert broken.explained is not None
    assert broken.explained.matches is None
