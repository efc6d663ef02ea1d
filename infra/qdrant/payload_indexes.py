"""Payload fields that filters use, and how they are indexed."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PayloadIndex:
    """A payload field that filters use, and how it is indexed.

    The graph gets extra links for keywords alone: links for numbers cost 3.9 times the build time. Labels are
    keywords without links: they are counted, and `shades` is what filters use.
    """

    name: str
    kind: Literal["tenant", "keyword", "label", "float", "integer"]


FIELDS = (
    PayloadIndex("tenant", "tenant"),
    PayloadIndex("state", "keyword"),
    PayloadIndex("item_id", "keyword"),
    PayloadIndex("source", "keyword"),
    PayloadIndex("category", "keyword"),
    PayloadIndex("category_source", "keyword"),
    PayloadIndex("brand", "keyword"),
    PayloadIndex("creator", "keyword"),
    PayloadIndex("shades", "keyword"),
    PayloadIndex("colours", "label"),
    PayloadIndex("n", "integer"),
    PayloadIndex("sha256", "label"),
    PayloadIndex("duplicate_group", "label"),
    PayloadIndex("tags", "keyword"),
    PayloadIndex("attribute_values", "keyword"),
    PayloadIndex("moderation", "keyword"),
    PayloadIndex("moderation_seen", "keyword"),
    PayloadIndex("in_stock", "keyword"),
    PayloadIndex("currency", "keyword"),
    PayloadIndex("price", "float"),
    PayloadIndex("created_at", "integer"),
    PayloadIndex("revision", "integer"),
    PayloadIndex("version", "integer"),
    PayloadIndex("dead_at", "integer"),
)
"""Every indexed payload field. `in_stock` is the keyword "true" or "false", since qdrant-edge matches nothing
on booleans; `created_at` and `dead_at` are in microseconds since 1970, UTC."""
LINKED = frozenset(field.name for field in FIELDS if field.kind in ("tenant", "keyword"))
"""Fields whose values have links of their own in the graph."""
