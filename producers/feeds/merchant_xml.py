"""Merchant XML: read the products of XML feeds as rows.

Google's feeds (RSS 2.0, RSS 1.0, Atom), Yandex's YML, Heureka's, and plain lists as `<products><product>`. Sources:
Google's product data specification (https://support.google.com/merchants/answer/7052112), the RSS specifications,
RFC 4287 (Atom), https://yandex.com/support/market/feed.html. A product that is no XML is repaired if only its
ampersands are wrong; otherwise it is a bad row, and reading continues at the next product.
"""

import re
from collections.abc import Iterator
from html.entities import html5
from pathlib import Path
from xml.parsers import expat

from producers.feeds.feed_file import FeedFile, ReadOptions, open_feed
from producers.feeds.xml_context import FeedContext
from producers.feeds.xml_parser import PRODUCTS, FeedRefused, ProductParser
from producers.feeds.xml_product import NOT_READABLE, ProductRefused
from producers.row_reader import BadRow, FeedRow

PREFIX = rb"(?:[^\s<>/]{0,100}:)?"
ANY_PRODUCT = "|".join(sorted(PRODUCTS)).encode()
PRODUCT_START = re.compile(rb"<%b(%b)(?=[\s/>])" % (PREFIX, ANY_PRODUCT), re.IGNORECASE)
CHUNK = 1 << 16
BLANK_CONTROLS = bytes(32 if byte < 32 and byte not in b"\t\n\r" else byte for byte in range(256))
"""A table of bytes in which control characters, which XML does not allow, become blanks."""
UNREADABLE = re.compile("[\ud800-\udfff]")
ENTITY = re.compile(rb"&(?:(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)?")
NO_TAG = re.compile(rb"<(?![A-Za-z_/!?])")
EMPTY_ROOTS = {"rss", "feed", "rdf:rdf", "yml_catalog", "shop", "products", "items", "offers", "catalog", "channel"}
"""Roots, in lower case, of feeds that may be empty; with another root, a file without products is no feed."""
NAME = re.compile(rb"[^\s<>/]{1,200}")
MAX_BYTES = 8_000_000
ROOT, ROOT_END = b"<feed>", b"</feed>"
NO_ELEMENTS, MISMATCHED_TAG, JUNK_BEHIND_ROOT = 3, 7, 9
"""expat's codes of errors (enum XML_Error)."""


def read_products(path: Path, options: ReadOptions | None = None) -> Iterator[FeedRow | BadRow]:
    """The products of a feed, in order. Raises BadInput if the file cannot be read."""
    with open_feed(path, options) as file:
        reader = _FeedReader(file)
        yield from reader.rows()
        if file.damage is not None:
            yield BadRow(reader.line, f"the file {file.damage}: nothing after it is read")
        elif not reader.has_products and not reader.has_failed and reader.root.lower() not in EMPTY_ROOTS:
            yield BadRow(
                1, f"the file has no product (<item>, <entry>, <product> or <offer>): its root is <{reader.root}>"
            )


