"""Named encodings: a feed in UTF-7 or windows-1258 is read if it says so, else it is refused or a guess."""

import io
import json
import unicodedata
from pathlib import Path

import pytest

from infra.config.errors import BadInput
from producers.feeds.encoding import Utf8Bytes
from producers.feeds.feed_file import ReadOptions
from producers.feeds.formats import read_feed
from producers.row_reader import FeedRow


def titles(folder: Path, data: bytes, name: str = "feed.csv", options: ReadOptions | None = None) -> list[object]:
    (folder / name).write_bytes(data)
    return [row.cells.get("title") for row in read_feed(folder / name, options) if isinstance(row, FeedRow)]


VIETNAMESE = ["Giày da đỏ", "Áo sơ mi trắng, cỡ lớn", "Túi xách nữ", "Đồng hồ đeo tay"]


def as_windows_1258(text: str) -> bytes:
    """A text with the accents that windows-1258 has behind letters, and not in them."""
    found = b""
    for letter in text:
        parts = unicodedata.normalize("NFD", letter)
        own = [part for part in parts[1:] if part in "\u0302\u0306\u031b"]
        tones = [part for part in parts[1:] if part not in own]
        found += "".join([unicodedata.normalize("NFC", "".join([parts[0], *own])), *tones]).encode("cp1258")
    return found


@pytest.mark.parametrize("text", VIETNAMESE)
def test_windows_1258_is_read_if_the_file_or_the_user_names_it(tmp_path: Path, text: str) -> None:
    title = as_windows_1258(text)
    xml = b"<rss><item><id>1</id><title>%b</title></item></rss>" % title
    assert titles(tmp_path, b'<?xml version="1.0" encoding="windows-1258"?>' + xml, "feed.xml") == [text]
    options = ReadOptions(encoding="windows-1258")
    assert titles(tmp_path, b'id,title,image_link\n1,"%b",u\n' % title, options=options) == [text]


def test_an_accent_of_windows_1258_that_begins_a_chunk_belongs_to_the_letter_before_it() -> None:
    data = as_windows_1258("ệ" * 70_000)
    assert Utf8Bytes(io.BytesIO(data), "cp1258").readall() == ("ệ" * 70_000).encode()


@pytest.mark.parametrize("text", ["Größe", "Café", "Ботинки", "赤い靴", "12 € ½"])
@pytest.mark.parametrize("name", ["feed.csv", "feed.jsonl", "feed.xml"])
def test_utf_7_is_refused_by_name_unless_it_is_declared(tmp_path: Path, text: str, name: str) -> None:
    feed = {
        "feed.csv": f'id,title,image_link\n1,"{text}",https://shop.example/1.jpg\n',
        "feed.jsonl": json.dumps({"id": "1", "title": text, "image_link": "u"}, ensure_ascii=False),
        "feed.xml": f"<rss><item><id>1</id><title>{text}</title></item></rss>",
    }[name]
    with pytest.raises(BadInput, match=r"seems to be in UTF-7: save it as UTF-8, or give --encoding utf-7"):
        titles(tmp_path, feed.encode("utf-7"), name)
    assert titles(tmp_path, feed.encode("utf-7"), name, ReadOptions(encoding="utf-7")) == [text]
    assert titles(tmp_path, b"+/v8-" + feed.encode("utf-7"), name) == [text]
    if name == "feed.xml":
        declared = f'<?xml version="1.0" encoding="UTF-7"?>{feed}'
        assert titles(tmp_path, declared.encode("utf-7"), name) == [text]


@pytest.mark.parametrize("text", [
    "Vitamin C+D", "S+M-L", "+49 30 1234-5", "Pack+Add-on", "+12125551234",
    "A+BCD-1", "C++", "a + b", "1+1-Bundle", "+-5 mm",
])  # fmt: skip
def test_a_plus_sign_makes_no_utf_7(tmp_path: Path, text: str) -> None:
    assert titles(tmp_path, f"id,title,image_link\n1,{text},https://x.org/a+b.jpg\n".encode()) == [text]
    assert titles(tmp_path, f"id,title,image_link\n1,{text},u\n".encode()) == [text]
