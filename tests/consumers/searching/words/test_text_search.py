"""Searches by words: a small shop, searched by texts alone, beside pictures and beside items."""

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from consumers.vision.embedder import ImageEmbedder
from infra.qdrant.contract import Index, Patch
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from schemas.words import MOST_WORDS
from tests.consumers.conftest import answer_to, look_parts_of
from tests.consumers.flag_catalogue import portrait

if TYPE_CHECKING:
    from tests.consumers.conftest import Outbox

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

SHOP: dict[str, dict[str, Any]] = {
    "navy-shirt": {"category": "Shirts", "brand": "Roadster", "price": "25", "color": "Navy Blue", "gender": "Men"},
    "red-shirt": {"category": "Shirts", "brand": "Roadster", "price": "35", "color": "Red", "gender": "Men"},
    "maroon-shirt": {"category": "Shirts", "brand": "Arrow", "price": "15", "color": "Maroon", "gender": "Women"},
    "red-dress": {"category": "Dresses", "brand": "Arrow", "price": "50", "color": "Red", "gender": "Women"},
    "red-tee": {"category": "Tshirts", "brand": "Arrow", "price": "10", "color": "Red", "gender": "Men"},
    "plain-tee": {"category": "Tshirts", "brand": "Levi's", "price": "12", "color": "White", "gender": "Men"},
}
TITLES = {"red-tee": "Striped tee with a sailor", "plain-tee": "Basic café tee", "red-dress": "Summer dress"}


def thing(number: int, name: str) -> ItemUpserted:
    facts = SHOP[name]
    return ItemUpserted.model_validate(
        {
            "item_id": name,
            "revision": 1,
            "images": (InlineImage(data=portrait(number, "rgbk")),),
            "title": TITLES.get(name),
            "category": facts["category"],
            "brand": facts["brand"],
            "price": facts["price"],
            "currency": "EUR",
            "attributes": {key: facts[key] for key in ("color", "gender")},
        },
        strict=False,
    )


def open_shop(pipeline: ImagePipeline, index: Index, calibrator: Calibrator, outbox: "Outbox") -> Any:
    """Fill the index, and return what answers one question about the shop."""
    indexer = ItemIndexer(pipeline, index, enrichers_of(index, calibrator), OutcomePublisher(outbox))
    things = [thing(number, name) for number, name in enumerate(SHOP)]
    things.append(things[0].model_copy(update={"tenant": "other", "brand": "Zanzibar", "title": "Parasol"}))
    assert indexer.handle([Event(each) for each in things]) == {}
    return partial(answer_to, SearchHandler(pipeline, index, calibrator, ReplyPublisher(outbox, "fake:1")), outbox)


@pytest.fixture
def ask(pipeline: ImagePipeline, index: Index, confidence: Calibrator, outbox: "Outbox") -> Any:
    """Asks one question about the shop, best effort unless it says otherwise."""
    return open_shop(pipeline, index, confidence, outbox)


@pytest.fixture
def ask_engine(pipeline: ImagePipeline, shard: Shard, embedder: ImageEmbedder, outbox: "Outbox") -> Any:
    """The same on the embedded engine."""
    calibrator = Calibrator(shard, embedder.embed, look_parts_of(embedder), nulls=NullEmbeddings(32))
    return open_shop(pipeline, shard, calibrator, outbox)


ODD_WORDS = (
    "not", "without", "ohne", "no", "or", "and", "under", "between", "20", "to", "-", "30", "\u20ac", ",", "'",
    "red", "shirt", "cheaper", "maroonshirt", "xyzzy", "\u00b2", "\u2460", "\u0661\u0662", "\u037a", "\ufdfa",
    "\U0001f457", "\u202etrihs", "\u05d0\u05d3\u05d5\u05dd", "re\u0301d", "r\u0335e\u0336d", "(a+)+$", ".*",
    "\ufb01t", "[^", "\\d", "\x00", "\x1b[2J", "a" * 299,
)  # fmt: skip
"""Negations alone, prices of all kinds, control characters, combining marks, other scripts, expressions."""
ODD_TEXTS = st.one_of(
    st.text(min_size=1, max_size=300),
    st.lists(st.sampled_from(ODD_WORDS), min_size=1, max_size=80).map(lambda words: " ".join(words)[:300]),
).filter(str.strip)


