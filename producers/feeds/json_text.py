"""JSON text: read a JSON file in pieces, with a current place, and recover from invalid parts."""

import json
import re
from dataclasses import dataclass

from producers.feeds.feed_file import MAX_LINE, FeedFile, is_utf8
from producers.row_reader import Json

PIECE = 1 << 18
"""Characters that are read at once."""
TRIM = 1 << 20
"""Most characters before the current place that stay in memory."""
MARGIN = 200
"""Characters before the current place that show the indent of its line."""
BLANK = re.compile(r"[\s,;\x1e\ufeff]*")
FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,200}"\s*:)')
STRUCTURE = re.compile(r'"(?:[^"\\\r\n]|\\.)*+"?|[{}\[\]]')
KEY = re.compile(r'"((?:[^"\\]|\\.){0,200})"\s*:\s*')
KEY_LENGTH = 1_000
PARTNERS = {"{": "}", "[": "]"}
MAX_SCAN, SCAN_RATIO = 1 << 16, 4
"""Most characters that are searched for the end of a broken object; and of all searches, as a multiple of the
characters read."""
LEAST_DEPTH = 500
"""Least nesting at which the decoder of Python fails: after such an error so many characters hold no product."""
SYNTAX_ERRORS = ("Expecting property name", "Expecting value")
"""Errors that leave quotes and brackets in pairs."""
DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
"""Numbers stay text, as they are written."""


class UnreadableBytes(ValueError):
    """A value has bytes that its encoding does not have; the place is behind the value."""


@dataclass
class JsonText:
    """The part of a file that was read and is not parsed yet."""

    file: FeedFile
    text: str = ""
    place: int = 0
    line: int = 1
    """Line of `place`, from 1."""
    ended: bool = False
    """Whether `text` goes up to the end of the file."""
    scannable: int = 0
    """Characters that may still be searched for the ends of broken objects, which bounds the time."""
    first_key: str = ""
    """The first key of the last object read, as written; the other objects of its array usually begin with it."""

    def fill(self, least: int = PIECE) -> bool:
        """Read at least `least` characters. False at the end of the file."""
        self._trim()
        pieces, count = [self.text], 0
        while count < least and not self.ended:
            piece = self.file.text.read(PIECE)
            self.ended = not piece
            count += len(piece)
            self.scannable += SCAN_RATIO * len(piece)
            pieces.append(piece)
        self.text = "".join(pieces)
        return count > 0

    def _trim(self) -> None:
        """Drop what is far before the present place."""
        start = max(self.place - MARGIN, 0)
        self.text, self.place = self.text[start:], self.place - start

    def move(self, place: int) -> None:
        """Go to a place further on."""
        ends = self.text.count("\n", self.place, place)
        self.line += ends or self.text.count("\r", self.place, place)
        self.place = place

    def move_to_line(self, place: int) -> None:
        """Go to the beginning of the next line."""
        self.place, self.line = place, self.line + 1

    def skip_blank(self) -> str:
        """Skip blanks; returns the next character, or "" at the end."""
        while True:
            found = BLANK.match(self.text, self.place)
            self.move(found.end() if found else self.place)
            if self.place < len(self.text):
                return self.text[self.place]
            if not self.fill():
                return ""

    def after(self, length: int) -> str:
        """The next characters."""
        if len(self.text) - self.place < length and not self.ended:
            self.fill()
        return self.text[self.place : self.place + length]

    def read_key(self) -> str | None:
        """Read the name of a value and its colon; None if there is none."""
        found = KEY.match(self.after(KEY_LENGTH))
        if found is None:
            return None
        self.move(self.place + found.end())
        return found[1]

    def refuse_name(self) -> Json:
        """Raise the error of a value without a name."""
        raise json.JSONDecodeError("Expecting property name and colon", self.text, self.place)

    def decode(self) -> Json:
        """Read a value. Raises ValueError or RecursionError; then the place is unchanged."""
        if self.place > TRIM:  # an error of the decoder counts the lines before it
            self._trim()
        while True:
            text, key = self.text, FIRST_KEY.match(self.text, self.place)
            try:
                value, end = DECODER.raw_decode(text, self.place)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated string") or error.pos >= len(text) - 12
                rest = len(text) - self.place
                if not is_cut or rest >= MAX_LINE or not self.fill(max(PIECE, rest)):
                    raise
                continue
            if end >= len(text) and not isinstance(value, dict | list) and self.fill():
                continue  # a number may go on
            self.first_key = key[1] if key else self.first_key
            is_readable = is_utf8(text[self.place : end])
            self.move(end)
            if not is_readable:
                raise UnreadableBytes
            result: Json = value
            return result

    def recover(self, error: Exception) -> None:
        """Go to the end of an invalid value, or to the probable beginning of the next one of its array."""
        if isinstance(error, UnreadableBytes):
            return
        broken_at = error.pos if isinstance(error, json.JSONDecodeError) else self.place + LEAST_DEPTH
        pattern = self._start_pattern()
        swallowed = pattern.search(self.text, self.place + 1, broken_at) if self._indent() is not None else None
        if swallowed is not None and self.scannable > 0:  # an open bracket makes the next objects its parts
            self.scannable -= broken_at - self.place
            self.move(swallowed.start())
            return
        last_quote = self.text.rfind('"', self.place, broken_at)
        text_start = self.text.rfind(
            '"', self.place, max(last_quote, 0)
        )  # a text that is not closed may hold the next
        start = max(text_start, self.place + 1)
        is_syntax = isinstance(error, json.JSONDecodeError) and error.msg.startswith(SYNTAX_ERRORS)
        end = self._balanced_end() if is_syntax and self.scannable > 0 else None
        if end is not None and end > broken_at and pattern.search(self.text, start, end) is None:
            self.move(end)
        else:
            self.skip_to(pattern, start)

    def _start_pattern(self) -> re.Pattern[str]:
        """How the next object of the present array begins: at the same indent, or with the same name."""
        indent = self._indent()
        if indent is not None:
            return re.compile(rf"(?<=[\r\n]){re.escape(indent)}\{{")
        key = FIRST_KEY.match(self.text, self.place)
        first_key = self.first_key or (key[1] if key else '"')
        return re.compile(rf"\{{\s*{re.escape(first_key)}")

    def _indent(self) -> str | None:
        """The blanks between the beginning of the line and the present place; None if there is anything else."""
        margin = self.text[max(self.place - MARGIN, 0) : self.place]
        indent = margin[max(margin.rfind("\n"), margin.rfind("\r")) + 1 :]
        return indent if len(indent) < len(margin) and not indent.strip(" \t") else None

    def skip_to(self, pattern: re.Pattern[str], start: int) -> None:
        """Go to the next match from a place on, or to the end of the file."""
        while (found := pattern.search(self.text, start)) is None:
            self.move(min(max(start, len(self.text) - KEY_LENGTH), len(self.text)))  # a match may begin in the rest
            if not self.fill():
                self.move(len(self.text))
                return
            start = self.place
        self.move(found.start())

    def _balanced_end(self) -> int | None:
        """The place after the bracket that closes the current value; None if the brackets are not in pairs."""
        expected: list[str] = []
        start = self.place
        for found in STRUCTURE.finditer(self.text, start, start + MAX_SCAN):
            letter = found[0]
            self.scannable -= found.end() - start
            start = found.end()
            if letter in PARTNERS:
                expected.append(PARTNERS[letter])
            elif letter in "}]":
                if expected and expected.pop() != letter:
                    return None
                if not expected:
                    return found.end()
        return None
