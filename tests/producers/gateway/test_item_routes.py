"""Items over HTTP: the sent events, and the responses."""

import base64
import json
from contextlib import closing
from pathlib import Path

import httpx

from infra.config.images import ImageSettings
from infra.config.kafka import KafkaSettings
from infra.fetching.content_store import LocalContentStore
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.local_files import for_tenant
from infra.kafka import EventSink, TopicReader
from schemas.envelope import Event, from_bytes
from schemas.failures import Code
from schemas.items import MAX_INLINE_BYTES, ItemDeleted, ItemUpserted
from schemas.outcomes import ItemRejected
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, SOCIAL_POSTS
from tests.producers.conftest import noise, png
from tests.producers.gateway.conftest import MakeClient

PROBLEM = "application/problem+json"
ITEM = {"item_id": "a", "title": "A disc", "images": [{"kind": "url", "url": "https://shop.example/a.png"}]}


def sent(reader: TopicReader) -> list[object]:
    """The records of a topic since the reader was made."""
    found: list[object] = []
    while (record := reader.poll(0.5)) is not None:
        assert record.value is not None
        found.append(from_bytes(record.value))
    return found


def test_an_item_becomes_an_event_whose_revision_is_the_time(client: httpx.Client, kafka: KafkaSettings) -> None:
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        response = client.post("/v1/items", json=ITEM)
        [event] = sent(reader)
    assert response.status_code == 202, response.text
    assert isinstance(event, ItemUpserted)
    assert (event.title, event.revision) == ("A disc", response.json()["revision"])
    assert response.headers["Location"] == f"/v1/outcomes/{response.json()['event_id']}"


def test_an_item_may_bring_its_pictures_along(client: httpx.Client, kafka: KafkaSettings) -> None:
    with closing(TopicReader(kafka, SOCIAL_POSTS)) as reader:
        files = [("pictures", ("1.png", png())), ("pictures", ("2.png", png(colour="blue")))]
        item = {"item": json.dumps({"item_id": "b", "source": "social"})}
        response = client.post("/v1/items", files=files, data=item)
        [event] = sent(reader)
    assert response.status_code == 202, response.text
    assert isinstance(event, ItemUpserted)
    assert [image.kind for image in event.images] == ["inline", "inline"]


def test_the_pictures_of_an_item_go_to_the_content_store(
    make_client: MakeClient, kafka: KafkaSettings, tmp_path: Path
) -> None:
    client, small, large = make_client(store=LocalContentStore(tmp_path)), png(), noise(900, 600)
    url = {"kind": "url", "url": "https://shop.example/a.png"}
    inline = {"kind": "inline", "data": base64.b64encode(small).decode()}
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        files = [("pictures", ("1.png", small)), *[("pictures", ("2.png", large))] * 3]
        sent_as_form = client.post("/v1/items", files=files, data={"item": '{"item_id": "b", "tenant": "ana"}'})
        sent_as_json = client.post("/v1/items", json={"item_id": "c", "tenant": "ana", "images": [inline, url]})
        events = [event for event in sent(reader) if isinstance(event, ItemUpserted)]
    assert (sent_as_form.status_code, sent_as_json.status_code) == (202, 202), sent_as_form.text
    assert [[image.kind for image in event.images] for event in events] == [["file"] * 4, ["file", "url"]]
    assert events[0].images[0] == events[1].images[0]
    with closing(ImageFetcher(ImageSettings(), content=tmp_path)) as fetcher:
        found = [fetcher.fetch(for_tenant(image, "ana")) for image in events[0].images]
    assert found[0] == small
    assert all(isinstance(picture, bytes) and len(picture) <= MAX_INLINE_BYTES for picture in found)


def test_a_content_store_that_accepts_nothing_is_reported_with_the_remedy(
    make_client: MakeClient, kafka: KafkaSettings, tmp_path: Path
) -> None:
    (tmp_path / "default").write_text("a file in the place of the tenant's folder")
    client = make_client(store=LocalContentStore(tmp_path))
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        items = ('{"item_id": "b"}', '{"item_id": "b", "tenant": "bo"}')
        refused, other = (
            client.post("/v1/items", files={"pictures": png()}, data={"item": item}) for item in items
        )
        assert len(sent(reader)) == 1
    assert (refused.status_code, other.status_code) == (503, 202)
    assert "make space" in refused.json()["detail"]


