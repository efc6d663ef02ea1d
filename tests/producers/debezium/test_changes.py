"""Change events of a database: items follow the rows of the table, in the order of its commits."""

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.config.errors import BadInput
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, EventSource, OutgoingRecord, Record, TopicReader, create_topics
from producers.debezium.changes import Change, ChangeReader, PartitionHistory
from producers.debezium.follow import ChangeFollower, dead_letter_topic_of, read_change_items
from producers.debezium.mapping import TableMapping, read_mapping
from producers.debezium.records import RecordTime, parse_change
from producers.feed_item import FeedItem
from producers.image_packer import ImagePacker
from producers.image_refs import choose_root, refuse_paths
from producers.ingest.publish import IngestTally
from producers.row_reader import BadRow, SkippedRow
from schemas.envelope import from_bytes, to_bytes
from schemas.items import ImageRef, InlineImage, ItemDeleted, ItemPatched, ItemUpserted, UrlImage
from schemas.topics import CATALOG_ITEMS, DAY, Topic
from tests.kafka.shared import environment_of
from tests.producers.conftest import run_command
from tests.producers.feed_events import events_of

SAMPLES = Path(__file__).parents[1] / "samples"
MAPPING = SAMPLES / "debezium.toml"


def placed(path: str) -> ImageRef:
    return InlineImage(data=path.encode())


def event(op: str, at: int = 5, before: object = None, after: object = None, **more: object) -> bytes:
    envelope = {"op": op, "before": before, "after": after, "source": {"ts_ms": at}, "ts_ms": at + 1} | more
    return json.dumps(envelope).encode()


def row(id: object = 1, **more: object) -> dict[str, object]:
    return {"id": id, "photo": "https://x.org/a.png", "status": "active", **more}


@pytest.fixture
def table() -> ChangeReader:
    return ChangeReader(
        TableMapping(tenant="shop", columns={"item_id": "id", "image": "photo", "title": "name"}), refuse_paths
    )


def read_items(
    table: ChangeReader, *values: bytes | None, key: bytes | None = None, time: RecordTime | None = None
) -> list[object]:
    """The results of the records of one partition, one after the other."""
    history, found = PartitionHistory(), list[object]()
    for line, value in enumerate(values):
        parsed = parse_change(value, key, line, time or RecordTime())
        revised = table.revise(parsed, history, line) if isinstance(parsed, Change) else parsed
        found.append(table.complete(revised))
    return found


def read(
    table: ChangeReader, *values: bytes | None, key: bytes | None = None, time: RecordTime | None = None
) -> list[object]:
    """The events of the records."""
    return [
        row.event if isinstance(row, FeedItem) else row for row in read_items(table, *values, key=key, time=time)
    ]


def test_a_sample_after_debeziums_documentation_is_read_whole() -> None:
    table = ChangeReader(read_mapping(MAPPING), placed)
    mug, plate, bowl, cheap, large, draft, gone, cup = events_of(
        read_change_items(SAMPLES / "debezium.jsonl", table)
    )
    assert isinstance(mug, ItemUpserted)
    assert (mug.tenant, mug.item_id, mug.title, mug.category) == ("shop", "1", "Red mug", "Mugs")
    assert (mug.price, mug.currency, mug.in_stock) == (Decimal("12.50"), "EUR", True)
    assert [image.data for image in mug.images if isinstance(image, InlineImage)] == [b"red.png", b"blue.png"]
    assert mug.created_at is not None
    assert mug.created_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert isinstance(plate, ItemUpserted)
    assert plate.revision == mug.revision == 1_769_000_000_000_000
    assert isinstance(bowl, ItemUpserted)
    assert bowl.price == Decimal("7.25")
    assert isinstance(cheap, ItemUpserted)
    assert isinstance(large, ItemUpserted)
    assert (large.title, large.revision) == ("Red mug, large", cheap.revision + 1)
    assert isinstance(draft, ItemDeleted), "a row that is no item any more is taken out"
    assert isinstance(gone, ItemDeleted)
    assert (draft.item_id, gone.item_id) == ("2", "3")
    assert isinstance(cup, ItemUpserted)
    assert (cup.item_id, cup.title) == ("4", "Yellow cup")


