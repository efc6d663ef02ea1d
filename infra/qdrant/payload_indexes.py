"""Payload fields that filters use, and how they are indexed."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Field:
    """A payload field that filters use, and how it is indexed.

    The graph gets extra links for keywords alone: links for numbers cost 3.9 times the build time. Labels are
    keywords without links: they are counted, and `shades` is what filters use.
    """

    name: str
    kind: Literal["tenant", "keyword", "label", "float", "integer"]


FIELDS = (
    Field("tenant", "tenant"),
    Field("state", "keyword"),
    Field("item_id", "keyword"),
    Field("source", "keyword"),
    Field("category", "keyword"),
    Field("category_source", "keyword"),
    Field("brand", "keyword"),
    Field("creator", "keyword"),
    Field("shades", "keyword"),
    Field("colours", "label"),
    Field("n", "integer"),
    Field("sha256", "label"),
    Field("duplicate_group", "label"),
    Field("tags", "keyword"),
    Field("attribute_values", "keyword"),
    Field("moderation", "keyword"),
    Field("moderation_seen", "keyword"),
    Field("in_stock", "keyword"),
    Field("currency", "keyword"),
    Field("price", "float"),
    Field("created_at", "integer"),
    Field("revision", "integer"),
    Field("version", "integer"),
    Field("dead_at", "integer"),
)
"""Every indexed payload field. `in_stock` is the keyword "true" or "false", since qdrant-edge matches nothing
on booleans; `created_at` and `dead_at` are in microseconds since 1970, UTC."""
LINKED = frozenset(field.name for field in FIELDS if field.kind in ("tenant", "keyword"))
"""Fields whose values have links of their own in the graph."""
