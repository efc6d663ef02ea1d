"""XML product: collect the elements of one product of a feed, and make a row of them.

The column is an element's name without its namespace; parts of an element are `element.part`; repeated elements
become a list. Where names meet, Google's elements come before the feed's own (RSS, Atom), and these before others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from producers.row_reader import BadRow, FeedRow, Json

GOOGLE = re.compile(
    r"(?:base\.google\.com|www\.google\.com|google\.com)/(?:ns|cns|schemas)/1\.0/?\s*$", re.IGNORECASE
)
"""Ends of the addresses of Google's namespaces (https://support.google.com/merchants/answer/160589)."""
GOOGLE_PREFIXES = {"g", "c"}
"""Prefixes of Google's elements; many feeds use them without a declaration."""
FEED_NAMESPACES = (
    "http://www.w3.org/2005/Atom", "http://purl.org/rss/1.0/", "http://purl.org/atom/ns#", "http://backend.userland.com",
)  # fmt: skip
GOOGLE_RANK, OWN_RANK, OTHER_RANK, ATTRIBUTE_RANK = range(4)
PARAMETERS = {"param", "attribute", "property", "parameter", "spec"}
"""Elements, in lower case, whose attribute `name` names the column."""
ADDRESS_ATTRIBUTES = ("url", "href", "src")
PICTURE_ELEMENTS = {"enclosure", "content", "thumbnail"}
"""Elements of RSS and Media RSS that may hold a picture (https://www.rssboard.org/media-rss)."""
MAX_CHARACTERS = 1_000_000
"""Of a product."""
NOT_READABLE = "\uf8f0"
"""Replaces a byte that the encoding does not have."""


class ProductRefused(Exception):
    """A product has content that no valid one needs; the message completes `the product ...`."""


@dataclass(slots=True)
class _Element:
    """An element within a product that is open."""

    name: str
    rank: int
    texts: list[str]
    parts: list[tuple[str, str]] = field(default_factory=list)
    """Names and texts of the elements in it."""


class XmlProduct:
    """A product while it is read."""

    def __init__(self, line: int, attributes: Mapping[str, str]) -> None:
        self.line, self.size = line, 0
        self.is_unreadable = False
        """Whether a text of it has bytes that the encoding does not have."""
        self._cells: tuple[dict[str, list[str]], ...] = ({}, {}, {}, {})
        self._open: list[_Element] = []
        self._count_attributes(attributes)
        for name, value in attributes.items():
            if value.strip() and not name.startswith("xmlns"):
                self._add(ATTRIBUTE_RANK, name.rpartition(":")[2], value.strip())

    def start(self, name: str, rank: int, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        texts: list[str] = []
        if attributes:
            self._count_attributes(attributes)
            address = next((attributes[each] for each in ADDRESS_ATTRIBUTES if each in attributes), "")
            texts.extend([address] if address else [])
            if not self._open and name.lower() in PARAMETERS and attributes.get("name"):
                name, rank = attributes["name"][:100], OTHER_RANK
            elif name == "link" and address:
                name = _name_link(attributes)
            elif name in PICTURE_ELEMENTS and address:
                name, rank = ("enclosure", OWN_RANK) if _is_picture(attributes) else (name, OTHER_RANK)
        self._open.append(_Element(name, rank, texts))

    def _count_attributes(self, attributes: Mapping[str, str]) -> None:
        self.size += sum(map(len, attributes.values()))
        self.is_unreadable = self.is_unreadable or any(NOT_READABLE in value for value in attributes.values())

    def add_text(self, text: str) -> None:
        """Text of the innermost element. Raises ProductRefused if the product is too large."""
        self.size += len(text)
        if self.size > MAX_CHARACTERS:
            raise ProductRefused(f"has more than {MAX_CHARACTERS:,} characters")
        if NOT_READABLE in text:
            self.is_unreadable = True
        if self._open:
            self._open[-1].texts.append(text)

    def end(self) -> None:
        """The innermost element ends."""
        element = self._open.pop()
        text = "".join(element.texts).strip()
        if self._open:
            self._end_part(element, text)
            return
        if text:
            self._add(element.rank, element.name, text)
        if not text and len({name for name, _ in element.parts}) == 1:
            for _, part in element.parts:  # a list, as <images><image>
                self._add(element.rank, element.name, part)
        for name, part in element.parts:
            self._add(element.rank, f"{element.name}.{name}", part)

    def _end_part(self, element: _Element, text: str) -> None:
        outer = self._open[-1]
        if text:
            outer.parts.append((element.name, text))
        outer.parts.extend((f"{element.name}.{name}", part) for name, part in element.parts)

    def _add(self, rank: int, name: str, text: str) -> None:
        cells = self._cells[rank]
        if name in cells:
            cells[name].append(text)
        else:
            cells[name] = [text]

    def row(self, categories: Mapping[str, str], lines_above: int) -> FeedRow | BadRow:
        """The product as a row; `categories` are the names of a feed's categories by their ids."""
        line = self.line + lines_above
        cells: dict[str, Json] = {}
        for texts in reversed(self._cells):
            for name, each in texts.items():
                cells[name] = each[0] if len(each) == 1 else each
        if self.is_unreadable:
            return BadRow(line, "the product has bytes that the file's encoding does not have: save it as UTF-8")
        category = cells.get("categoryId")
        if isinstance(category, str) and category in categories:
            cells.setdefault("category", categories[category])
        return FeedRow(line, cells)


def _name_link(attributes: Mapping[str, str]) -> str:
    """Atom has the address of a link in an attribute, and says by `rel` what it leads to."""
    relation = attributes.get("rel", "alternate")
    if relation == "enclosure" and _is_picture(attributes):
        return "enclosure"
    return "link" if relation == "alternate" else f"link.{relation}"


def _is_picture(attributes: Mapping[str, str]) -> bool:
    is_image = attributes.get("type", "image/").lower().startswith("image/")
    return is_image and attributes.get("medium", "image") == "image"


def rank_of(prefix: str, namespaces: Mapping[str, str]) -> int:
    """Whose element one with this prefix is."""
    address = namespaces.get(prefix)
    if prefix in GOOGLE_PREFIXES or (address is not None and GOOGLE.search(address)):
        return GOOGLE_RANK
    return OWN_RANK if not prefix or (address or "").startswith(FEED_NAMESPACES) else OTHER_RANK
