"""Hits in regions: a thing in a picture of a post is found with its box, and changes no statistics of pictures."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.region_policy import RegionPolicy
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import Calibrator
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import ImageEmbedder
from infra.fetching.fetcher import ImageFetcher
from infra.qdrant.contract import Index
from schemas.envelope import Event
from schemas.filters import Filters
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from schemas.searches import Crop
from tests.component_detector import ComponentDetector
from tests.consumers.conftest import answer_to
from tests.disc_scenes import draw_discs

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

SIDE, RED_AT, BLUE_AT = 150, (10, 20), (230, 130)
"""Of the discs in the picture of the post, in pixels."""


@pytest.fixture
def post(discs: Path) -> InlineImage:
    """A picture with a red and a blue disc."""
    out = BytesIO()
    draw_discs(discs, (400, 300), (("red", SIDE, RED_AT), ("blue", SIDE, BLUE_AT))).save(out, "PNG")
    return InlineImage(data=out.getvalue())


@pytest.fixture
def search(
    index: Index,
    embedder: ImageEmbedder,
    images: ImageFetcher,
    confidence: Calibrator,
    outbox: "Outbox",
    discs: Path,
    post: InlineImage,
) -> Callable[..., SearchResult]:
    """A search over a post with two things, of the category `street`, and three discs of the category `disc`.

    The tenant `plain` has the same items without things.
    """
    regions = RegionPolicy(tenants={"plain": "none"}, sources={"social": "auto"})
    embed = replace(embedder, open_detector=ComponentDetector).embed
    pipeline = ImagePipeline(images.fetch_waves, embed, "fake:1", regions=regions)
    jobs = ItemIndexer(pipeline, index, enrichers_of(index, confidence), OutcomePublisher(outbox))
    items = [
        ItemUpserted(item_id=name, revision=1, category="disc", images=(disc(discs, name),))
        for name in ("green", "yellow", "black")
    ]
    images_of_post = (items[0].images[0], post)
    items.append(
        ItemUpserted(item_id="post", revision=1, source="social", category="street", images=images_of_post)
    )
    plain = [item.model_copy(update={"tenant": "plain"}) for item in items]
    assert jobs.handle([Event(item) for item in (*items, *plain)]) == {}
    handler = SearchHandler(pipeline, index, confidence, ReplyPublisher(outbox, "fake:1"))
    return lambda **fields: answer_to(handler, outbox, **fields)


def disc(discs: Path, name: str) -> InlineImage:
    return InlineImage(data=(discs / f"{name}.png").read_bytes())


@pytest.mark.parametrize(("name", "place"), [("red", RED_AT), ("blue", BLUE_AT)])
def test_a_post_is_found_by_a_photo_of_one_of_its_things_with_the_box(
    search: Callable[..., SearchResult], discs: Path, name: str, place: tuple[int, int]
) -> None:
    result = search(image=disc(discs, name), intent="colour")
    hit = result.hits[0]
    assert (hit.item_id, hit.image) == ("post", 1)
    assert hit.box is not None
    middle = (hit.box.x + hit.box.w / 2) * 400, (hit.box.y + hit.box.h / 2) * 300
    assert middle == pytest.approx((place[0] + SIDE / 2, place[1] + SIDE / 2), abs=SIDE / 10)
    assert hit.colours[0] == name
    assert [each.item_id for each in result.hits].count("post") == 1


def test_a_hit_in_a_region_has_the_thumbnail_of_its_picture(
    search: Callable[..., SearchResult], discs: Path
) -> None:
    hit = search(image=disc(discs, "red"), intent="colour", thumbnails=True).hits[0]
    assert hit.box is not None
    assert hit.thumbnail is not None
    with Image.open(BytesIO(hit.thumbnail)) as thumbnail:
        assert thumbnail.width / thumbnail.height == pytest.approx(4 / 3, abs=0.05)


def test_the_picture_as_a_whole_has_no_box(search: Callable[..., SearchResult], post: InlineImage) -> None:
    hit = search(image=post).hits[0]
    assert (hit.item_id, hit.image, hit.box) == ("post", 1, None)


def test_filters_are_those_of_the_item_and_colours_those_of_the_thing(
    search: Callable[..., SearchResult], discs: Path
) -> None:
    def boxes(**filters: object) -> list[bool]:
        result = search(image=disc(discs, "red"), intent="colour", filters=Filters.model_validate(filters))
        return [hit.box is not None for hit in result.hits if hit.item_id == "post"]

    assert boxes(category=("street",), colours=("red",)) == [True]
    assert boxes(category=("disc",)) == []
    assert boxes(source=("social",)) == [True]


@pytest.mark.parametrize("place", [RED_AT, BLUE_AT])
def test_only_pictures_vote_on_the_category(
    search: Callable[..., SearchResult], index: Index, post: InlineImage, place: tuple[int, int]
) -> None:
    assert index.count("default") == index.count("plain") == 5
    assert index.status().regions == 2
    margin, side = SIDE / 6, SIDE * 2 / 3
    crop = Crop(x=(place[0] + margin) / 400, y=(place[1] + margin) / 300, w=side / 400, h=side / 300)
    result, plain = (search(tenant=tenant, image=post, crop=crop, top_k=20) for tenant in ("default", "plain"))
    assert result.hits[0].box is not None
    assert not any(hit.box for hit in plain.hits)
    assert result.categories == plain.categories


def test_hits_with_keypoints_of_the_picture_are_explained_as_others(
    search: Callable[..., SearchResult], discs: Path
) -> None:
    hit = search(image=disc(discs, "red"), intent="colour", explain=True).hits[0]
    assert hit.box is not None
    assert hit.explained is not None
    assert hit.explained.colour == pytest.approx(1, abs=0.1)
