"""The commands of the producers, as people run them, against a real broker."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from infra.config.kafka import KafkaSettings
from infra.kafka import Record, TopicReader
from producers.commands import app
from schemas.envelope import from_bytes
from schemas.filters import Filters
from schemas.items import InlineImage, ItemDeleted, ItemUpserted
from schemas.ranking import Boosts
from schemas.results import Explained, Hit, KeypointMatch, Likely, SearchResult
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS, SOCIAL_POSTS
from schemas.words import UnderstoodWord, Variation

ROOT = Path(__file__).parents[2]
RunQueryWorker = Callable[[Callable[[SearchRequest], list[SearchResult]]], AbstractContextManager[None]]


@pytest.fixture
def catalog(kafka: KafkaSettings) -> Iterator[TopicReader]:
    """A reader of the topic of catalog items, from now on."""
    reader = TopicReader(kafka, CATALOG_ITEMS)
    yield reader
    reader.close()


@pytest.fixture
def posts(kafka: KafkaSettings) -> Iterator[TopicReader]:
    """A reader of the topic of social posts, from now on."""
    reader = TopicReader(kafka, SOCIAL_POSTS)
    yield reader
    reader.close()


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def take(reader: TopicReader, count: int) -> list[Record]:
    records = [reader.poll(10) for _ in range(count)]
    return [record for record in records if record is not None]


def body(record: Record) -> object:
    assert record.value is not None
    return from_bytes(record.value)


def assert_plain(found: Result, code: int, part: str) -> None:
    assert (found.exit_code, found.stdout) == (code, ""), found.output
    assert part in found.stderr
    assert "Traceback" not in found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)


def test_a_catalog_is_sent_item_by_item(here: Path, catalog: TopicReader, picture: bytes) -> None:
    (here / "feed.csv").write_text("id,image_link\n" + "".join(f"{n},a.png\n" for n in range(250)))
    found = run("ingest", "catalog", "feed.csv", "--image-root", ".", "--tenant", "shop")
    assert (found.exit_code, "sent 250 events" in found.stderr) == (0, True), found.output
    items = [body(record) for record in take(catalog, 250)]
    assert {item.item_id for item in items if isinstance(item, ItemUpserted)} == {str(n) for n in range(250)}
    assert isinstance(items[0], ItemUpserted)
    assert items[0].images == (InlineImage(data=picture),)


def test_records_lie_under_the_items_key(here: Path, catalog: TopicReader) -> None:
    (here / "feed.csv").write_text("id,image_link\n7,https://a.test/b.jpg\n")
    assert run("ingest", "catalog", "feed.csv", "--tenant", "shop").exit_code == 0
    [record] = take(catalog, 1)
    assert record.key == b"shop:7"
    assert record.headers["ce_type"] == b"lookstream.item.upserted/1"


def test_a_bad_row_is_reported_and_the_rest_is_sent(here: Path, catalog: TopicReader) -> None:
    (here / "feed.csv").write_text("id,image_link\n1,a.png\n2,none.png\n3,a.png\n")
    found = run("ingest", "catalog", "feed.csv", "--image-root", ".")
    assert_plain(found, 1, "line 3: column `image_link`: there is no picture file `none.png`")
    assert "sent 2 events" in found.stderr
    assert "1 bad row" in found.stderr
    assert len(take(catalog, 2)) == 2


def test_a_limit_is_kept(here: Path, catalog: TopicReader) -> None:
    (here / "feed.csv").write_text("id,image_link\n" + "1,https://a.test/b.jpg\n" * 9)
    assert "sent 3 events" in run("ingest", "catalog", "feed.csv", "--limit", "3").stderr
    assert len(take(catalog, 3)) == 3


def test_posts_and_their_deletions_are_sent(here: Path, posts: TopicReader) -> None:
    note = {"type": "Note", "id": "p1", "attachment": {"type": "Image", "url": "a.png"}}
    lines = [
        {"type": "Create", "object": note},
        {"type": "Delete", "object": "p1"},
        {"type": "Like", "object": "p1"},
    ]
    (here / "posts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = run("ingest", "social", "posts.jsonl", "--image-root", ".")
    assert (found.exit_code, "1 row skipped" in found.stderr) == (0, True), found.output
    assert [type(body(record)) for record in take(posts, 2)] == [ItemUpserted, ItemDeleted]


def test_items_are_deleted_in_the_topic_of_their_source(
    here: Path, catalog: TopicReader, posts: TopicReader
) -> None:
    assert run("delete", "1", "2", "--tenant", "shop").exit_code == 0
    assert run("delete", "p1", "--source", "social").exit_code == 0
    assert {record.key for record in take(catalog, 2)} == {b"shop:1", b"shop:2"}
    [gone] = take(posts, 1)
    assert isinstance(body(gone), ItemDeleted)


def hits_of(request: SearchRequest) -> list[SearchResult]:
    hit = Hit(
        item_id="7", tenant="default", score=0.91, image=0, source="catalog", revision=1, title="Boot [red]\x1b[2J",
        category="Boots", price=19.9, currency="EUR", colours=("red",), confidence=0.83, category_confidence=0.9,
    )  # fmt: skip
    likely = (Likely(name="Boots", confidence=0.97), Likely(name="Bags\x1b[2J", confidence=0.03))
    return [SearchResult(request_id=request.request_id, status="ok", hits=(hit,), categories=likely)]


def test_a_search_prints_a_table_that_others_cannot_steer(here: Path, answer: RunQueryWorker) -> None:
    with answer(hits_of):
        found = run("search", "a.png", "--crop", "0,0,0.5,0.5", "--filter", "category=Boots")
    assert found.exit_code == 0, found.output
    for part in ("Boot [red]", "0.910", "83%", "Boots?", "19.90 EUR", "1 hit in", "looks like Boots (97%), Bags"):
        assert part in found.stdout
    assert "\x1b[2J" not in found.stdout


def test_json_is_the_result_and_nothing_else(here: Path, answer: RunQueryWorker) -> None:
    with answer(hits_of):
        found = run("search", "item:7", "--json")
    result = from_bytes(found.stdout.encode())
    assert isinstance(result, SearchResult)
    assert result.hits[0].item_id == "7"


def test_what_is_asked_is_what_was_typed(here: Path, answer: RunQueryWorker, picture: bytes) -> None:
    requests: list[SearchRequest] = []

    def note(request: SearchRequest) -> list[SearchResult]:
        requests.append(request)
        return hits_of(request)

    words = (
        "search a.png --crop 0,0,0.5,0.5 --top-k 3 --filter colour=red --filter price=1..2 --intent style "
        "--min-score 0.2 --best-effort --tenant shop --deadline 7 --sheet out.png"
    )
    with answer(note):
        assert run(*words.split()).exit_code == 0
    [request] = requests
    assert request.image == InlineImage(data=picture)
    assert request.crop is not None
    assert (request.top_k, request.intent, request.min_score, request.tenant) == (3, "style", 0.2, "shop")
    assert (request.filters.colours, request.filters.price_max) == (("red",), 2)
    assert (request.deadline_ms, request.thumbnails, request.strict) == (7000, True, False)
    with Image.open("out.png") as sheet:
        assert sheet.format == "PNG"


def test_a_text_is_asked_and_how_it_was_understood_is_printed(here: Path, answer: RunQueryWorker) -> None:
    requests: list[SearchRequest] = []
    understood = (
        UnderstoodWord(text="navy", kind="colour", field="colours", values=("navy",)),
        UnderstoodWord(text="shrit", kind="category", field="category", values=("Shirts",), corrected="shirt"),
        UnderstoodWord(text="silk", kind="word", values=("silk",), dropped=True, reason="too_few_hits"),
        UnderstoodWord(text="cosy", kind="meaning"),
        UnderstoodWord(text="xyzzy\x1b[2J", kind="unknown"),
        UnderstoodWord(text="sailor", kind="unknown", reason="not_indexed"),
        UnderstoodWord(text="stripes", kind="pattern", values=("striped",), negated=True),
    )

    def note(request: SearchRequest) -> list[SearchResult]:
        requests.append(request)
        return [result.model_copy(update={"understood": understood}) for result in hits_of(request)]

    with answer(note):
        found = run("search", "--text", "navy shrit", "--ignore-word", "silk", "--plain-word", "red")
    assert found.exit_code == 0, found.output
    [request] = requests
    assert (request.text, request.ignore_words, request.plain_words) == ("navy shrit", ("silk",), ("red",))
    for part in (
        "understood navy (colour navy), shrit (category Shirts, read as shirt), cosy (meaning), "
        "not stripes (pattern striped)",
        "nothing would be left, so not filtered by silk (word silk)",
        "not understood: xyzzy",
        "not found: sailor; some items were indexed before searches by words, and `lookstream reindex`",
    ):
        assert part in found.stdout
    assert "\x1b[2J" not in found.stdout


def test_the_variations_of_an_item_are_asked_for_and_printed_by_kind(here: Path, answer: RunQueryWorker) -> None:
    requests: list[SearchRequest] = []
    variations = (
        Variation(kind="colour", value="red", text="red", count=12),
        Variation(kind="colour", value="navy", text="navy", count=1),
        Variation(kind="price", value="..30 EUR", text="cheaper", count=31),
        Variation(kind="pattern", value="striped\x1b[2J", negated=True, text="not striped\x1b[2J", count=2),
    )

    def note(request: SearchRequest) -> list[SearchResult]:
        requests.append(request)
        return [result.model_copy(update={"variations": variations}) for result in hits_of(request)]

    with answer(note):
        found = run("search", "item:1", "--variations")
        refused = run("search", "a.png", "--variations")
    assert found.exit_code == 0, found.output
    assert [request.variations for request in requests] == [True]
    assert "more like this, by colour: 'red' (12), 'navy' (1)\n" in found.stdout
    assert "more like this, by price: 'cheaper' (31)\n" in found.stdout
    assert "\x1b[2J" not in found.stdout
    assert "`variations` needs `item_id`" in refused.output


def test_pictures_items_filters_groups_and_boosts_are_asked_for_as_typed(
    here: Path, answer: RunQueryWorker, picture: bytes
) -> None:
    requests: list[SearchRequest] = []

    def note(request: SearchRequest) -> list[SearchResult]:
        requests.append(request)
        return hits_of(request)

    words = (
        "search a.png a.png item:1 item:2 --unlike 3 --not brand=Acme --not category=Bags --any tag=new "
        "--any price=..5 --offset 20 --collapse brand --group-size 2 --diversity 0.3 --boost recency=0.1 "
        "--boost half_life_days=7 --explain --understand"
    )
    with answer(note):
        assert run(*words.split()).exit_code == 0
    [request] = requests
    printed = InlineImage(data=picture)
    assert (request.image, request.more_images, request.like, request.unlike) == (
        printed,
        (printed,),
        ("1", "2"),
        ("3",),
    )
    assert request.none_of == (Filters(brand=("Acme",)), Filters(category=("Bags",)))
    assert request.any_of == (Filters(tags=("new",)), Filters(price_max=5))
    assert (request.offset, request.collapse, request.group_size, request.diversity) == (20, "brand", 2, 0.3)
    assert request.boosts == Boosts(recency=0.1, half_life_days=7)
    assert (request.explain, request.understand) == (True, "auto")


def test_an_explained_hit_shows_its_parts(here: Path, answer: RunQueryWorker) -> None:
    def explain(request: SearchRequest) -> list[SearchResult]:
        [result] = hits_of(request)
        explained = Explained(object=0.95, style=0.12, colour=0.81, recency=0.07)
        hit = result.hits[0].model_copy(update={"explained": explained, "boost": 0.07})
        added, relaxed = Filters(category=("Boots",)), Filters(colours=("red",))
        return [result.model_copy(update={"hits": (hit,), "more": True, "added": added, "relaxed": relaxed})]

    with answer(explain):
        printed = run("search", "a.png", "--explain").stdout
    for part in ("object", "0.95", "0.12", "0.81", "+0.07", "1 hit, and more in"):
        assert part in printed
    assert "narrowed to Boots\ntoo few hits, no longer narrowed to red" in printed


def test_points_that_agree_are_counted_and_drawn(here: Path, answer: RunQueryWorker, picture: bytes) -> None:
    matches = (KeypointMatch(query=(0.5, 0.5), hit=(0.4, 0.6)),) * 41

    def verified(request: SearchRequest) -> list[SearchResult]:
        assert (request.explain, request.thumbnails) == (True, True)
        [result] = hits_of(request)
        explained = Explained(object=0.95, style=0.12, colour=0.81, geometry=0.1, matches=matches)
        hit = result.hits[0].model_copy(update={"explained": explained, "boost": 0.1, "thumbnail": picture})
        return [result.model_copy(update={"hits": (hit,), "coverage": 0.2})]

    with answer(verified):
        found = run("search", "a.png", "--show-matches", "matches.png")
    assert found.exit_code == 0, found.output
    assert "points" in found.stdout
    assert " 41 " in found.stdout
    assert "perhaps nothing of this kind is in the index (coverage 20%)" in found.stdout
    assert (here / "matches.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_verified_hit_or_a_picture_nothing_is_drawn(here: Path, answer: RunQueryWorker) -> None:
    for query, part in (("a.png", "no hit was verified"), ("item:7", "needs a picture")):
        with answer(hits_of):
            found = run("search", query, "--show-matches", "matches.png")
        assert found.exit_code == 2
        assert part in found.stderr
    assert not (here / "matches.png").exists()


@pytest.mark.parametrize(("status", "code"), [("no_match", 0), ("rejected", 1), ("expired", 1), ("unavailable", 1)])
def test_the_exit_code_says_whether_there_was_an_answer(
    here: Path, answer: RunQueryWorker, status: str, code: int
) -> None:
    def respond(request: SearchRequest) -> list[SearchResult]:
        given = {"request_id": request.request_id, "status": status, "message": "because"}
        return [SearchResult.model_validate(given)]

    with answer(respond):
        found = run("search", "item:7")
    assert (found.exit_code, f"{status}: because" in found.stdout) == (code, True)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("search none.png", "none.png cannot be read (no such file or directory)"),
        ("search .", "is a directory"),
        ("search item:7 --filter size=7", "there is category"),
        ("search item:7 --crop 0,0,1,1", "`crop` needs `image`"),
        ("search a.png --crop 0,0,2,2", "--crop"),
        ("search a.png --intent nice", "nice"),
        ("search a.png --boost speed=1", "there is no boost `speed`"),
        ("search a.png --boost recency=soon", "soon is no number"),
        ("search a.png --boost recency=1", "`recency`"),
        ("search a.png --boost price=0.1", "needs `near_price`"),
        ("search a.png --not size=7", "--not size=7"),
        ("search", "send `image`, `item_id`, `like` or `text`"),
        ("search --text red --diversity 0.5", "need `image`, `item_id` or `like`"),
        ("search item:7 --unlike 7", "an item of `unlike` cannot be in `like`"),
        ("search a.png --offset 95 --diversity 0.5", "`offset` + `top_k` is at most 100"),
        ("search a.png --group-size 2", "`group_size` needs `collapse`"),
        ("search a.png --top-k 0", "--top-k"),
        ("search s3://x", "`bucket`"),
        ("search item:7 --tenant a/b", "`tenant`"),
        ("ingest catalog none.csv", "none.csv cannot be read"),
        ("ingest catalog feed.csv --map title=name", "no column `name`"),
        ("ingest catalog feed.csv --image-root barn", "LOOKSTREAM_IMAGES_ROOTS"),
        ("ingest catalog feed.csv --tenant a/b", "`tenant`"),
        ("ingest catalog feed.csv --currency euro", "`currency`"),
        ("ingest social none.jsonl", "none.jsonl cannot be read"),
        ("delete 1 --tenant a/b", "`tenant`"),
        ("delete 1 --source shop", "shop"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(here: Path, words: str, part: str) -> None:
    (here / "feed.csv").write_text("id,image_link\n1,a.png\n")
    assert_plain(run(*words.split()), 2, part)


def test_a_broker_that_is_not_there_is_one_sentence_and_exit_1(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "feed.csv").write_text("id,image_link\n1,https://a.test/b.jpg\n")
    monkeypatch.setenv("LOOKSTREAM_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    found = run("ingest", "catalog", "feed.csv")
    assert_plain(found, 1, "no Kafka broker answers at 127.0.0.1:1")


def test_nothing_that_runs_is_one_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOOKSTREAM_KAFKA_BOOTSTRAP")
    assert_plain(run("search", "item:7"), 1, "start `lookstream up`")


def test_an_unanswered_search_is_reported_in_one_sentence(here: Path) -> None:
    assert_plain(run("search", "item:7", "--deadline", "0.05"), 1, "query worker")


def test_ctrl_c_delivers_what_was_sent_and_says_how_much(here: Path, catalog: TopicReader) -> None:
    with (here / "feed.csv").open("w") as file:
        file.write("id,image_link\n")
        file.writelines(f"{n},https://a.test/b.jpg\n" for n in range(500_000))
    command = [sys.executable, "-c", "from producers.commands import app; app()", "ingest", "catalog", "feed.csv"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as child:
        arrived = take(catalog, 5)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    assert (child.returncode, len(arrived)) == (130, 5), stderr
    sent = re.fullmatch(r"stopped by Ctrl-C: sent (\d+) events at \d+/s", stderr.splitlines()[-1])
    assert sent is not None, stderr
    assert 5 <= int(sent[1]) < 500_000
    assert len(take(catalog, int(sent[1]) - 5)) == int(sent[1]) - 5
