"""JSON feeds: read objects as rows, one on each line, in an array, in an object around one, or after each other.

The file is read in pieces, so that its size does not matter. A part that cannot be read is a bad row with its line,
and reading continues at the next object.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from producers.feeds.feed_file import MAX_LINE, FeedFile, ReadOptions, is_utf8, open_feed
from producers.feeds.json_products import holds_products, is_array_name, may_hold_products, product_of, row_of
from producers.feeds.json_text import BLANK, DECODER, PIECE, JsonText, UnreadableBytes
from producers.row_reader import BadRow, FeedRow, Json, JsonObject

SAMPLE_LINES = 20
MAX_DEPTH = 6
"""Objects around the array of products."""
START = re.compile(r"[\[{]")
MARGIN = " \t\r\n\x1e\ufeff"


def read_objects(path: Path, options: ReadOptions | None = None) -> Iterator[FeedRow | BadRow]:
    """The objects of a JSON file, in order. Raises BadInput if it cannot be read."""
    with open_feed(path, options) as file:
        reader = _ObjectReader(file)
        yield from reader.read_lines() if reader.has_object_lines() else reader.read_values()
        if file.damage is not None:
            yield BadRow(reader.text.line, f"the file {file.damage}: nothing after it is read")


class _ObjectReader:
    """Reads the objects of a file as rows."""

    def __init__(self, file: FeedFile) -> None:
        self.file, self.text = file, JsonText(file)
        self.text.fill()

    def has_object_lines(self) -> bool:
        """Whether each line is an object: the first one is, or most of the first ones look like objects."""
        start = self.text.text.lstrip(MARGIN)
        if not start.startswith("{"):
            return False
        lines = [line.strip(MARGIN) for line in islice(re.split(r"[\r\n]+", start), SAMPLE_LINES)]
        values = [_decode_line(line) for line in lines if line]
        whole = sum(isinstance(value, dict) for value in values)
        if not isinstance(values[0], dict):
            return len(values) > 1 and 2 * whole > len(values)
        return whole > 1 or not holds_products(values[0])

    def read_lines(self) -> Iterator[FeedRow | BadRow]:
        """The object of each line."""
        source = self.text
        while True:
            end = source.text.find("\n", source.place)
            rest = len(source.text) - source.place
            if end < 0 and not source.ended and rest < MAX_LINE:
                source.fill(max(PIECE, rest))
                continue
            if end < 0 and not source.ended:
                yield BadRow(source.line, f"the line has more than {MAX_LINE:,} characters")
                source.skip_to(re.compile(r"(?<=\n)"), source.place + 1)
                continue
            line = source.text[source.place :] if end < 0 else source.text[source.place : end]
            if end < 0 and self.file.damage is not None:
                return  # the line is not whole
            for number, part in enumerate(line.rstrip("\r").split("\r") if "\r" in line else (line,)):
                yield from self._parse_line(source.line + number, part.strip(MARGIN))
            if end < 0:
                return
            source.move_to_line(end + 1)

    def _parse_line(self, line: int, text: str) -> Iterator[FeedRow | BadRow]:
        """The objects of a line; there may be several after each other, and a comma at the end."""
        if not is_utf8(text):
            yield self._unreadable(line)
            return
        place = 0
        while place < len(text):
            try:
                value, place = DECODER.raw_decode(text, place)
            except (ValueError, RecursionError):
                yield BadRow(line, f"the line is not JSON: it starts {text[:24]!r}")
                return
            yield row_of(line, value)
            if place < len(text):
                found = BLANK.match(text, place)
                place = found.end() if found else place

    def read_values(self) -> Iterator[FeedRow | BadRow]:
        """The objects in the arrays of the file, or after each other."""
        source, is_first = self.text, True
        while start := source.skip_blank():
            if start == "[":
                source.move(source.place + 1)
                yield from self._read_array()
            elif start == "{" and is_first:
                yield from self._read_wrapper(0)
            elif start == "{":
                yield from self._read_element()
            elif start in "]})":
                source.move(source.place + 1)
            else:
                yield BadRow(source.line, f"the text is not JSON: it starts {source.after(24)!r}")
                source.skip_to(START, source.place + 1)
            is_first = False

    def _read_array(self) -> Iterator[FeedRow | BadRow]:
        """The objects of an array, of which the bracket is read already."""
        source = self.text
        while start := source.skip_blank():
            if start not in "]}":
                yield from self._read_element()
                continue
            source.move(source.place + 1)
            if start == "]" or source.skip_blank() != "{":  # before an object, a brace is one too many
                return
        if self.file.damage is None:
            yield BadRow(source.line, "the file is cut off: its array has no end")

    def _read_element(self) -> Iterator[FeedRow | BadRow]:
        """The next value as a row."""
        line = self.text.line
        try:
            value = self.text.decode()
        except (ValueError, RecursionError) as error:
            yield from self._refuse(line, error)
        else:
            yield row_of(line, value)

    def _read_wrapper(self, depth: int) -> Iterator[FeedRow | BadRow]:
        """An object around an array of products; it is a row by itself if it holds none."""
        source, start, is_wrapper = self.text, self.text.line, False
        cells: dict[str, Json] = {}
        source.move(source.place + 1)
        while (letter := source.skip_blank()) and letter not in "]}":
            if letter == "{" and is_wrapper:  # the array was closed too early
                yield from self._read_array()
                continue
            key = source.read_key()
            content = "" if key is None else self._content_of(key, cells)
            if content == "[":
                is_wrapper = True
                source.move(source.place + 1)
                yield from self._read_array()
            elif content == "{" and depth < MAX_DEPTH:
                is_wrapper = True
                yield from self._read_wrapper(depth + 1)
            else:
                line = source.line
                try:
                    value = source.decode() if key is not None else source.refuse_name()
                except (ValueError, RecursionError) as error:
                    yield from self._refuse(line if is_wrapper else start, error)
                    return
                product = None if cells else product_of(str(key), value)
                if product is not None:
                    is_wrapper = True
                    yield FeedRow(line, product)
                else:
                    cells[str(key)] = value
        if not letter and self.file.damage is None:
            yield BadRow(source.line, "the file is cut off: its object has no end")
        elif not is_wrapper and letter:
            yield row_of(start, cells)
        source.move(min(source.place + 1, len(source.text)))

    def _content_of(self, key: str, cells: JsonObject) -> str:
        """`[` if the next value is an array of products, `{` if an object around one; else nothing."""
        text = self.text.after(1_000)
        start, inner = text[:1], text[1:].lstrip()[:1]
        is_array = start == "[" and (inner == "{" or (inner == "]" and is_array_name(key)))
        return start if (is_array or start == "{") and may_hold_products(key, cells, start) else ""

    def _refuse(self, line: int, error: Exception) -> Iterator[BadRow]:
        """The bad row of a value that cannot be read; reading continues after it."""
        if isinstance(error, UnreadableBytes):
            yield self._unreadable(line)
        elif self.file.damage is None or not self.text.ended:
            yield BadRow(line, _describe(error))
        self.text.recover(error)

    def _unreadable(self, line: int) -> BadRow:
        name = self.file.encoding_name
        return BadRow(line, f"the text is not {name}, as the rest is: save the file as UTF-8, or give --encoding")


def _decode_line(line: str) -> Json:
    try:
        value: Json = DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    return value


def _describe(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"the object is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
    if isinstance(error, RecursionError):
        return "the object is not JSON: it is nested too deeply"
    return f"the object is not JSON: {error}"
