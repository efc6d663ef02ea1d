"""Items as points, and points as hits: ids and payloads, in one place for both ways."""

import base64
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from consumers.vision.look import Look
from infra.qdrant.plan import DEAD, LIVE, Found, Point
from infra.qdrant.shades import shades_of
from schemas.items import (
    MAX_IMAGES,
    ImageRef,
    InlineImage,
    ItemDeleted,
    ItemFacts,
    ItemUpserted,
    item_key,
    revision_at,
)
from schemas.searches import Hit, Likely

NAMESPACE = uuid.UUID("6d3c1f0a-6b0e-5c1e-9a57-1b8f3f2b9f10")
"""Makes our ids unlike anybody else's; changing it orphans every index."""

HIT_FIELDS = ("title", "category", "category_confidence", "brand", "creator", "price", "currency", "url")
GIVEN, PREDICTED = "given", "predicted"
"""Where a category comes from: the event, or the vote of neighbours."""
CATEGORY_FIELDS = ("category", "category_source", "category_confidence")
"""The payload keys that a given category changes together."""


def point_id(tenant: str, item_id: str, image: int) -> str:
    """The id of one picture of an item: the same picture always lands on the same point."""
    return str(uuid.uuid5(NAMESPACE, f"{tenant}\0{item_id}\0{image}"))


def point_ids(tenant: str, item_id: str, first: int = 0) -> list[str]:
    """The ids that the pictures of an item can have, from picture `first` on."""
    return [point_id(tenant, item_id, image) for image in range(first, MAX_IMAGES)]


def live_point(item: ItemUpserted, image: int, data: bytes, look: Look, encoder: str) -> Point:
    """The point of one picture of an item."""
    payload = {
        **_identity(item),
        "n": image,
        "state": LIVE,
        "encoder": encoder,
        "sha256": sha256(data).hexdigest(),
        "image": _where(item.images[image]),
        "colours": list(look.colours),
        "studio": str(look.studio).lower(),
        "shades": shades_of(look.colours, look.palette),
        "palette": [swatch.model_dump() for swatch in look.palette],
        "thumbnail": base64.b64encode(look.thumbnail).decode() if look.thumbnail else None,
        **facts_payload(item),
    }
    known = {name: value for name, value in payload.items() if value is not None}
    return Point(point_id(item.tenant, item.item_id, image), known, look.vector)


def with_category(point: Point, likely: Likely) -> Point:
    """The point with a category that was predicted."""
    told = {"category": likely.name, "category_source": PREDICTED, "category_confidence": likely.confidence}
    return replace(point, payload={**point.payload, **told})


def tombstone(item: ItemDeleted, now: datetime) -> Point:
    """What stays of a deleted item, so that a late older event cannot bring it back."""
    payload = {**_identity(item), "n": 0, "state": DEAD, "dead_at": revision_at(now)}
    return Point(point_id(item.tenant, item.item_id, 0), payload, None)


def facts_payload(facts: ItemFacts) -> dict[str, object]:
    """The facts of an item as payload; booleans are keywords, since the embedded engine matches no booleans."""
    return {
        "title": facts.title,
        "category": facts.category,
        "category_source": None if facts.category is None else GIVEN,
        "category_confidence": None,
        "brand": facts.brand,
        "creator": facts.creator,
        "price": None if facts.price is None else float(facts.price),
        "currency": facts.currency,
        "in_stock": None if facts.in_stock is None else str(facts.in_stock).lower(),
        "tags": list(facts.tags),
        "created_at": None if facts.created_at is None else revision_at(facts.created_at),
        "url": facts.url,
        "attributes": dict(facts.attributes),
    }


def hit(found: Found, *, thumbnail: bool, confidence: float = 0.0) -> Hit:
    """A found point as one hit of an answer."""
    payload = found.payload
    created, stock, small = payload.get("created_at"), payload.get("in_stock"), payload.get("thumbnail")
    known: dict[str, object] = {name: payload.get(name) for name in HIT_FIELDS}
    known |= {name: payload[name] for name in ("item_id", "tenant", "source", "revision")}
    known |= {name: payload.get(name, []) for name in ("tags", "colours", "palette")}
    known |= {
        "score": found.score,
        "confidence": confidence,
        "image": payload["n"],
        "in_stock": None if stock is None else stock == "true",
        "created_at": None if created is None else datetime.fromtimestamp(_number(created) / 1e6, UTC),
        "thumbnail": base64.b64decode(str(small)) if thumbnail and small else None,
    }
    return Hit.model_validate(known, strict=False)


def _identity(item: ItemUpserted | ItemDeleted) -> dict[str, object]:
    return {
        "item": item_key(item.tenant, item.item_id),
        "item_id": item.item_id,
        "tenant": item.tenant,
        "source": item.source,
        "revision": item.revision,
    }


def _where(ref: ImageRef) -> Mapping[str, object] | None:
    """Where a picture can be had again; an inline one is not kept."""
    return None if isinstance(ref, InlineImage) else ref.model_dump()


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"a payload number is {type(value).__name__}")
    return float(value)