def test_a_deletion_without_the_row_before_is_identified_by_its_key(table: ChangeReader) -> None:
    [gone] = read(table, event("d"), key=b'{"schema": null, "payload": {"id": "x"}}')
    [flat] = read(table, json.dumps({"id": 7, "__deleted": "true", "__source_ts_ms": 3}).encode())
    assert isinstance(gone, ItemDeleted)
    assert isinstance(flat, ItemDeleted)
    assert (gone.item_id, flat.item_id, flat.revision) == ("x", "7", 3_000)


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (None, SkippedRow, "tombstone"),
        (event("m"), SkippedRow, "a message"),
        (b'{"status": "BEGIN", "id": "571", "ts_ms": 1}', SkippedRow, "transaction"),
        (event("t"), BadRow, "truncated"),
        (b"\x00\x00\x00\x00\x01avro", BadRow, "JsonConverter"),
        (b'{"id": 1}', BadRow, "no change event"),
        (event("c"), BadRow, "has no row"),
        (event("c", after=row(id=None)), BadRow, "column `id` is empty"),
        (json.dumps({"op": "c", "after": row()}).encode(), BadRow, "no `ts_ms`"),
        (event("c", after=row(photo="a/path.png")), BadRow, "--image-root"),
        (event("c", after=row(id="x" * 300)), BadRow, "item_id"),
        (b"[" * 100_000, BadRow, "JSON"),
    ],
)
def test_records_that_change_no_row_are_distinguished(
    table: ChangeReader, value: bytes | None, kind: type, why: str
) -> None:
    [found] = read(table, value)
    assert isinstance(found, BadRow | SkippedRow)
    assert type(found) is kind
    assert why in found.message


def flat(id: object = 1, at: int | None = 5, **more: object) -> bytes:
    return json.dumps(row(id, **more) | ({"__op": "c", "__source_ts_ms": at} if at else {})).encode()


TOMBSTONES = [None, b"null", b'{"schema": {"type": "struct", "optional": true}, "payload": null}']
KEYS = [
    b'{"id": 901}',
    b'{"schema": {"type": "struct", "fields": [{"type": "int64", "field": "id"}]}, "payload": {"id": 901}}',
    b'{"schema": {"type": "int64"}, "payload": 901}',
    b"901",
    b'"901"',
    b"Struct{id=901}",
    b"Struct{shop=3,id=901}",
]


@pytest.mark.parametrize("value", TOMBSTONES)
@pytest.mark.parametrize("key", KEYS)
def test_a_tombstone_after_flat_rows_deletes_the_row_of_its_key(
    table: ChangeReader, value: bytes | None, key: bytes
) -> None:
    created, gone, again = read(table, flat(901), value, flat(901, 6), key=key)
    assert isinstance(created, ItemUpserted)
    assert isinstance(gone, ItemDeleted)
    assert isinstance(again, ItemUpserted)
    assert (gone.tenant, gone.item_id) == ("shop", "901")
    assert created.revision < gone.revision < again.revision


def test_a_row_that_comes_back_in_the_same_millisecond_is_newer_than_its_deletion(table: ChangeReader) -> None:
    created, gone, again = read(table, flat(901), None, flat(901), key=KEYS[0])
    assert [cast("ItemUpserted", each).revision for each in (created, gone, again)] == [5_000, 5_001, 5_002]


def test_a_tombstone_is_newer_than_every_row_before_it(table: ChangeReader) -> None:
    """Commit times of MySQL may go back between two transactions."""
    created, _, gone = read(table, flat(901, 9), flat(7, 8), None, key=KEYS[0])
    assert cast("ItemDeleted", gone).revision > cast("ItemUpserted", created).revision


