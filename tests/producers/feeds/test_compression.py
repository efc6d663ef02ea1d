"""Compression: archives of every kind are recognised by their bytes, read as streams, and bounded."""

import bz2
import gzip
import io
import lzma
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from infra.config.errors import BadInput
from producers.feeds.compression import open_bytes
from producers.feeds.feed_file import count_lines
from producers.feeds.formats import read_feed
from producers.row_reader import BadRow, FeedRow

FEED = b"id,image_link\n" + b"".join(b"%d,https://shop.example/%d.jpg\n" % (n, n) for n in range(2_000))


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_dot_", ".").replace("_in_", "/"), data)
    return out.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "zip": lambda data: zipped(feed_dot_csv=data),
}


def random_lines(count: int) -> list[bytes]:
    """Lines that do not become much smaller."""
    source = random.Random(count)
    return [b"%d,https://shop.example/%s.jpg\n" % (n, source.randbytes(20).hex().encode()) for n in range(count)]


def write(folder: Path, data: bytes, name: str = "feed.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read_all(path: Path) -> bytes:
    with open_bytes(path) as file:
        buffered = io.BufferedReader(file)
        data = buffered.read()
        assert (buffered.read(1), file.damage) == (b"", None)
        return data


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("suffix", ["feed.csv", "feed.csv.gz", "feed", "feed.zip"])
def test_an_archive_is_read_whatever_its_name(tmp_path: Path, name: str, suffix: str) -> None:
    assert read_all(write(tmp_path, COMPRESSIONS[name](FEED), suffix)) == FEED


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_an_archive_in_a_zip_archive_is_read(tmp_path: Path, name: str) -> None:
    if name != "zip":
        assert read_all(write(tmp_path, zipped(feed_dot_csv_dot_gz=COMPRESSIONS[name](FEED)))) == FEED


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd"])
def test_several_streams_after_each_other_are_one_file(tmp_path: Path, name: str) -> None:
    compress = COMPRESSIONS[name]
    assert read_all(write(tmp_path, compress(FEED[:999]) + compress(FEED[999:]))) == FEED


def test_padding_behind_an_archive_is_no_damage(tmp_path: Path) -> None:
    assert read_all(write(tmp_path, gzip.compress(FEED) + bytes(512))) == FEED


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_an_archive_that_is_cut_off_gives_what_came_before_and_says_where(tmp_path: Path, name: str) -> None:
    lines = random_lines(20_000)
    data = COMPRESSIONS[name](b"id,image_link\n" + b"".join(lines))
    *rows, last = read_feed(write(tmp_path, data[: len(data) * 2 // 3]))
    assert len(rows) > 5_000
    assert all(isinstance(row, FeedRow) and row.cells["image_link"] for row in rows)
    assert isinstance(last, BadRow)
    assert (last.line, "nothing after it is read" in last.message) == (len(rows) + 2, True)
    assert "cut off" in last.message


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd"])
def test_damage_within_an_archive_is_reported(tmp_path: Path, name: str) -> None:
    data = bytearray(COMPRESSIONS[name](random.Random(1).randbytes(300_000).hex().encode()))
    data[len(data) // 2] ^= 0xFF
    with open_bytes(write(tmp_path, bytes(data))) as file:
        io.BufferedReader(file).read()
        assert file.damage is not None


@pytest.mark.parametrize(("members", "part"), [
    ({"a_dot_csv": b"x", "b_dot_csv": b"y"}, "holds 2 feeds (a.csv, b.csv)"),
    ({}, "holds 0 feeds"),
    ({"xl_in_workbook_dot_xml": b"<x/>"}, "Excel workbook: save its table as CSV"),
    ({"META-INF_in_manifest_dot_xml": b"<x/>", "content_dot_xml": b"<x/>"}, "OpenDocument"),
])  # fmt: skip
def test_a_zip_archive_without_one_feed_says_what_it_holds(
    tmp_path: Path, members: dict[str, bytes], part: str
) -> None:
    with pytest.raises(BadInput) as caught:
        open_bytes(write(tmp_path, zipped(**members)))
    assert part in str(caught.value)


def test_what_systems_and_people_add_to_a_zip_archive_is_passed_over(tmp_path: Path) -> None:
    members = {
        "__MACOSX_in_._feed_dot_csv": b"x",
        "a_in__dot_DS_Store": b"x",
        "README_dot_md": b"x",
        "a_in_feed_dot_csv": FEED,
    }
    assert read_all(write(tmp_path, zipped(**members))) == FEED


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    data = bytearray(zipped(feed_dot_csv=FEED))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadInput, match="encrypted"):
        open_bytes(write(tmp_path, bytes(data)))


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"\x1f\x8b", b"\xfd7zXZ\0\0", b"BZh9", b"\x28\xb5\x2f\xfd\0"])
def test_the_beginning_of_an_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput):
        list(read_feed(write(tmp_path, data)))


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.feeds.compression.FREE_BYTES", 1 << 16)
    for compress in COMPRESSIONS.values():
        *rows, last = read_feed(write(tmp_path, compress(b"id,image_link\n" + b"1,x\n" * 400_000)))
        assert isinstance(last, BadRow)
        assert "200 times its size" in last.message
        assert len(rows) < 400_000


def test_archives_within_each_other_are_bounded(tmp_path: Path) -> None:
    data = FEED
    for _ in range(4):
        data = gzip.compress(data)
    with pytest.raises(BadInput, match="more than 3 times"):
        open_bytes(write(tmp_path, data))


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        open_bytes(tmp_path)
    with pytest.raises(BadInput, match="no such file"):
        open_bytes(tmp_path / "none.csv")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="save it first"):
        open_bytes(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["plain", *COMPRESSIONS])
def test_the_lines_of_a_file_are_counted_or_estimated(tmp_path: Path, name: str) -> None:
    data = b"".join(random_lines(40_000))
    path = write(tmp_path, data if name == "plain" else COMPRESSIONS[name](data))
    assert count_lines(path) == pytest.approx(40_000, rel=0 if name == "plain" else 0.1)
