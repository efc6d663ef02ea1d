"""XML context: the namespaces and categories of a feed, and the columns of its elements.

Where names meet, Google's elements come before the feed's own (RSS, Atom), and these before others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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
MAX_NAMESPACES, MAX_NAMES = 100, 1_000
"""Namespaces of a feed, and names of elements that are cached."""
MAX_LAYOUTS, LARGEST_LAYOUT = 200, 200
"""Layouts that are cached, and elements of a product whose layout is cached."""
ElementName = tuple[str, int]
"""The name of an element without its prefix, and its rank."""


class Layout(NamedTuple):
    """The columns of a product whose elements have certain names."""

    columns: tuple[str, ...]
    places: tuple[int | tuple[int, ...], ...] | None
    """Which of the texts each column has: one, or several as a list; None if each has its own, in their order."""


@dataclass
class FeedContext:
    """The contents of the elements around the products of a feed, and the names of the elements in them."""

    namespaces: dict[str, str] = field(default_factory=dict)
    """Addresses by prefixes."""
    categories: dict[str, str] = field(default_factory=dict)
    """Names by ids."""
    ancestors: set[str] = field(default_factory=set)
    """Names of the elements around products."""
    names: dict[str, ElementName] = field(default_factory=dict)
    """Resolved names, by the names as they are written."""
    _layouts: dict[tuple[ElementName, ...], Layout] = field(default_factory=dict)

    def declare(self, attributes: Mapping[str, str]) -> None:
        """Add the namespaces among the attributes of an element."""
        for key, address in attributes.items():
            is_new = key.startswith("xmlns") and self.namespaces.get(key[6:]) != address
            if is_new and len(self.namespaces) < MAX_NAMESPACES:
                self.namespaces[key[6:]] = address
                self.names.clear()

    def resolve(self, name: str) -> ElementName:
        """The name of an element without its prefix, and its rank."""
        found = self.names.get(name)
        if found is not None:
            return found
        prefix, _, local = name.rpartition(":")
        if len(self.names) > MAX_NAMES:
            self.names.clear()
        found = self.names[name] = local, rank_of(prefix, self.namespaces)
        return found

    def layout_of(self, names: tuple[ElementName, ...]) -> Layout:
        """The columns of a product whose elements have these names; most products of a feed have the same."""
        found = self._layouts.get(names)
        if found is None:
            found = _arrange(names)
            if len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.clear()
            if len(names) <= LARGEST_LAYOUT:
                self._layouts[names] = found
        return found


def _arrange(names: Sequence[ElementName]) -> Layout:
    """The layout of elements; of those with one name, the ones of the lowest rank count."""
    found: dict[str, list[int]] = {}
    for rank in reversed(range(ATTRIBUTE_RANK + 1)):
        own: dict[str, list[int]] = {}
        for place, (name, each) in enumerate(names):
            if each == rank:
                own.setdefault(name, []).append(place)
        found.update(own)
    places = tuple(each[0] if len(each) == 1 else tuple(each) for each in found.values())
    return Layout(tuple(found), None if places == tuple(range(len(names))) else places)


def rank_of(prefix: str, namespaces: Mapping[str, str]) -> int:
    """Whose element one with this prefix is."""
    address = namespaces.get(prefix)
    if prefix in GOOGLE_PREFIXES or (address is not None and GOOGLE.search(address)):
        return GOOGLE_RANK
    return OWN_RANK if not prefix or (address or "").startswith(FEED_NAMESPACES) else OTHER_RANK