def test_the_time_of_a_tombstone_is_in_its_headers_or_in_the_record(table: ChangeReader) -> None:
    [by_header] = read(table, None, key=KEYS[0], time=RecordTime(99, {"__source_ts_ms": b"7"}))
    [by_record] = read(table, None, key=KEYS[0], time=RecordTime(99))
    assert cast("ItemDeleted", by_header).revision == 7_000
    assert cast("ItemDeleted", by_record).revision == 99_000
    [unknown] = read(table, None, key=KEYS[0])
    assert isinstance(unknown, SkippedRow)


def test_a_tombstone_that_follows_its_deletion_is_skipped(table: ChangeReader) -> None:
    deleted = json.dumps(row(901) | {"__deleted": "true", "__source_ts_ms": 6}).encode()
    for values in ([flat(901), deleted, None], [event("c", after=row(901)), event("d", before=row(901)), None]):
        *_, gone, skipped = read(table, *values, key=KEYS[0])
        assert isinstance(gone, ItemDeleted)
        assert isinstance(skipped, SkippedRow)
        assert "the deletion came before it" in skipped.message


def test_a_tombstone_whose_key_names_no_row_is_reported(table: ChangeReader) -> None:
    _, bad = read(table, flat(), None, key=b'{"sku": 1}')
    assert isinstance(bad, BadRow)
    assert "does not contain `id`" in bad.message


def test_flat_rows_without_metadata_have_the_time_of_their_record(table: ChangeReader) -> None:
    found, gone = read(table, flat(901, None), None, key=KEYS[0], time=RecordTime(9))
    assert isinstance(found, ItemUpserted)
    assert isinstance(gone, ItemDeleted)
    assert (found.revision, gone.revision) == (9_000, 9_001)


UNAVAILABLE = "__debezium_unavailable_value"


def test_a_column_without_its_value_makes_a_patch_of_the_others() -> None:
    columns = {"item_id": "id", "image": "photo", "title": "name", "price": "price", "attributes.ink": "ink"}
    table = ChangeReader(TableMapping(tenant="shop", currency="EUR", columns=columns), refuse_paths)
    change = event("u", after=row(name="Mug", price="9.99", photo=UNAVAILABLE, ink=None))
    [found] = read(table, change)
    assert isinstance(found, ItemPatched)
    assert (found.tenant, found.item_id, found.revision) == ("shop", "1", 5_000)
    facts = found.facts.model_dump(exclude_unset=True)
    assert facts == {"title": "Mug", "price": Decimal("9.99"), "currency": "EUR", "attributes": {}}
    [found] = read(table, event("u", after=row(name=UNAVAILABLE, price="9.99", ink=UNAVAILABLE)))
    assert isinstance(found, ItemPatched)
    assert found.facts.model_dump(exclude_unset=True) == {"price": Decimal("9.99"), "currency": "EUR"}


def test_a_patch_travels_with_its_own_facts_alone(table: ChangeReader) -> None:
    [found] = read(table, event("u", after=row(name=None, photo=UNAVAILABLE)))
    assert isinstance(found, ItemPatched)
    assert json.loads(to_bytes(found))["facts"] == {"title": None}
    assert from_bytes(to_bytes(found)) == found


def test_the_row_before_the_change_has_the_value(table: ChangeReader) -> None:
    [found] = read(table, event("u", before=row(name="Mug"), after=row(name=UNAVAILABLE)))
    assert isinstance(found, ItemUpserted)
    assert found.title == "Mug"


def test_a_change_of_other_columns_alone_is_skipped(table: ChangeReader) -> None:
    [found] = read(table, event("u", after=row(name=UNAVAILABLE, photo=UNAVAILABLE)))
    assert isinstance(found, SkippedRow)
    [found] = read(table, event("u", after=row(name="Mug", notes=UNAVAILABLE)))
    assert isinstance(found, ItemUpserted), "a column that is not mapped does not matter"