class _FeedReader:
    """Reads a feed in chunks. After an error it begins again at the next product, with a new parser."""

    def __init__(self, file: FeedFile) -> None:
        self.root = ""
        self.has_products = self.has_failed = False
        self._file = file
        self._context = FeedContext()
        self._parser = ProductParser(self._context)
        self._rest = b""
        """Bytes that were read: from the present product on, or else those that are not parsed yet."""
        self.line = 1
        """Line at which `_rest` begins."""
        self._parsed = self._base = self._base_line = 0
        """How many bytes of `_rest` are parsed; its place in the parser's bytes; lines above the parser's first."""
        self._ended = self._has_restarted = False

    def rows(self) -> Iterator[FeedRow | BadRow]:
        """The products, and bad rows for invalid ones."""
        try:
            while not self._ended or self._parsed < len(self._rest):
                try:
                    self._parse()
                except (expat.ExpatError, ProductRefused) as error:
                    yield from self._take_rows()
                    yield from self._recover(error)
                yield from self._take_rows()
        except FeedRefused as error:
            yield from self._take_rows()
            self.has_failed = True
            yield BadRow(self._line_of_parser(), f"the file {error}: nothing after it is read")

    def _line_of_parser(self) -> int:
        return self._parser.expat.CurrentLineNumber + self._base_line

    def _read(self) -> None:
        """Read a chunk."""
        text = self._file.text.read(CHUNK)
        self._ended = not text
        if not text.isascii():
            text = UNREADABLE.sub(NOT_READABLE, text).replace("\ufffe", " ").replace("\uffff", " ")
        data = text.encode().translate(BLANK_CONTROLS)
        if not self._rest and not self._parser.root and not self._has_restarted:
            stripped = data.lstrip()  # nothing may stand before an XML declaration
            self._base_line += data.count(b"\n", 0, len(data) - len(stripped))
            self.line, data = self._base_line + 1, stripped
        self._rest += data

    def _parse(self) -> None:
        """Parse the bytes read so far, or else a new chunk. Raises ExpatError, ProductRefused, or FeedRefused."""
        if self._parsed == len(self._rest):
            self._read()
        data, self._parsed = self._rest[self._parsed :], len(self._rest)
        self._parser.parse(data, last=self._ended)
        start = self._parser.start_index
        self._drop(start - self._base if start >= 0 else len(self._rest))
        if len(self._rest) > MAX_BYTES:  # comments do not count as characters
            raise ProductRefused(f"has more than {MAX_BYTES:,} bytes")

    def _drop(self, count: int) -> None:
        self.line += self._rest.count(b"\n", 0, count)
        self._rest, self._base, self._parsed = self._rest[count:], self._base + count, self._parsed - count

    def _take_rows(self) -> Iterator[FeedRow | BadRow]:
        self.root = self.root or self._parser.root
        for product in self._parser.products:
            self.has_products = True
            yield product.row(self._base_line)
        self._parser.products.clear()

    def _recover(self, error: Exception) -> Iterator[FeedRow | BadRow]:
        """Repair the product with an error, or return its bad row; then begin again after it."""
        parser = self._parser
        if parser.start_index < 0:
            yield from self._recover_outside(error)
            return
        self._drop(parser.start_index - self._base)
        self.has_products, line = True, self.line
        end = self._find(_product_end(self._rest), 1)
        end = self._find(PRODUCT_START, 1) if end is None else end
        if end is None and self._file.damage is None:
            yield BadRow(line, "the file ends within this product: nothing after it is read")
        elif end is not None and isinstance(error, expat.ExpatError):
            yield self._parse_again(self._rest[:end], error)
        elif end is not None:
            yield BadRow(line, f"the product {error}")
        self._restart(len(self._rest) if end is None else end)

    def _recover_outside(self, error: Exception) -> Iterator[BadRow]:
        """Go from an error between products to the next one."""
        line, reason = self._line_of_parser(), _describe(error)
        code = error.code if isinstance(error, expat.ExpatError) else 0
        place = max(self._parser.expat.ErrorByteIndex - self._base, 0)
        name = NAME.match(self._rest, place)
        is_end = (
            code == MISMATCHED_TAG
            and name is not None
            and name[0].decode(errors="replace") in self._context.ancestors
        )
        is_usual = code == JUNK_BEHIND_ROOT or (is_end and self._has_restarted)  # of feeds one after another
        found = self._find(PRODUCT_START, place if code == JUNK_BEHIND_ROOT else place + 1)
        if found is None and self._file.damage is None and not is_usual:
            self.has_failed = True
            what = "is cut off: its elements do not end" if code == NO_ELEMENTS and self.root else ""
            what = what or f"is no XML from here on ({reason})"
            yield BadRow(line, f"the file {what}: nothing after it is read")
        elif found is not None and not is_usual:
            yield BadRow(line, f"the text before a product is no XML ({reason}): it is left out")
        self._restart(len(self._rest) if found is None else found)

    def _find(self, pattern: re.Pattern[bytes], start: int) -> int | None:
        """The end of the next match, or the start of the next product before it; reads on until there is one."""
        while (found := pattern.search(self._rest, start)) is None and not self._ended:
            start = max(start, len(self._rest) - 200)
            if len(self._rest) > MAX_BYTES:  # what is too large to be a product is not held
                self._drop(start)
                start = 0
            self._read()
        if found is None:
            return None
        return found.end() if found[0].startswith(b"</") else found.start()

    def _restart(self, place: int) -> None:
        """Begin again with a new parser, behind a root of our own."""
        self._drop(place)
        self.root = self.root or self._parser.root
        self._context.ancestors.update(self._parser.path)
        self._parser = ProductParser(self._context)
        self._parser.parse(ROOT)
        self._base, self._base_line, self._parsed, self._has_restarted = len(ROOT), self.line - 1, 0, True

    def _parse_again(self, raw: bytes, error: expat.ExpatError) -> FeedRow | BadRow:
        """A product whose ampersands and entities are repaired."""
        parser = ProductParser(self._context)
        try:
            parser.parse(ROOT + _repair(raw) + ROOT_END, last=True)
            [product] = parser.products
        except (expat.ExpatError, FeedRefused, ProductRefused, ValueError):
            return BadRow(self.line, f"the product is no XML: {_describe(error)}")
        return product.row(self.line - product.line)


def _product_end(start: bytes) -> re.Pattern[bytes]:
    """What ends the product that begins a text: its end tag, or the beginning of the next one."""
    found = PRODUCT_START.match(start)
    name = re.escape(found[1]) if found else ANY_PRODUCT
    return re.compile(rb"</%b(?:%b)\s*>|<%b(?:%b)(?=[\s/>])" % (PREFIX, name, PREFIX, name), re.IGNORECASE)


def _repair(raw: bytes) -> bytes:
    """A product with ampersands that are escaped, and without entities that XML does not have; not within CDATA."""
    parts, place = [], 0
    while (start := raw.find(b"<![CDATA[", place)) >= 0 and (end := raw.find(b"]]>", start)) >= 0:
        parts += [_repair_text(raw[place:start]), raw[start : end + 3]]
        place = end + 3
    return b"".join([*parts, _repair_text(raw[place:])])


def _repair_text(raw: bytes) -> bytes:
    return NO_TAG.sub(b"&lt;", ENTITY.sub(_repair_entity, raw))


def _repair_entity(found: re.Match[bytes]) -> bytes:
    name = (found[1] or b"").decode()
    if name in ("amp", "lt", "gt", "quot", "apos"):
        return found[0]
    if name.startswith("#"):
        number = int(name[2:], 16) if name[1:2] in "xX" else int(name[1:])
        is_allowed = number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number < 0xFFFE
        return found[0] if is_allowed or 0x10000 <= number < 0x110000 else b""
    return html5[f"{name};"].encode() if f"{name};" in html5 else b"&amp;" + found[0][1:]


def _describe(error: Exception) -> str:
    return expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else str(error)
