"""Point payloads: convert item state, facts and looks to payloads and back, and points to search hits."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import structlog

from consumers.embedding.moderation import MODERATOR_KEY, MODERATOR_LABELS_KEY
from consumers.points.terms import item_terms
from infra.qdrant.conditions import DEAD, LIVE
from infra.qdrant.contract import Payload, ScoredPoint
from infra.qdrant.payload_indexes import WORDS
from infra.qdrant.point_ids import IMAGE_NUMBER, IMAGE_REFERENCE, REGION_IMAGE, image_number
from schemas.failures import Code, TryLater
from schemas.items import ImageRef, InlineImage, ItemFacts, revision_at
from schemas.moments import moment_at
from schemas.results import Explained, Hit, Likely
from schemas.searches import Crop

HIT_FIELDS = ("title", "category", "category_confidence", "brand", "creator", "price", "currency", "url")
LISTS_OF_HIT = ("tags", "colours", "palette")
GIVEN, PREDICTED = "given", "predicted"
"""Source of a category: the event, or the vote of the nearest neighbours."""
CATEGORY_FIELDS = ("category", "category_source", "category_confidence")
"""The payload keys that change together with the category."""
ATTRIBUTE_FIELDS = ("attributes", "attribute_values")
"""The attributes, and the same attributes as `name=value` strings, which filters use."""
FACTS: Mapping[str, tuple[str, ...]] = {name: (name,) for name in ItemFacts.model_fields} | {
    "category": CATEGORY_FIELDS,
    "attributes": ATTRIBUTE_FIELDS,
}
"""Each fact of an item, with the payload keys that hold it."""
FACT_KEYS = tuple(key for keys in FACTS.values() for key in keys)
PATCHED_KEYS = {fact: f"{fact}_revision" for fact in FACTS}
"""The payload key with the revision of the patch that set a fact; facts of the upsert have no such key."""
PROVENANCE_KEYS = ("base", "digest", "state", "blocked", "blocked_revision", *PATCHED_KEYS.values())
"""The payload keys that identify the events from which the state in a point results."""
STATE_KEYS = ("revision", *PROVENANCE_KEYS, *FACT_KEYS, WORDS)
"""The payload keys that hold the ItemState, and the words of its facts; all points of an item have them."""
DUPLICATE_GROUP = "duplicate_group"
"""The payload key with the id of an item's duplicate group: items whose main pictures are duplicates share it."""
NOTIFIED_WATCHES = "told"
"""The payload key with the marks of the watches that have been notified of the item."""
OBJECTS = "objects"
"""The payload key of a picture with the field `objects` of its event; missing if the event does not have it."""
REGION_METHOD, REGION_COUNT = "regions_by", "regions"
"""The payload keys of a picture with how its regions were found, and their number; missing if there are none."""
REGION_BOX, OBJECTNESS = "region", "objectness"
"""The payload keys of a region with its box (x, y, w, h as shares of the picture) and its objectness, 0 to 1."""
HIT_KEYS = (
    *HIT_FIELDS, *LISTS_OF_HIT, "category_source", "tenant", "source", "revision", "in_stock", "created_at",
    IMAGE_NUMBER, REGION_IMAGE, REGION_BOX, DUPLICATE_GROUP,
)  # fmt: skip
"""The payload keys that searches read of each candidate: each further key takes time."""
KNOWN_KEYS = (
    *STATE_KEYS, "version", "source", "sha256", "encoder", IMAGE_REFERENCE, "studio", MODERATOR_KEY,
    MODERATOR_LABELS_KEY, DUPLICATE_GROUP, NOTIFIED_WATCHES, OBJECTS, REGION_METHOD, REGION_COUNT,
)  # fmt: skip
"""The payload keys that are read from a point before it is rewritten; most keys of the look are not needed."""


@dataclass(frozen=True)
class ItemState:
    """The current state of an item: its newest upsert or delete, and the facts that newer patches have set."""

    base: int = 0
    """Revision of the newest upsert or delete; 0 if there was none."""
    live: bool = False
    """Whether the item is searchable: that event was an upsert, and the item is not blocked."""
    digest: str = ""
    """Digest of that event's content: distinguishes its replay from another event with the same revision."""
    facts: Payload = field(default_factory=dict)
    """The known facts as payload. Of a deleted or blocked item only those that newer patches have set, because an
    upsert that is older than the patches may still arrive."""
    patched: Mapping[str, int] = field(default_factory=dict)
    """Each fact that a patch has set since the base, with the revision of the patch."""
    blocked: tuple[str, ...] = ()
    """The labels for which the item is blocked."""
    blocked_revision: int = 0
    """Revision of the newest event that has blocked it. A newer upsert lifts the block, a patch does not."""

    @property
    def revision(self) -> int:
        """Revision of the newest event that is in effect."""
        return max(self.base, *self.patched.values()) if self.live and self.patched else self.base

    def block(self, labels: tuple[str, ...], revision: int) -> "ItemState":
        """The state after the labels of an event of this revision, or of its pictures, have blocked the item.

        Only facts from newer patches remain: an upsert that lifts the block is newer than all other facts.
        """
        patched = {fact: at for fact, at in self.patched.items() if at > revision}
        retained_keys = {key for fact in patched for key in FACTS[fact]}
        facts = {key: value for key, value in self.facts.items() if key in retained_keys}
        return replace(self, live=False, facts=facts, patched=patched, blocked=labels, blocked_revision=revision)

    def payload(self) -> dict[str, object]:
        """The state as payload; every point of the item has it."""
        state = {"revision": self.revision, "base": self.base, "digest": self.digest}
        state |= {"blocked": list(self.blocked), "blocked_revision": self.blocked_revision} if self.blocked else {}
        state |= {PATCHED_KEYS[fact]: revision for fact, revision in self.patched.items()}
        words = item_terms(self.facts) if self.live else ""
        state |= {WORDS: words} if words else {}
        return {**state, "state": LIVE if self.live else DEAD, **self.facts}