def ids(result: SearchResult) -> set[str]:
    return {hit.item_id for hit in result.hits}


def kinds(result: SearchResult) -> list[tuple[str, str]]:
    return [(word.text, word.kind) for word in result.understood]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("navy men's shirt", {"navy-shirt"}),
        ("red shirts", {"red-shirt"}),
        ("maroon", {"maroon-shirt"}),
        ("rote Hemden", {"red-shirt"}),
        ("rotes Kleid", {"red-dress"}),
        ("t-shirts", {"red-tee", "plain-tee"}),
        ("T Shirt", {"red-tee", "plain-tee"}),
        ("levis tshirt", {"plain-tee"}),
        ("shirt under 30", {"navy-shirt", "maroon-shirt"}),
        ("Hemd ab 20 Euro", {"navy-shirt", "red-shirt"}),
        ("shirts, 20 to 30 euros", {"navy-shirt"}),
        ("shirt between 10 and 20", {"maroon-shirt"}),
        ("20-40€", {"navy-shirt", "red-shirt"}),
        ("shirt without red", {"navy-shirt", "maroon-shirt"}),
        ("nicht rotes T-Shirt", {"plain-tee"}),
        ("tshirt without stripes", {"plain-tee"}),
        ("striped t-shirt", {"red-tee"}),
        ("roadster", {"navy-shirt", "red-shirt"}),
        ("shirt or dress, not from Roadster", {"maroon-shirt", "red-dress"}),
        ("tshirt not red or white", {"navy-shirt", "maroon-shirt"}),
        ("sailor", {"red-tee"}),
        ("cafe", {"plain-tee"}),
        ("raodster shirt", {"navy-shirt", "red-shirt"}),
    ],
)
def test_a_text_alone_finds_what_it_describes(ask: Any, text: str, found: set[str]) -> None:
    result = ask(text=text)
    assert ids(result) == found, result.understood


def test_each_word_is_told_with_what_it_was_understood_as(ask: Any) -> None:
    result = ask(text="navy mens shirts xyzzy under 30 not from roadstar")
    assert kinds(result) == [
        ("navy", "colour"), ("mens", "attribute"), ("shirts", "category"), ("xyzzy", "unknown"),
        ("under 30", "price"), ("roadstar", "brand"),
    ]  # fmt: skip
    assert result.understood[0].values == ("navy",)
    assert result.understood[1].values == ("gender=Men",)
    assert result.understood[4].values == ("..30 EUR",)
    assert (result.understood[5].corrected, result.understood[5].negated) == ("roadster", True)


def test_nonsense_alone_is_told_and_finds_nothing(ask: Any) -> None:
    result = ask(text="xyzzy plugh")
    assert (result.status, kinds(result)) == ("no_match", [("xyzzy", "unknown"), ("plugh", "unknown")])
    assert "`xyzzy`, `plugh`" in result.message


def test_a_text_of_function_words_alone_says_so(ask: Any) -> None:
    result = ask(text="the same, please")
    assert (result.status, result.understood) == ("no_match", ())
    assert "the text has no word to search by" in result.message


def test_nonsense_beside_a_picture_filters_nothing(ask: Any) -> None:
    plain, with_words = ask(item_id="red-shirt"), ask(item_id="red-shirt", text="xyzzy")
    assert ids(with_words) == ids(plain) == set(SHOP) - {"red-shirt"}


def test_what_would_leave_nothing_is_dropped_and_told(ask: Any) -> None:
    result = ask(text="navy dress")
    assert ids(result) == {"red-dress"}
    assert [(word.text, word.dropped, word.reason) for word in result.understood] == [
        ("navy", True, "too_few_hits"),
        ("dress", False, None),
    ]


