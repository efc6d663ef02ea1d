"""XML product: collect the elements of one product of a feed, and make a row of them.

The column is an element's name without its namespace; parts of an element are `element.part`; repeated elements
become a list.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from producers.feeds.xml_context import ATTRIBUTE_RANK, OTHER_RANK, OWN_RANK, ElementName, FeedContext
from producers.row_reader import BadRow, FeedRow, Json

PARAMETERS = {"param", "attribute", "property", "parameter", "spec"}
"""Elements, in lower case, whose attribute `name` names the column."""
ADDRESS_ATTRIBUTES = ("url", "href", "src")
PICTURE_ELEMENTS = {"enclosure", "content", "thumbnail"}
"""Elements of RSS and Media RSS that may hold a picture (https://www.rssboard.org/media-rss)."""
MAX_CHARACTERS = 1_000_000
"""Of a product."""
MAX_DEPTH = 16
"""Maximum nesting of elements."""
NOT_READABLE = "\uf8f0"
"""Replaces a byte that the encoding does not have."""


class ProductRefused(Exception):
    """A product has content that no valid one needs; the message completes `the product ...`."""


@dataclass(slots=True)
class _Element:
    """An element within a product that is open, with another one in it."""

    name: str
    rank: int
    texts: list[str]
    parts: list[tuple[str, str]] = field(default_factory=list)
    """Names and texts of the elements in it."""


class XmlProduct:
    """A product while it is read: `start`, `end` and `add_text` are expat's handlers within it.

    Almost all elements hold text alone, so that the innermost element is no object, but a name and its texts.
    """

    def __init__(
        self, line: int, depth: int, attributes: Mapping[str, str], context: FeedContext, finish: Callable[[], None]
    ) -> None:
        self.line, self._depth, self._context, self._finish = line, depth, context, finish
        self._size = 0
        self._is_unreadable = False
        """Whether an attribute of it has bytes that the encoding does not have."""
        self._names: list[ElementName] = []
        self._values: list[str] = []
        """Names and texts of the elements of the product, in order."""
        self._open: list[_Element] = []
        self._innermost: ElementName | None = None
        self._texts: list[str] = []
        self.add_text = self._texts.append
        if attributes:
            self._count_attributes(attributes)
            for name, value in attributes.items():
                if value.strip() and not name.startswith("xmlns"):
                    self._add(ATTRIBUTE_RANK, name.rpartition(":")[2], value.strip())

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins. Raises ProductRefused if it is nested too deeply."""
        if attributes or self._innermost is not None or self._open:
            self._start_within(name, attributes)
        else:
            self._innermost = self._context.names.get(name) or self._context.resolve(name)
            self._texts.clear()

    def _start_within(self, written: str, attributes: Mapping[str, str]) -> None:
        if self._innermost is not None:
            self._open.append(_Element(*self._innermost, self._texts.copy()))
        elif self._open:
            self._open[-1].texts.extend(self._texts)
        self._texts.clear()
        if self._depth + len(self._open) >= MAX_DEPTH:
            raise ProductRefused(f"has more than {MAX_DEPTH} nested elements")
        self._context.declare(attributes)
        name, rank = self._context.resolve(written)
        if attributes:
            self._count_attributes(attributes)
            address = next((attributes[each] for each in ADDRESS_ATTRIBUTES if each in attributes), "")
            self._texts.extend([address] if address else [])
            if not self._open and name.lower() in PARAMETERS and attributes.get("name"):
                name, rank = attributes["name"][:100], OTHER_RANK
            elif name == "link" and address:
                name = _name_link(attributes)
            elif name in PICTURE_ELEMENTS and address:
                name, rank = ("enclosure", OWN_RANK) if _is_picture(attributes) else (name, OTHER_RANK)
        self._innermost = name, rank

    def _count_attributes(self, attributes: Mapping[str, str]) -> None:
        self._size += sum(map(len, attributes.values()))
        self._is_unreadable = self._is_unreadable or any(NOT_READABLE in value for value in attributes.values())

    def end(self, _name: str) -> None:
        """The innermost element ends, or the product itself. Raises ProductRefused if the product is too large."""
        texts, innermost = self._texts, self._innermost
        if innermost is None:
            self._end_outer()
            return
        text = (texts[0] if len(texts) == 1 else "".join(texts)).strip()
        self._innermost = None
        texts.clear()
        if text:
            self._size += len(text)
            if self._open:
                self._open[-1].parts.append((innermost[0], text))
            else:
                self._names.append(innermost)
                self._values.append(text)
            if self._size > MAX_CHARACTERS:
                raise ProductRefused(f"has more than {MAX_CHARACTERS:,} characters")

    def _end_outer(self) -> None:
        """An element with others in it ends, or the product."""
        if not self._open:
            self._finish()
            return
        element = self._open.pop()
        text = "".join([*element.texts, *self._texts]).strip()
        self._texts.clear()
        self._size += len(text)
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
        self._names.append((name, rank))
        self._values.append(text)

    def row(self, lines_above: int) -> FeedRow | BadRow:
        """The product as a row."""
        line, values = self.line + lines_above, self._values
        if self._is_unreadable or NOT_READABLE in "".join(values):
            return BadRow(line, "the product has bytes that the file's encoding does not have: save it as UTF-8")
        columns, places = self._context.layout_of(tuple(self._names))
        texts: Iterable[Json] = values
        if places is not None:
            texts = (values[at] if isinstance(at, int) else [values[each] for each in at] for at in places)
        cells: dict[str, Json] = dict(zip(columns, texts, strict=True))
        categories = self._context.categories
        if categories:
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