def state_of(payload: Payload) -> ItemState:
    """The inverse of ItemState.payload; an empty payload gives the state of an unknown item."""
    return ItemState(
        base=as_int(payload.get("base", 0)),
        live=payload.get("state") == LIVE,
        digest=str(payload.get("digest", "")),
        facts={key: payload[key] for key in FACT_KEYS if key in payload},
        patched={fact: as_int(payload[key]) for fact, key in PATCHED_KEYS.items() if key in payload},
        blocked=strings_in(payload, "blocked"),
        blocked_revision=as_int(payload.get("blocked_revision", 0)),
    )


def provenance(payload: Payload) -> Payload:
    """The keys that identify the events from which a state results: equal for two points with the same state."""
    return {key: payload[key] for key in PROVENANCE_KEYS if key in payload}


def image_source(ref: ImageRef) -> Payload | None:
    """The reference from which a picture can be fetched again, as payload; None for an inline picture."""
    return None if isinstance(ref, InlineImage) else ref.model_dump(exclude_none=True)


def facts_payload(facts: ItemFacts) -> dict[str, object]:
    """The known facts of an item as payload. Booleans become keywords: the embedded engine matches no booleans."""
    payload: dict[str, object | None] = {
        "title": facts.title,
        "category": facts.category,
        "category_source": None if facts.category is None else GIVEN,
        "brand": facts.brand,
        "creator": facts.creator,
        "price": None if facts.price is None else float(facts.price),
        "currency": facts.currency,
        "in_stock": None if facts.in_stock is None else str(facts.in_stock).lower(),
        "tags": list(facts.tags),
        "created_at": None if facts.created_at is None else revision_at(facts.created_at),
        "url": facts.url,
        "moderation": list(facts.moderation),
        "attributes": dict(facts.attributes),
        "attribute_values": [f"{name}={value}" for name, value in facts.attributes.items()],
    }
    return {key: value for key, value in payload.items() if value not in (None, [], {})}


def prediction_payload(likely: Likely) -> dict[str, object]:
    """A predicted category as payload."""
    return dict(zip(CATEGORY_FIELDS, (likely.name, PREDICTED, likely.confidence), strict=True))


def prediction_in(facts: Payload) -> Likely | None:
    """The predicted category in these facts; None if there is no category, or if an event has given it."""
    if facts.get("category_source") != PREDICTED:
        return None
    return Likely(name=str(facts["category"]), confidence=_as_number(facts["category_confidence"]))


class HitConfidence(NamedTuple):
    """The probabilities that a hit has the query's category, and is the query's item (None: unknown), 0..1."""

    category: float = 0.0
    same_item: float | None = None


NO_CONFIDENCE = HitConfidence()


def hit_of(
    point: ScoredPoint,
    *,
    thumbnail: bool,
    confidence: HitConfidence = NO_CONFIDENCE,
    boost: float = 0.0,
    explained: Explained | None = None,
) -> Hit:
    """The hit for a point that a search has found; its thumbnail only if `thumbnail`."""
    payload = point.payload
    created, stock, image = payload.get("created_at"), payload.get("in_stock"), payload.get("thumbnail")
    fields: dict[str, object] = {name: payload.get(name) for name in HIT_FIELDS}
    fields |= {name: payload[name] for name in ("item_id", "tenant", "source", "revision")}
    fields |= {name: payload.get(name, []) for name in LISTS_OF_HIT}
    fields |= {
        "score": point.score,
        "confidence": confidence.category,
        "same_item": confidence.same_item,
        "boost": boost,
        "explained": explained,
        "image": image_number(payload),
        "box": box_of(payload),
        "in_stock": None if stock is None else stock == "true",
        "created_at": None if created is None else moment_at(_as_number(created)),
        "thumbnail": base64.b64decode(str(image)) if thumbnail and image else None,
    }
    return Hit.model_validate(fields, strict=False)


def is_in_region(payload: Payload) -> bool:
    """Whether a point is a region of a picture, and not a picture."""
    return payload.get(REGION_IMAGE) is not None


def box_of(payload: Payload) -> Crop | None:
    """The box of a region; None for the point of a picture."""
    box = payload.get(REGION_BOX)
    return Crop.model_validate(dict(zip("xywh", box, strict=True))) if isinstance(box, list) else None


def broken_vector_failure(tenant: str, items: str) -> TryLater:
    """Log that a vector is broken, and return the failure of the search that found it.

    The failure is temporary: the request is not its cause.
    """
    structlog.get_logger().error("invalid vector in the index", tenant=tenant, items=items[:200])
    text = f"the vector of `{items[:200]}` in the index is invalid: send the item again, or reindex"
    return TryLater(Code.VECTOR_INVALID, text)


def strings_in(payload: Payload, key: str) -> tuple[str, ...]:
    """The list of strings at a payload key; empty if the value is missing or no list."""
    values = payload.get(key)
    return tuple(map(str, values)) if isinstance(values, list) else ()


def as_int(value: object) -> int:
    """The value of a payload key that must be an integer; raises TypeError."""
    if not isinstance(value, int):
        raise TypeError(f"a payload's whole number is {type(value).__name__}")
    return value


def _as_number(value: object) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError(f"a payload number is {type(value).__name__}")
    return value