def test_words_can_be_left_out_or_matched_as_they_are(ask: Any) -> None:
    assert ids(ask(text="red shirt", ignore_words=("red",))) == {"navy-shirt", "red-shirt", "maroon-shirt"}
    plain = ask(text="summer red", plain_words=("red",))
    assert kinds(plain) == [("summer", "word"), ("red", "word")]


def test_a_plain_word_that_no_text_has_is_not_read_as_another_one(ask: Any) -> None:
    assert kinds(ask(text="shirt roadstar"))[1] == ("roadstar", "brand")
    assert kinds(ask(text="shirt roadstar", plain_words=("roadstar",)))[1] == ("roadstar", "unknown")


def test_words_beside_an_item_change_what_they_name_and_leave_the_rest(ask: Any) -> None:
    result = ask(item_id="navy-shirt", text="the same but in red")
    assert {hit.item_id for hit in result.hits} == {"red-shirt", "red-dress", "red-tee"}
    assert result.hits[0].item_id == "red-shirt", "its category and gender are those of the item"
    assert all(hit.same_item is None for hit in result.hits), "another thing was asked for"
    assert ids(ask(item_id="red-shirt", text="cheaper")) == {"navy-shirt", "maroon-shirt", "red-tee", "plain-tee"}
    assert ids(ask(item_id="red-shirt", text="a dress")) == {"red-dress"}


def test_words_beside_a_picture_filter_even_in_a_strict_search(ask: Any) -> None:
    image = InlineImage(data=portrait(1, "rgbk"))
    assert ids(ask(image=image, text="dress", strict=True)) == {"red-dress"}


def test_items_from_before_searches_by_words_are_found_by_their_facts(ask: Any, index: Index) -> None:
    for name in SHOP:
        index.patch([Patch(point_id("default", name, 0), {"words": None, "version": 99})])
    assert ids(ask(text="red shirt")) == {"red-shirt"}
    result = ask(text="red sailor")
    assert ids(result) == {"red-shirt", "red-dress", "red-tee"}
    assert [(word.text, word.reason) for word in result.understood] == [("red", None), ("sailor", "not_indexed")]


@pytest.mark.parametrize("text", ["zanzibar", "zanzibat", "parasol"])
def test_words_of_another_tenant_mean_nothing(ask: Any, text: str) -> None:
    assert ids(ask(text=text, tenant="other")) == {"navy-shirt"}
    result = ask(text=text)
    assert (ids(result), kinds(result)) == (set(), [(text, "unknown")])
    assert ids(ask(text=text, item_id="red-shirt")) == set(SHOP) - {"red-shirt"}


@given(text=ODD_TEXTS, alone=st.booleans(), overruled=st.lists(st.sampled_from(ODD_WORDS), max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_an_answer_that_says_how_it_was_read(
    ask_engine: Any, text: str, alone: bool, overruled: list[str]
) -> None:
    words = {"ignore_words": tuple(overruled[:1]), "plain_words": tuple(overruled[1:])}
    result = ask_engine(text=text, item_id=None if alone else "red-shirt", **words)
    assert result.status in ("ok", "no_match"), result.message
    assert result.status == "ok" or result.message
    assert SearchResult.model_validate_json(result.model_dump_json(by_alias=True)) == result
    assert len(result.understood) <= MOST_WORDS
    assert all(word.text in text for word in result.understood)
    if alone and all(word.kind == "unknown" for word in result.understood):
        assert result.hits == (), "words that were not understood find nothing"


@pytest.mark.parametrize("text", ["red " * 10_000, "x" * 1_000_000, "\ud800"])
def test_a_text_that_is_too_long_or_broken_is_refused_by_its_name(ask: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="text"):
        ask(text=text)


def test_a_page_follows_another(ask: Any) -> None:
    pages = [ask(text="tshirt or shirt", top_k=2, offset=offset) for offset in (0, 2)]
    assert [page.more for page in pages] == [True, True]
    assert not ids(pages[0]) & ids(pages[1])