def test_an_item_that_is_sent_again_under_its_key_is_one_event(client: httpx.Client, kafka: KafkaSettings) -> None:
    key = {"Idempotency-Key": "once"}
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        answers = [client.post("/v1/items", json=ITEM, headers=key).json() for _ in range(2)]
        other = client.post("/v1/items", json={**ITEM, "title": "Another"}, headers=key)
        events = sent(reader)
    assert answers[0] == answers[1]
    assert answers[0]["event_id"].startswith("once.")
    assert len(events) == 1
    assert (other.status_code, other.headers["content-type"]) == (422, PROBLEM)


def test_a_deletion_takes_any_id_that_an_item_can_have(client: httpx.Client, kafka: KafkaSettings) -> None:
    with closing(TopicReader(kafka, SOCIAL_POSTS)) as reader:
        response = client.delete("/v1/items/https://social.example/1", params={"source": "social"})
        [event] = sent(reader)
    assert response.status_code == 202, response.text
    assert isinstance(event, ItemDeleted)
    assert event.item_id == "https://social.example/1"


def test_a_deletion_may_have_a_revision_of_its_own(client: httpx.Client, kafka: KafkaSettings) -> None:
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        assert client.delete("/v1/items/a", params={"revision": 2}).json()["revision"] == 2
        assert client.delete("/v1/items/a", params={"revision": 0}).status_code == 422
        [event] = sent(reader)
    assert event == ItemDeleted(item_id="a", revision=2)


def test_fields_that_are_null_are_as_good_as_absent(client: httpx.Client, kafka: KafkaSettings) -> None:
    nulls = dict.fromkeys(("tenant", "revision", "source", "tags", "attributes", "moderation", "price", "in_stock"))
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        response = client.post("/v1/items", json=ITEM | nulls | {"attributes": {"size": None, "fit": "slim"}})
        [event] = sent(reader)
    assert response.status_code == 202, response.text
    assert isinstance(event, ItemUpserted)
    assert (event.tenant, event.tags, event.attributes) == ("default", (), {"fit": "slim"})
    assert event.revision == response.json()["revision"]
    assert client.post("/v1/items", json=ITEM | {"item_id": None}).status_code == 422


def test_the_id_of_an_item_is_not_trimmed(client: httpx.Client, kafka: KafkaSettings) -> None:
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        response = client.post("/v1/items", json=ITEM | {"item_id": " a "})
        deleted = client.delete("/v1/items/%20a%20")
        found = sent(reader)
    assert (response.json()["item_id"], deleted.json()["item_id"]) == (" a ", " a ")
    assert [event.item_id for event in found if isinstance(event, ItemUpserted | ItemDeleted)] == [" a ", " a "]
    assert client.post("/v1/items", json=ITEM | {"item_id": "  "}).status_code == 422


def test_a_waiting_client_gets_the_outcome(client: httpx.Client, kafka: KafkaSettings) -> None:
    assert client.get("/v1/outcomes/mine", params={"wait": 0.1}).status_code == 404
    outcome = ItemRejected(event_id="mine", code=Code.IMAGE_MISSING, message="there is no picture")
    with closing(EventSink(kafka)) as sink:
        sink.send(ITEM_OUTCOMES, "default:a", Event(outcome))
        sink.flush()
    response = client.get("/v1/outcomes/mine", params={"wait": 10})
    assert (response.status_code, response.json()["code"]) == (200, "image_missing")


def test_an_item_that_makes_no_sense_is_refused_with_the_field(client: httpx.Client, kafka: KafkaSettings) -> None:
    with closing(TopicReader(kafka, CATALOG_ITEMS)) as reader:
        response = client.post("/v1/items", json={**ITEM, "price": 3})
        assert sent(reader) == []
    assert (response.status_code, response.headers["content-type"]) == (422, PROBLEM)
    assert "currency" in response.json()["detail"]


def test_while_the_index_is_away_items_cannot_be_looked_at(client: httpx.Client) -> None:
    for path in ("/v1/items/a", "/v1/pictures/0/a"):
        response = client.get(path)
        assert (response.status_code, response.headers["content-type"]) == (503, PROBLEM)