def test_another_placeholder_is_read_from_the_mapping() -> None:
    columns = {"item_id": "id", "image": "photo", "title": "name"}
    table = ChangeReader(TableMapping(columns=columns, unavailable="hex:21ff"), refuse_paths)
    [found] = read(table, event("u", after=row(name="If8=")))
    assert isinstance(found, SkippedRow | ItemPatched)
    [found] = read(table, event("u", after=row(name=UNAVAILABLE)))
    assert isinstance(found, ItemUpserted)


def test_a_column_that_cannot_be_decoded_is_left_out(table: ChangeReader) -> None:
    fields = [
        {"field": "name", "name": "io.debezium.time.Date"},
        {"field": "photo", "name": "io.debezium.data.Json"},
    ]
    schema = {"fields": [{"field": "after", "fields": fields}]}
    payload = json.loads(event("c", after=row(name="soon", photo='["https://x.org/a.png"]')))
    [item] = read_items(table, json.dumps({"schema": schema, "payload": payload}).encode())
    assert isinstance(item, FeedItem)
    assert item.left_out == ("name: `soon` is no io.debezium.time.Date: it is left out",)


def test_cloud_events_of_debezium_are_read(table: ChangeReader) -> None:
    wrapped = {
        "id": "name:shop;lsn:29274832;txId:565",
        "source": "/debezium/postgresql/shop",
        "specversion": "1.0",
        "type": "io.debezium.connector.postgresql.DataChangeEvent",
        "time": "1970-01-01T00:00:00.005Z",
        "datacontenttype": "application/json",
        "iodebeziumop": "u",
        "iodebeziumtsms": "5",
        "data": {"before": None, "after": row(name="Mug")},
    }
    with_schema = wrapped | {"data": {"schema": {"type": "struct"}, "payload": wrapped["data"]}}
    bare = {name: value for name, value in wrapped.items() if not name.startswith("iodebezium")}
    gone = wrapped | {"iodebeziumop": "d", "data": {"before": row(), "after": None}}
    found = read(table, *(json.dumps(each).encode() for each in (wrapped, with_schema, bare, gone)))
    assert [type(each) for each in found] == [ItemUpserted] * 3 + [ItemDeleted]
    assert [cast("ItemUpserted", each).revision for each in found] == [5_000, 5_001, 5_002, 5_003]


def test_documents_of_mongodb_are_read() -> None:
    table = ChangeReader(TableMapping(columns={"item_id": "_id", "image": "photo", "price": "price"}), refuse_paths)
    document = {"_id": {"$oid": "5f1"}, "photo": "https://x.org/a.png", "price": {"$numberDecimal": "1.50"}}
    created = event("c", after=json.dumps(document))
    found, gone = read(table, created, event("d"), key=json.dumps({"id": json.dumps({"$oid": "5f1"})}).encode())
    assert isinstance(found, ItemUpserted)
    assert isinstance(gone, ItemDeleted)
    assert (found.item_id, gone.item_id, found.price) == ("5f1", "5f1", None), "the price has no currency"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b'{"ts_ms": 1769000000000}', "a heartbeat"),
        (b'{"status": "END", "id": "571", "event_count": 2, "data_collections": [], "ts_ms": 1}', "transaction"),
        (b'{"source": {}, "databaseName": "shop", "ddl": "ALTER TABLE x", "tableChanges": []}', "table's schema"),
        (
            b'{"id": "1", "aggregate_type": "Initial Snapshot", "type": "STARTED", "additional_data": {}}',
            "notification",
        ),
    ],
)
def test_records_about_no_row_are_skipped_with_a_reason(table: ChangeReader, value: bytes, why: str) -> None:
    for record_time in (RecordTime(), RecordTime(9)):
        [found] = read(table, value, time=record_time)
        assert isinstance(found, SkippedRow)
        assert why in found.message


