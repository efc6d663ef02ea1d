"""Change events of a database: what is in the table is in the index, in the order of its commits."""

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from infra.config.errors import BadInput
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, EventSource, OutgoingRecord, Record, TopicReader, create_topics
from producers.debezium.changes import ChangeReader, PartitionRevisions, RowChange, parse_change
from producers.debezium.follow import ChangeFollower, dead_letter_topic_of, read_changes
from producers.debezium.mapping import TableMapping, read_mapping
from producers.debezium.values import cells_of
from producers.image_refs import refuse_paths
from producers.ingest import IngestTally
from producers.row_reader import BadRow, SkippedRow
from schemas.envelope import from_bytes
from schemas.items import ImageRef, InlineImage, ItemDeleted, ItemUpserted, UrlImage
from schemas.topics import CATALOG_ITEMS, DAY, Topic
from tests.kafka.shared import environment_of
from tests.producers.conftest import running

SAMPLES = Path(__file__).parents[1] / "samples"
MAPPING = SAMPLES / "debezium.toml"


def placed(path: str) -> ImageRef:
    return InlineImage(data=path.encode())


def event(op: str, at: int = 5, before: object = None, after: object = None, **more: object) -> bytes:
    said = {"op": op, "before": before, "after": after, "source": {"ts_ms": at}, "ts_ms": at + 1} | more
    return json.dumps(said).encode()


def row(id: object = 1, **more: object) -> dict[str, object]:
    return {"id": id, "photo": "https://x.org/a.png", "status": "active", **more}


@pytest.fixture
def table() -> ChangeReader:
    return ChangeReader(
        TableMapping(tenant="shop", columns={"item_id": "id", "image": "photo", "title": "name"}), refuse_paths
    )


def read(table: ChangeReader, *values: bytes | None, key: bytes | None = None) -> list[object]:
    """What becomes of records one after the other."""
    times, found = PartitionRevisions(), list[object]()
    for line, value in enumerate(values):
        said = parse_change(value, key, line)
        found.append(table.read(said, times, line) if isinstance(said, RowChange) else said)
    return found


def test_a_sample_after_debeziums_documentation_is_read_whole() -> None:
    table = ChangeReader(read_mapping(MAPPING), placed)
    mug, plate, bowl, cheap, large, draft, gone, cup = read_changes(SAMPLES / "debezium.jsonl", table)
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


def test_a_deletion_is_known_by_its_key_where_the_row_before_is_not_told(table: ChangeReader) -> None:
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
def test_what_is_no_change_of_a_row_is_told_apart(
    table: ChangeReader, value: bytes | None, kind: type, why: str
) -> None:
    [found] = read(table, value)
    assert isinstance(found, BadRow | SkippedRow)
    assert type(found) is kind
    assert why in found.message


def test_values_are_read_as_their_schema_says() -> None:
    kinds = {
        "a": ("org.apache.kafka.connect.data.Decimal", {"scale": "2"}),
        "b": ("io.debezium.data.VariableScaleDecimal", {}),
        "c": ("io.debezium.time.Date", {}),
        "d": ("io.debezium.time.Timestamp", {}),
        "e": ("io.debezium.time.NanoTimestamp", {}),
        "f": ("io.debezium.data.Json", {}),
    }
    fields = [{"field": column, "name": name, "parameters": more} for column, (name, more) in kinds.items()]
    row = {"a": "//8=", "b": {"scale": "1", "value": "ew=="}, "c": "20454", "d": "1", "e": "1000", "f": "[1.50]"}
    found = cells_of(row | {"g": "as it is"}, {"fields": fields})
    assert found == {
        "a": "-0.01",
        "b": "12.3",
        "c": "2026-01-01T00:00:00+00:00",
        "d": "1970-01-01T00:00:00.001000+00:00",
        "e": "1970-01-01T00:00:00.000001+00:00",
        "f": ["1.50"],
        "g": "as it is",
    }
    for column, bad in (("a", "!"), ("b", "x"), ("c", "soon"), ("d", "9" * 30), ("f", "{")):
        with pytest.raises(ValueError, match=f"column `{column}` is no "):
            cells_of({column: bad}, {"fields": fields})


def test_changes_of_one_commit_keep_their_order_and_get_the_same_revisions_again() -> None:
    changes = [("a", 5), ("b", 5), ("a", 5), ("a", 6), ("a", 6)]
    first, again = PartitionRevisions(), PartitionRevisions()
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
        ("what", "is not TOML"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_with_the_field(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(BadInput, match=why):
        read_mapping(tmp_path / "m.toml")
    with pytest.raises(BadInput, match="no such file"):
        read_mapping(tmp_path / "none.toml")


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
    told = [from_bytes(record.value or b"") for record in records]
    revisions = [cast("ItemUpserted", body).revision for body in told]
    assert revisions == [5_000, 6_000, 6_001, 6_000, 6_001, 7_000], "the commit at 6 came again"
    assert [record.headers["ce_id"] for record in records[1:3]] == [r.headers["ce_id"] for r in records[3:5]]
    [dead] = topics.take(topics.dead, 1)
    assert dead.value == b"not json"
    assert b"JsonConverter" in (dead.headers["dead-message"] or b"")


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
    told = [from_bytes(record.value or b"") for record in topics.take(topics.items, 2)]
    assert [cast("ItemUpserted", body).item_id for body in told] == ["1", "2"]


def test_the_command_follows_a_topic_until_ctrl_c(topics: Topics, tmp_path: Path) -> None:
    topics.put(event("c", 5, after=row() | {"name": "Mug", "price": "1.00"}))
    environment = os.environ | environment_of(topics.kafka)
    environment |= {
        "LOOKSTREAM_KAFKA_SESSION_TIMEOUT_MS": "1000"
    }  # the local broker takes half of it to let one in
    command = [sys.executable, "-m", "lookstream", "ingest", "debezium", str(MAPPING), "--topic", topics.name]
    with running(command, tmp_path, environment) as process:
        [record] = topics.take(topics.items, 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    body = from_bytes(record.value or b"")
    assert isinstance(body, ItemUpserted)
    assert (body.title, body.images) == ("Mug", (UrlImage(url="https://x.org/a.png"),))
    assert process.returncode == 0
    assert "stopped by Ctrl-C: sent 1 event" in said
