"""The main job: item events in, search answers out, all through Kafka and the index; on one system."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.client.search_client import SearchClient
from infra.kafka import EventSink
from schemas.envelope import Event
from schemas.freshness import RecordPosition
from schemas.items import InlineImage, ItemUpserted
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS
from tests.end_to_end.shop import ITEMS, draw_scene, hits, index_shop
from tests.end_to_end.system import System, make_environment
from tests.qdrant_server import qdrant_environment


@pytest.fixture(scope="module")
def system(
    kafka_server: str | None, qdrant_server: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The running system that these tests share, whose workers tell their metrics."""
    folder = tmp_path_factory.mktemp("shared") / "data"
    started = System(
        folder, make_environment(folder, {"LOOKSTREAM_METRICS_PORT": "9400"} | qdrant_environment(folder))
    ).start()
    yield started
    started.stop()


def test_items_go_in_and_answers_come_out(system: System, shop: Path, discs: Path, tmp_path: Path) -> None:
    printed = index_shop(system, shop, discs)
    assert "line 7" in printed
    assert "missing.png" in printed

    assert hits(system.search(discs / "red.png"))[0] == "red"
    dear = system.search(discs / "red.png", "--filter", "price=2..4", "--filter", "currency=EUR")
    assert set(hits(dear)) == {"green", "blue", "yellow"}
    assert hits(system.search(discs / "red.png", "--filter", "colour=blue", "--filter", "in_stock=true")) == [
        "blue"
    ]
    assert "red" not in hits(system.search("item:red"))
    assert system.search(discs / "red.png", "--filter", "brand=Nobody")["status"] == "no_match"
    half = system.search(discs / "red.png", "--crop", "0.2,0.2,0.5,0.5", "--intent", "colour")
    assert hits(half)[0] == "red"

    pair = system.search(discs / "red.png", discs / "red.png", "--not", "colour=red", "--top-k", "2", "--explain")
    assert "red" not in hits(pair)
    assert pair["hits"][0]["explained"]["colour"] < 1
    counted = json.loads(system.run("facets", "--facet", "category", "--filter", "colour=blue", "--json").stdout)
    assert counted["counts"] == {"category": [{"value": "Discs", "count": 1}]}
    assert "Discs" in system.run("facets").stdout
    refused = system.run("facets", "--facet", "weight", code=2)
    assert "`facets`" in refused.stderr

    table = system.run("search", discs / "blue.png", "--top-k", "2", "--sheet", tmp_path / "sheet.png").stdout
    assert "A blue disc" in table
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")

    system.run("delete", "red")
    system.wait_for(lambda: "red" not in hits(system.search(discs / "red.png")), "the item to be gone")
    system.run("ingest", "catalog", shop, "--image-root", discs, code=1)
    system.wait_for(lambda: "red" in hits(system.search(discs / "red.png")), "the item to be back")

    items, searches = system.metrics("index"), system.metrics("query")
    assert items["lookstream_event_to_searchable_seconds_count"] >= len(ITEMS) + 1
    assert (
        items["lookstream_items_total"] > items["lookstream_event_to_searchable_seconds_count"]
    )  # one was removed
    assert items["lookstream_records_total"] == items["lookstream_items_total"]
    assert searches["lookstream_search_results_total"] == searches["lookstream_search_seconds_count"] >= 10
    assert 0 < searches["lookstream_search_confidence_count"] < searches["lookstream_search_seconds_count"]
    for stream in (items, searches):
        assert stream["lookstream_encoder_info"] == 1
        assert stream["lookstream_in_flight_records"] == stream["lookstream_failures_total"] == 0


def test_what_was_just_written_is_found_when_the_search_asks_for_it(system: System, discs: Path) -> None:
    with closing(EventSink(system.kafka)) as sink, SearchClient(system.kafka) as client:
        for turn, name in enumerate(ITEMS):
            image = InlineImage(data=(discs / f"{name}.png").read_bytes())
            item = ItemUpserted(tenant="written", item_id=f"{name}-{turn}", revision=1, images=(image,))
            sink.send(CATALOG_ITEMS, f"written:{item.item_id}", Event(item))
            result = client.search(
                SearchRequest(request_id=f"q{turn}", tenant="written", image=image, strict=False), after=sink
            )
            assert [hit.item_id for hit in result.hits][:1] == [item.item_id]
            assert [each.source for each in result.as_of] == ["catalog"]
        future = (RecordPosition(source="catalog", partition=0, offset=10**6),)
        request = SearchRequest(
            request_id="never", tenant="written", item_id="red-0", min_as_of=future, deadline_ms=1_000
        )
        assert client.search(request).status == "unavailable"


