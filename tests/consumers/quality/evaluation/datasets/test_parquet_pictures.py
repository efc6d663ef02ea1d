"""Pictures in Parquet files: read row by row, in row groups, with damaged files told."""

import hashlib
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consumers.quality.evaluation.datasets.parquet_pictures import (
    ParquetPicture,
    choose_column,
    digests,
    read_rows,
)
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.made_datasets import write_pictures

PICTURES = [bytes([65 + n]) * (n + 1) for n in range(10)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten pictures in row groups of four, with the columns id and image."""
    write_pictures(tmp_path / "a.parquet", PICTURES, {"id": [f"n{n}" for n in range(10)]})
    return tmp_path / "a.parquet"


def test_rows_know_their_picture(file: Path) -> None:
    rows = list(read_rows((file, file), ("id",)))
    assert [row.values for row in rows] == [(f"n{n}",) for n in range(10)] * 2
    assert [(row.group, row.row) for row in rows[3:5]] == [(0, 3), (1, 0)]
    assert [row.picture("image").read() for row in rows] == PICTURES * 2


def test_digests_come_in_the_order_of_rows(file: Path) -> None:
    assert list(digests((file,), "image")) == [hashlib.sha256(picture).hexdigest() for picture in PICTURES]


def test_a_plain_binary_column_is_read_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "image": [b"x", None]}), tmp_path / "a.parquet")
    rows = list(read_rows((tmp_path / "a.parquet",), ("id",)))
    assert [row.values for row in rows] == [("1",), ("2",)]
    assert [row.picture("image").read() for row in rows] == [b"x", b""]
    assert list(digests((tmp_path / "a.parquet",), "image"))[1] == ""


def test_a_column_of_another_kind_has_no_pictures(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "image": ["a.jpg"]}), tmp_path / "a.parquet")
    [row] = read_rows((tmp_path / "a.parquet",), ("id",))
    assert row.picture("image").read() == b""


def test_a_damaged_file_is_an_error_of_reading(file: Path, tmp_path: Path) -> None:
    [row, *_] = read_rows((file,), ("id",))
    data = bytearray(file.read_bytes())
    data[4:400] = b"\x99" * 396
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(data)
    with pytest.raises(BadInput, match=r"damaged\.parquet is damaged: "):
        list(read_rows((damaged,), ("id", "image")))
    picture = LabelledImage("a", damaged, source=type(row.picture("image"))(damaged, 0, 0, "image"), identity="a")
    assert picture.read() == b""
    damaged.write_bytes(data[:-20])
    with pytest.raises(BadInput, match="no readable Parquet file"):
        list(read_rows((damaged,), ("id",)))


def test_pictures_are_read_in_any_order(file: Path) -> None:
    rows = [row.picture("image") for row in read_rows((file,), ("id",))]
    for n in (9, 0, 5, 5, 4, 8, 7, 1, 3, 2, 6):
        assert rows[n].read() == PICTURES[n]
    assert ParquetPicture(file, 0, 4, "image").read() == b""


@pytest.mark.parametrize("group", [100, 12_000])
def test_few_pictures_are_in_memory_at_a_time(tmp_path: Path, group: int) -> None:
    """48 MB in one row group, or in many; pages of pyarrow have up to 1,024 pictures, here 4 MB."""
    chance = random.Random(0)
    pictures = [chance.randbytes(4_000) for _ in range(12_000)]
    write_pictures(tmp_path / "a.parquet", pictures, {"id": list(range(12_000))}, group)
    before = pa.total_allocated_bytes()
    for n, row in enumerate(read_rows((tmp_path / "a.parquet",), ("id",))):
        assert row.picture("image").read() == pictures[n]
        assert pa.total_allocated_bytes() - before < 15_000_000


def test_the_first_column_that_is_there_is_chosen(file: Path) -> None:
    assert choose_column((file,), ("_id", "id")) == "id"
    with pytest.raises(BadInput, match="no column b: its columns are image, id"):
        choose_column((file,), ("a", "b"))
