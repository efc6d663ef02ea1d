"""Items as the gateway reads them from the index, with every kind of picture reference."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from infra.qdrant.point_ids import image_number, point_id
from producers.gateway.item_reader import ItemReader
from schemas.items import FileImage, ImageRef, InlineImage, S3Image, UrlImage
from tests.consumers.indexer_harness import IndexerHarness, open_indexer, open_shard
from tests.consumers.item_histories import BAD, delete, patch, upsert

REFERENCES: dict[str, tuple[ImageRef, ImageRef]] = {
    "inline": (InlineImage(data=b"red"), InlineImage(data=b"blue")),
    "url": (UrlImage(url="https://shop.example/1.jpg"), UrlImage(url="https://shop.example/2.jpg")),
    "s3": (S3Image(bucket="photos", key="7"), S3Image(bucket="photos", key="1.jpg")),
    "file": (FileImage(root="shop", path="3"), FileImage(root="shop", path="a/1.jpg", sha256="0" * 64)),
}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[IndexerHarness]:
    """An index worker's job on the embedded engine."""
    shard = open_shard(tmp_path)
    yield open_indexer(shard)
    shard.close()


@pytest.mark.parametrize("kind", REFERENCES)
def test_the_pictures_of_an_item_are_numbered_whatever_refers_to_them(harness: IndexerHarness, kind: str) -> None:
    harness.handle(upsert("one", 1, REFERENCES[kind][0]), upsert("two", 1, *REFERENCES[kind]))
    reader = ItemReader(harness.index)
    for item_id, numbers in (("one", (0,)), ("two", (0, 1))):
        item = reader.item("default", item_id)
        assert item is not None
        assert (item.item_id, item.images) == (item_id, numbers)
    assert {item.item_id: item.images for item in reader.sample("default", 10)} == {"one": (0,), "two": (0, 1)}


def test_references_of_all_kinds_may_stand_in_one_item(harness: IndexerHarness) -> None:
    refs = [ref for pair in REFERENCES.values() for ref in pair]
    harness.handle(upsert("all", 1, *refs))
    item = ItemReader(harness.index).item("default", "all")
    assert item is not None
    assert item.images == tuple(range(8))


def test_a_picture_that_could_not_be_used_leaves_a_gap(harness: IndexerHarness) -> None:
    harness.handle(upsert("gap", 1, REFERENCES["url"][0], FileImage(root="shop", path=BAD.decode()), b"third"))
    item = ItemReader(harness.index).item("default", "gap")
    assert item is not None
    assert item.images == (0, 2)


@pytest.mark.parametrize("kind", REFERENCES)
def test_an_item_is_read_after_a_patch_and_after_its_pictures_have_changed(
    harness: IndexerHarness, kind: str
) -> None:
    first, second = REFERENCES[kind]
    harness.handle(upsert("one", 1, first, second))
    harness.handle(patch("one", 2, title="A lamp", price=Decimal("1.50"), currency="EUR"))
    reader = ItemReader(harness.index)
    item = reader.item("default", "one")
    assert item is not None
    assert (item.title, item.price, item.images) == ("A lamp", Decimal("1.50"), (0, 1))
    harness.handle(upsert("one", 3, second))
    item = reader.item("default", "one")
    assert item is not None
    assert (item.revision, item.images) == (3, (0,))
    harness.handle(delete("one", 4))
    assert reader.item("default", "one") is None
    assert reader.sample("default", 10) == []


def test_an_item_with_references_is_json(harness: IndexerHarness) -> None:
    harness.handle(upsert("one", 1, *REFERENCES["s3"]))
    [item] = ItemReader(harness.index).sample("default", 1)
    assert json.loads(item.model_dump_json())["images"] == [0, 1]


def test_the_number_of_a_picture_is_never_taken_from_its_reference(harness: IndexerHarness) -> None:
    harness.handle(upsert("one", 1, *REFERENCES["url"]))
    payloads = harness.index.payloads([point_id("default", "one", n) for n in (0, 1)], ("n", "image"))
    assert sorted(map(image_number, payloads.values())) == [0, 1]
    with pytest.raises(TypeError, match="the number of a picture is NoneType"):
        image_number({"image": {"kind": "url"}})