def test_social_posts_are_found_together_with_the_catalogue(
    system: System, shop: Path, discs: Path, tmp_path: Path
) -> None:
    post = {
        "type": "Create",
        "actor": "https://social.example/@ana",
        "published": "2026-05-01T10:00:00Z",
        "object": {
            "type": "Note",
            "id": "https://social.example/notes/1",
            "content": "<p>My <b>green</b> thing</p>",
            "tag": [{"type": "Hashtag", "name": "#green"}],
            "attachment": [{"type": "Image", "url": "green.png", "mediaType": "image/png"}],
        },
    }
    feed = tmp_path / "posts.jsonl"
    feed.write_text(json.dumps(post) + "\n")
    index_shop(system, shop, discs)
    system.run("ingest", "social", feed, "--image-root", discs)
    social = ("--filter", "source=social")
    system.wait_for(lambda: len(hits(system.search(discs / "green.png", *social))) == 1, "the post to be found")
    [hit] = system.search(discs / "green.png", *social)["hits"]
    assert (hit["source"], hit["tags"]) == ("social", ["green"])


def test_a_post_is_found_by_each_thing_in_its_picture(system: System, discs: Path, tmp_path: Path) -> None:
    draw_scene(discs, tmp_path / "scene.png")
    attachment = {"type": "Image", "url": "scene.png", "mediaType": "image/png"}
    note = {"type": "Note", "id": "https://social.example/notes/2", "content": "Two", "attachment": [attachment]}
    posted = {"type": "Create", "actor": "https://social.example/@bo", "published": "2026-05-02T10:00:00Z"}
    feed = tmp_path / "posts.jsonl"
    feed.write_text(json.dumps(posted | {"object": note}) + "\n")
    tenant = ("--tenant", "street")
    system.run("ingest", "social", feed, "--image-root", tmp_path, *tenant)
    search = ("--best-effort", "--intent", "colour", *tenant)
    system.wait_for(lambda: len(hits(system.search(discs / "red.png", *search))) == 1, "the post to be found")
    for name, left, right in (("red", 40, 300), ("blue", 380, 600)):
        [hit] = system.search(discs / f"{name}.png", *search)["hits"]
        assert (hit["item_id"], hit["image"]) == ("https://social.example/notes/2", 0)
        assert left / 640 - 0.1 <= hit["box"]["x"] < hit["box"]["x"] + hit["box"]["w"] <= right / 640 + 0.1
    printed = system.run("search", discs / "red.png", *search, "--sheet", tmp_path / "sheet.png").stdout
    assert "(in" in printed
    assert json.loads(system.run("index", "status", "--json").stdout)["regions"] >= 2
    [red] = system.search(tmp_path / "scene.png", "--best-effort", *tenant)["hits"]
    assert "box" not in red
    system.run("delete", "https://social.example/notes/2", *tenant)
    system.wait_for(lambda: hits(system.search(discs / "red.png", *search)) == [], "the post to be gone")


def test_each_thing_in_a_picture_has_an_answer(system: System, shop: Path, discs: Path, tmp_path: Path) -> None:
    index_shop(system, shop, discs)
    draw_scene(discs, tmp_path / "scene.png")
    result = system.search(tmp_path / "scene.png", "--objects", "--best-effort", "--intent", "colour")
    assert {region["hits"][0]["item_id"] for region in result["regions"]} == {"red", "blue"}
    printed = system.run("search", tmp_path / "scene.png", "--objects", "--best-effort").stdout
    assert "thing 1 at" in printed
    assert "thing 2 at" in printed
    assert not system.search(tmp_path / "scene.png", "--best-effort").get("regions")


def test_a_second_up_on_the_same_data_is_refused(system: System) -> None:
    refused = system.run("up", code=1)
    assert "runs on" in refused.stderr
    assert "LOOKSTREAM_DATA" in refused.stderr
    assert system.is_ready