def test_lines_of_kafkas_tools_have_keys_and_times(table: ChangeReader, tmp_path: Path) -> None:
    kcat = {"topic": "t", "partition": 0, "offset": 3, "tstype": "create", "ts": 9, "key": '{"id": 901}'}
    lines = [
        f"CreateTime:7\t{KEYS[0].decode()}\t{flat(901, None).decode()}",
        f"CreateTime:8\tPartition:0\t{KEYS[0].decode()}\tnull",
        json.dumps(kcat | {"payload": flat(901, None).decode()}),
        json.dumps(kcat | {"payload": None}),
        f"{KEYS[0].decode()}\t{flat(901, 20).decode()}",
        flat(7, 21).decode(),
    ]
    (tmp_path / "changes.txt").write_text("\n".join(lines))
    found = list(events_of(read_change_items(tmp_path / "changes.txt", table)))
    assert [type(each) for each in found] == [ItemUpserted, ItemDeleted, ItemUpserted, ItemDeleted] + [
        ItemUpserted
    ] * 2
    revisions = [each.revision for each in found if isinstance(each, ItemUpserted | ItemDeleted)]
    assert revisions == [7_000, 7_001, 9_000, 9_001, 20_000, 21_000]


def test_the_flat_sample_is_read_whole() -> None:
    table = ChangeReader(read_mapping(MAPPING), placed)
    found = list(read_change_items(SAMPLES / "debezium-flat.txt", table))
    events = [each.event for each in found if isinstance(each, FeedItem)]
    assert [type(each) for each in events] == [ItemUpserted, ItemUpserted, ItemPatched, ItemDeleted]
    assert [each.item_id for each in events] == ["901", "902", "902", "901"]
    assert events[0].revision < events[3].revision
    assert len(events) == len(found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([UNAVAILABLE, "c", "d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "photo", "op", "after", "before", "payload", "schema", "__op", "fields", "ts_ms",
                         "data", "specversion"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(value=json_values, key=json_values | st.binary(max_size=20))
def test_no_record_breaks_the_reading(value: object, key: object) -> None:
    mapping = TableMapping(tenant="shop", columns={"item_id": "id", "image": "photo", "title": "name"})
    raw_key = key if isinstance(key, bytes) else json.dumps(key).encode()
    for found in read_items(
        ChangeReader(mapping, refuse_paths), json.dumps(value).encode(), None, key=raw_key, time=RecordTime(9)
    ):
        assert isinstance(found, FeedItem | BadRow | SkippedRow)


def test_changes_of_one_commit_keep_their_order_and_get_the_same_revisions_again() -> None:
    changes = [("a", 5), ("b", 5), ("a", 5), ("a", 6), ("a", 6)]
    first, again = PartitionHistory(), PartitionHistory()
    revisions = [first.revision(*change) for change in changes]
    assert revisions == [5_000, 5_000, 5_001, 6_000, 6_001]
    assert [again.revision(*change) for change in changes[3:]] == revisions[3:]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("columns = 3", "columns"),
        ("[columns]\nitem_id = 'id'", "name the column of image"),
        (
            "[columns]\nitem_id = 'id'\nimage = 'p'\nprise = 'x'",
            "columns.prise is no field; fields are item_id",
        ),
        ("tenant = 'a b'\n[columns]\nitem_id = 'id'\nimage = 'p'", "tenant"),
        ("unavailable = 'hex:2'\n[columns]\nitem_id = 'id'\nimage = 'p'", "pairs of hex digits"),
        ("what", "is not TOML"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_with_the_field(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(BadInput, match=why):
        read_mapping(tmp_path / "m.toml")
    with pytest.raises(BadInput, match="no such file"):
        read_mapping(tmp_path / "none.toml")


def folder_table(folder: Path) -> ChangeReader:
    """A table with large pictures in a folder, of which the first two must be shrunk at the same time."""
    both = threading.Barrier(2)

    def shrink(data: bytes) -> bytes:
        if data[:8] in (b"00000000", b"00000001"):
            both.wait(30)
        return data[:8]

    for number in range(6):
        (folder / f"{number}.png").write_bytes(b"%08d" % number * 100_000)
    mapping = TableMapping(tenant="shop", columns={"item_id": "id", "image": "photo", "title": "name"})
    return ChangeReader(mapping, choose_root(str(folder), {}, ImagePacker(shrink, threads=2)))


def folder_changes() -> list[bytes]:
    """Changes of rows with a picture of the folder, with a deletion, a heartbeat and a bad record between them."""
    changes = [event("c", 5 + number // 2, after=row(id=number, photo=f"{number}.png")) for number in range(6)]
    changes[3:3] = [event("d", 6, before=row(id=0)), b'{"ts_ms": 6}', b"not json"]
    return changes


def test_pictures_of_a_file_are_shrunk_at_the_same_time_and_its_events_stay_in_order(tmp_path: Path) -> None:
    path = tmp_path / "changes.jsonl"
    path.write_bytes(b"\n".join(folder_changes()))
    found = list(events_of(read_change_items(path, folder_table(tmp_path))))
    assert [type(each) for each in found[3:6]] == [ItemDeleted, SkippedRow, BadRow]
    items = [each for each in found if isinstance(each, ItemUpserted)]
    assert [item.revision for item in items] == [5_000, 5_000, 6_000, 6_000, 7_000, 7_000]
    assert [item.images for item in items] == [(InlineImage(data=b"%08d" % number),) for number in range(6)]


class Topics:
    """A topic of change events, and what the follower makes of it."""

    def __init__(self, kafka: KafkaSettings, name: str) -> None:
        self.name, self.kafka = name, kafka
        self.theirs = kafka.model_copy(update={"prefix": ""})
        create_topics(self.theirs, [Topic(name, 1, DAY, "changes")])
        create_topics(kafka, [dead_letter_topic_of(name)])
        self.items = TopicReader(kafka, CATALOG_ITEMS)
        self.dead = TopicReader(kafka, f"{name}.dead")
        self._sink = EventSink(self.theirs)

    def put(self, *values: bytes | None) -> None:
        for value in values:
            self._sink.send_record(OutgoingRecord(self.name, b'{"id": 1}', value, {}))
        self._sink.flush()

    def take(self, reader: TopicReader, count: int) -> list[Record]:
        found, until = list[Record](), time.monotonic() + 90
        while len(found) < count and time.monotonic() < until:
            found += [record] if (record := reader.poll(0.2)) else []
        assert len(found) == count
        return found

    def close(self) -> None:
        self.items.close()
        self.dead.close()
        self._sink.close()


@pytest.fixture
def topics(kafka: KafkaSettings) -> Iterator[Topics]:
    made = Topics(kafka, f"shop.public.{uuid.uuid4().hex[:8]}")
    yield made
    made.close()


def follow(
    topics: Topics, table: ChangeReader, until: Callable[[IngestTally], bool], clock: Callable[[], float]
) -> IngestTally:
    """Follow the topic until so, as a process that begins anew."""
    source, sink = EventSource(topics.theirs, f"test-{topics.name}", [topics.name]), EventSink(topics.kafka)
    follower = ChangeFollower(source, sink, table, lambda _change, _tally: None, clock)
    limit = time.monotonic() + 30
    while not until(follower.tally) and time.monotonic() < limit:
        follower.step()
    source.close()
    sink.close()
    return follower.tally


def test_a_follower_that_was_killed_takes_up_the_commit_again_with_the_same_revisions(
    topics: Topics, table: ChangeReader
) -> None:
    topics.put(*(event("u", at, after=row(name=name)) for at, name in ((5, "a"), (6, "b"), (6, "c"))))
    assert follow(topics, table, lambda tally: tally.sent == 3, lambda: 0.0).sent == 3
    topics.put(b"not json", event("d", 7, before=row()))
    assert follow(topics, table, lambda tally: tally.sent == 3, lambda: 0.0).bad == 1
    records = topics.take(topics.items, 6)
    item_events = [from_bytes(record.value or b"") for record in records]
    revisions = [cast("ItemUpserted", body).revision for body in item_events]
    assert revisions == [5_000, 6_000, 6_001, 6_000, 6_001, 7_000], "the commit at 6 came again"
    assert [record.headers["ce_id"] for record in records[1:3]] == [r.headers["ce_id"] for r in records[3:5]]
    [dead] = topics.take(topics.dead, 1)
    assert dead.value == b"not json"
    assert b"JsonConverter" in (dead.headers["dead-message"] or b"")


def test_a_tombstone_in_a_topic_of_flat_rows_deletes_its_row(topics: Topics, table: ChangeReader) -> None:
    topics.put(flat(1), None, flat(1, 6), event("u", 7, after=row(name="Mug", photo=UNAVAILABLE)))
    assert follow(topics, table, lambda tally: tally.sent == 4, lambda: 0.0).sent == 4
    bodies = [from_bytes(record.value or b"") for record in topics.take(topics.items, 4)]
    assert [type(body) for body in bodies] == [ItemUpserted, ItemDeleted, ItemUpserted, ItemPatched]
    assert [cast("ItemDeleted", body).revision for body in bodies] == [5_000, 5_001, 6_000, 7_000]


def test_pictures_of_a_topic_are_shrunk_at_the_same_time_and_its_events_stay_in_order(
    topics: Topics, tmp_path: Path
) -> None:
    topics.put(*folder_changes())
    tally = follow(topics, folder_table(tmp_path), lambda tally: tally.sent == 7, lambda: 0.0)
    assert (tally.sent, tally.bad, tally.skipped) == (7, 1, 1)
    bodies = [from_bytes(record.value or b"") for record in topics.take(topics.items, 7)]
    first = [type(body) for body in bodies if isinstance(body, ItemUpserted | ItemDeleted) and body.item_id == "0"]
    assert first == [ItemUpserted, ItemDeleted], "events of one item are in one partition"
    images = {body.item_id: body.images for body in bodies if isinstance(body, ItemUpserted)}
    assert images == {str(number): (InlineImage(data=b"%08d" % number),) for number in range(6)}


def test_a_quiet_topic_is_committed_to_its_end(topics: Topics, table: ChangeReader) -> None:
    topics.put(event("c", 5, after=row()))
    clock = iter(range(0, 100_000, 10))
    steps: list[int] = []

    def quiet(tally: IngestTally) -> bool:
        steps.append(tally.sent)
        return steps.count(1) > 3

    follow(topics, table, quiet, lambda: float(next(clock)))
    topics.put(event("c", 6, after=row(id=2)))
    assert follow(topics, table, lambda tally: tally.sent == 1, lambda: 0.0).sent == 1
    item_events = [from_bytes(record.value or b"") for record in topics.take(topics.items, 2)]
    assert [cast("ItemUpserted", body).item_id for body in item_events] == ["1", "2"]


def test_the_command_follows_a_topic_until_ctrl_c(topics: Topics, tmp_path: Path) -> None:
    topics.put(event("c", 5, after=row() | {"name": "Mug", "price": "1.00"}))
    environment = os.environ | environment_of(topics.kafka)
    environment |= {
        "LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": "1000"
    }  # the local broker takes half of it to let one in
    command = [sys.executable, "-m", "lookstream", "ingest", "debezium", str(MAPPING), "--topic", topics.name]
    with run_command(command, tmp_path, environment) as process:
        [record] = topics.take(topics.items, 1)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    body = from_bytes(record.value or b"")
    assert isinstance(body, ItemUpserted)
    assert (body.title, body.images) == ("Mug", (UrlImage(url="https://x.org/a.png"),))
    assert process.returncode == 0
    assert "stopped by Ctrl-C: sent 1 event" in printed
