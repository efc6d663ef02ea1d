"""Meanings of texts: a small shop whose encoder has a text tower, which knows the pictures of some texts."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from consumers.embedding.pipeline import ImagePipeline, TextEncoder
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import parts_of
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.searching.words.text_search import fuse_ranks
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look_vector import look_size
from infra.array_types import Floats
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from infra.fetching.fetcher import ImageFetcher
from infra.images.decode import DecodeLimits
from infra.qdrant.contract import ScoredPoint
from infra.qdrant.embedded.shard import Shard
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from tests.consumers.conftest import Outbox, answer_to
from tests.contracts.families import save_joint
from tests.infra.images.drawn import encoded

SHOP = {
    "harbour": ("Shirts", "Harbour shirt"),
    "meadow": ("Shirts", "Shirt with a palm"),
    "desert": ("Shirts", None),
    "snow": ("Dresses", None),
    "night": ("Dresses", None),
    "coral": ("Dresses", None),
    "island": ("Shirts", None),
}
KNOWN = {"cosy evening": "night", "cosy shirt": "night", "palm": "island", "cosy": "coral"}
"""Texts, and the item whose picture the text tower gives the same vector."""


def picture(number: int) -> Image.Image:
    """A picture of coarse noise, of other colours for each number."""
    draw = np.random.default_rng(number)
    noise = draw.integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize((96, 96), Image.Resampling.NEAREST)


PICTURES = {name: picture(number) for number, name in enumerate(SHOP)}


@pytest.fixture(scope="module")
def joint_embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageEmbedder]:
    folder = tmp_path_factory.mktemp("models") / "clip"
    save_joint("clip", folder, {text: PICTURES[name] for text, name in KNOWN.items()})
    encoder = open_encoder(str(folder), TorchSettings(threads=1, precision="float32"))
    with ThreadPoolExecutor(2) as pool:
        yield ImageEmbedder(encoder, make_colour_extractor(), DecodeLimits(), pool)


@dataclass
class CountingTower:
    """The text tower of an encoder, which notes the texts that it reads."""

    encoder: TextEncoder
    texts: list[str] = field(default_factory=list)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        self.texts += texts
        return self.encoder.encode_texts(texts)


@pytest.fixture
def tower(joint_embedder: ImageEmbedder) -> CountingTower:
    assert isinstance(joint_embedder.encoder, TextEncoder)
    return CountingTower(joint_embedder.encoder)


@pytest.fixture
def ask(
    joint_embedder: ImageEmbedder, tower: CountingTower, images: ImageFetcher, outbox: Outbox, tmp_path: Path
) -> Iterator[Any]:
    """Asks one question about the shop."""
    encoder = joint_embedder.encoder
    index = Shard(tmp_path, 0)
    index.open(encoder.fingerprint, look_size(encoder))
    pipeline = ImagePipeline(images.fetch_waves, joint_embedder.embed, encoder.fingerprint, text_encoder=tower)
    calibrator = Calibrator(index, joint_embedder.embed, parts_of(encoder), nulls=NullEmbeddings(32))
    indexer = ItemIndexer(pipeline, index, enrichers_of(index, calibrator), OutcomePublisher(outbox))
    things = [Event(thing(name, tenant)) for tenant in ("default", "small") for name in list(SHOP)[: size(tenant)]]
    assert indexer.handle(things) == {}
    handler = SearchHandler(pipeline, index, calibrator, ReplyPublisher(outbox, encoder.fingerprint))
    yield partial(answer_to, handler, outbox)
    index.close()


def size(tenant: str) -> int:
    return 3 if tenant == "small" else len(SHOP)


def thing(name: str, tenant: str) -> ItemUpserted:
    category, title = SHOP[name]
    fields = {"item_id": name, "tenant": tenant, "revision": 1, "category": category, "title": title}
    return ItemUpserted.model_validate(
        fields | {"images": (InlineImage(data=encoded(PICTURES[name], "PNG")),)}, strict=False
    )


def ids(result: SearchResult) -> list[str]:
    return [hit.item_id for hit in result.hits]


def kinds(result: SearchResult) -> list[tuple[str, str]]:
    return [(word.text, word.kind) for word in result.understood]


def test_a_text_that_no_item_has_finds_pictures_by_its_meaning(ask: Any) -> None:
    result = ask(text="cosy evening")
    assert ids(result)[0] == "night"
    assert kinds(result) == [("cosy", "meaning"), ("evening", "meaning")]
    assert len(ids(result)) == len(SHOP), "nothing is filtered"


def test_filters_from_words_hold_for_the_meaning_too(ask: Any) -> None:
    result = ask(text="cosy shirt")
    assert kinds(result) == [("cosy", "meaning"), ("shirt", "category")]
    assert set(ids(result)) == {name for name, (category, _) in SHOP.items() if category == "Shirts"}


def test_a_word_of_an_item_ranks_with_the_meaning_and_does_not_filter(ask: Any) -> None:
    result = ask(text="palm")
    assert kinds(result) == [("palm", "word")]
    assert ids(result)[:2] == ["meadow", "island"], "one has the word, the other one the picture"
    assert len(ids(result)) == len(SHOP)


def test_a_word_that_is_to_be_matched_to_texts_alone_filters(ask: Any) -> None:
    assert ids(ask(text="palm", plain_words=("palm",))) == ["meadow"]
    assert ids(ask(text="cosy palm", plain_words=("palm",))) == ["meadow"]


def test_a_word_that_is_left_out_has_no_meaning(ask: Any) -> None:
    result = ask(text="cosy evening", ignore_words=("cosy", "evening"))
    assert (result.hits, [word.reason for word in result.understood]) == ((), ["ignored", "ignored"])


def test_a_meaning_beside_a_look_moves_hits_and_leaves_their_scores(ask: Any) -> None:
    image = InlineImage(data=encoded(PICTURES["harbour"], "PNG"))
    plain, changed = ask(image=image), ask(image=image, text="cosy", explain=True)
    assert kinds(changed) == [("cosy", "meaning")]
    assert max(changed.hits, key=lambda hit: hit.boost).item_id == "coral"
    assert ids(changed).index("coral") < ids(plain).index("coral")
    scores, changed_scores = ({hit.item_id: hit.score for hit in result.hits} for result in (plain, changed))
    assert changed_scores == pytest.approx(scores, abs=1e-4)
    assert all(hit.boost == pytest.approx(hit.explained.words) for hit in changed.hits)
    assert min(hit.boost for hit in changed.hits) == pytest.approx(0, abs=1e-4)
    assert ids(changed) == [hit.item_id for hit in sorted(changed.hits, key=lambda hit: -hit.score - hit.boost)]
    assert all(hit.same_item is None for hit in changed.hits)


@pytest.mark.parametrize("text", ["not cosy", "a shirt"])
def test_negations_and_facts_alone_are_not_read_by_the_tower_beside_a_look(ask: Any, text: str) -> None:
    assert "meaning" not in {kind for _, kind in kinds(ask(item_id="harbour", text=text))}


def test_a_collection_of_few_pictures_has_no_range_for_a_text_beside_a_look(ask: Any) -> None:
    result = ask(tenant="small", item_id="harbour", text="cosy")
    assert kinds(result) == [("cosy", "unknown")]
    assert set(ids(result)) == {"meadow", "desert"}


def test_pages_of_a_text_follow_each_other_and_the_tower_reads_it_once(ask: Any, tower: CountingTower) -> None:
    whole = ids(ask(text="cosy evening"))
    pages = [ids(ask(text="cosy evening", top_k=2, offset=offset)) for offset in (0, 2, 4)]
    assert [name for page in pages for name in page] == whole[:6]
    assert tower.texts == ["cosy evening"]


def test_ranks_are_fused_by_their_reciprocals() -> None:
    def point(name: str, score: float) -> ScoredPoint:
        return ScoredPoint(f"{name}-{score}", score, {"item_id": name})

    fused = fuse_ranks([point("a", 9.0), point("b", 2.0)], [point("b", 0.3), point("c", 0.2)])
    assert [hit.payload["item_id"] for hit in fused] == ["b", "a", "c"]
    assert fused[0].score == pytest.approx((1 + 61 / 62) / 2)
    assert fuse_ranks([point("a", 9.0)], [point("a", 0.3)])[0].score == 1
