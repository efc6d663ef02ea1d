"""Parquet: every type of column becomes text, lists and objects; damage ends the file with a message."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.config.errors import BadInput
from producers.column_mapping import choose_columns
from producers.feeds.feed_file import count_lines
from producers.feeds.formats import read_feed
from producers.feeds.parquet import count_rows
from producers.row_reader import BadRow, FeedRow


def write(folder: Path, table: pa.Table, **options: object) -> Path:
    path = folder / "feed.bin"
    pq.write_table(table, path, **options)
    return path


def test_every_type_becomes_text_list_or_object(tmp_path: Path) -> None:
    table = pa.table({
        "ID": pa.array([1, 2], pa.int64()),
        "Image Link": ["u", "v"],
        "price": pa.array([Decimal("19.90"), None], pa.decimal128(10, 2)),
        "weight": [0.5, None],
        "availability": [True, False],
        "created": pa.array([datetime(2026, 1, 31, 12, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "local": pa.array([datetime(2026, 1, 31, 12), None], pa.timestamp("ms")),
        "day": [date(2026, 1, 31), None],
        "tags": [["a", "b"], []],
        "colour": pa.array(["red", "blue"]).dictionary_encode(),
        "more": [{"a": 1, "b": None}, None],
        "raw": [b"text", None],
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
    })  # fmt: skip
    first, second = read_feed(write(tmp_path, table))
    assert isinstance(first, FeedRow)
    assert first.cells == {
        "id": "1", "image_link": "u", "price": "19.90", "weight": "0.5", "availability": True,
        "created": "2026-01-31T12:00:00+00:00", "local": "2026-01-31T12:00:00+00:00", "day": "2026-01-31",
        "tags": ["a", "b"], "color": "red", "more": {"a": "1", "b": None}, "raw": "text", "map": {"k": "1"},
    }  # fmt: skip
    assert isinstance(second, FeedRow)
    assert second.cells == {"id": "2", "image_link": "v", "availability": False, "tags": [], "color": "blue"}
    assert second.line == 2


def test_columns_are_chosen_and_rows_counted(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table({"sku": ["a"] * 5_000, "pic": ["u"] * 5_000}), row_group_size=700)
    assert dict(choose_columns(path, ["item_id=sku", "image=pic"])) == {"item_id": "sku", "image": "pic"}
    assert count_rows(path) == count_lines(path) == 5_000
    assert [row.line for row in read_feed(path)] == list(range(1, 5_001))
    with pytest.raises(BadInput, match="no column `id`"):
        choose_columns(path, ())


def test_bytes_that_are_no_text_are_a_bad_row(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table({"id": [b"\xff", b"b"], "image_link": ["u", "v"]}))
    assert [isinstance(row, BadRow) for row in read_feed(path)] == [True, False]


@pytest.mark.parametrize("end", [4, 100, -9, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, end: int) -> None:
    path = write(tmp_path, pa.table({"id": ["a"], "image_link": ["u"]}))
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(BadInput, match="no readable Parquet file"):
        choose_columns(path, ())


def test_damage_within_a_file_ends_it_with_a_bad_row(tmp_path: Path) -> None:
    table = pa.table({"id": [str(n) for n in range(3_000)], "image_link": ["u"] * 3_000})
    path = write(tmp_path, table, row_group_size=1_000, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = data.index(b"\x28\xb5\x2f\xfd", len(data) // 3)
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(bytes(data))
    *rows, last = read_feed(path)
    assert isinstance(last, BadRow)
    assert last.line == len(rows) + 1


def test_a_table_without_rows_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table({"id": pa.array([], pa.string()), "image_link": pa.array([], pa.string())}))
    assert list(read_feed(path)) == []
    assert "the feed has no products" in choose_columns(path, ()).summary
