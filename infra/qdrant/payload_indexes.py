"""Payload indexes: the payload fields that filters use, and how each is indexed."""

from dataclasses import dataclass
from typing import Literal

from infra.qdrant.point_ids import IMAGE_NUMBER


@dataclass(frozen=True)
class PayloadIndex:
    """A payload field that filters use, and the kind of its index.

    Only keywords get extra links in the graph, because links for numbers make the build 3.9 times as long. A label
    is a keyword without links: `colours`, for example, is used for facets only, and filters use `shades` instead.
    A text is split into words, by which searches rank (BM25).
    """

    name: str
    kind: Literal["tenant", "keyword", "label", "float", "integer", "text"]


WORDS = "words"
"""Payload key with the words of an item's facts, separated by blanks (consumers/points/terms.py)."""

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
    PayloadIndex(IMAGE_NUMBER, "integer"),
    PayloadIndex("sha256", "label"),
    PayloadIndex("duplicate_group", "label"),
    PayloadIndex("tags", "keyword"),
    PayloadIndex("attribute_values", "keyword"),
    PayloadIndex("moderation", "keyword"),
    PayloadIndex("moderation_seen", "keyword"),
    PayloadIndex(WORDS, "text"),
    PayloadIndex("in_stock", "keyword"),
    PayloadIndex("currency", "keyword"),
    PayloadIndex("price", "float"),
    PayloadIndex("created_at", "integer"),
    PayloadIndex("revision", "integer"),
    PayloadIndex("version", "integer"),
    PayloadIndex("dead_at", "integer"),
)
"""All indexed payload fields. `in_stock` is the keyword "true" or "false", because qdrant-edge never matches
booleans; `created_at` and `dead_at` are in microseconds since 1970, UTC."""
LINKED = frozenset(field.name for field in FIELDS if field.kind in ("tenant", "keyword"))
"""Fields whose values have their own links in the graph."""
