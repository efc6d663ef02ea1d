"""Items as points, and points as hits: ids and payloads, in one place for both ways."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog
from pydantic import BaseModel

from consumers.embedding.moderation import MODERATOR, SEEN_LABELS
from consumers.vision.embedder import Look
from consumers.vision.perceptual_hash import NO_HASH, hash_in
from infra.qdrant.colour_cells import shades_of
from infra.qdrant.conditions import DEAD, LIVE
from infra.qdrant.contract import Payload, Point, ScoredPoint
from schemas.failures import Code, TryLater
from schemas.filters import ColourName
from schemas.items import ImageRef, InlineImage, ItemFacts, revision_at
from schemas.moments import moment_at
from schemas.results import Explained, Hit, Likely, Swatch

HIT_FIELDS = ("title", "category", "category_confidence", "brand", "creator", "price", "currency", "url")
GIVEN, PREDICTED = "given", "predicted"
"""Where a category comes from: the event, or the vote of neighbours."""
CATEGORY_FIELDS = ("category", "category_source", "category_confidence")
"""The payload keys that a given category changes together."""
ATTRIBUTE_FIELDS = ("attributes", "attribute_values")
"""The attributes, and the same as `name=value`, which filters use."""
FACTS: Mapping[str, tuple[str, ...]] = {name: (name,) for name in ItemFacts.model_fields} | {
    "category": CATEGORY_FIELDS,
    "attributes": ATTRIBUTE_FIELDS,
}
"""Every fact of an item, with the payload keys that hold it."""
FACT_KEYS = tuple(key for keys in FACTS.values() for key in keys)
PATCHED_KEYS = {fact: f"{fact}_revision" for fact in FACTS}
"""The payload key with the revision of the patch that set a fact; facts of the upsert have none."""
MARKS = ("base", "digest", "state", "blocked", "blocked_revision", *PATCHED_KEYS.values())
"""The payload keys that tell which events a point's state has come from."""
STATE_KEYS = ("revision", *MARKS, *FACT_KEYS)
"""The payload keys that hold the State of an item; all of its points have them."""
DUPLICATE_GROUP = "duplicate_group"
"""The payload key that items whose main pictures are duplicates have in common."""
TOLD = "told"
"""The payload key with the marks of the standing searches that have been told of the item."""
KNOWN_KEYS = (
    *STATE_KEYS, "version", "source", "sha256", "encoder", "image", "studio", MODERATOR, SEEN_LABELS,
    DUPLICATE_GROUP, TOLD,
)  # fmt: skip
"""What is read of a point before it is written anew: all but what comes from the look."""


class _Facts(BaseModel):
    """What a payload says of colours."""

    colours: tuple[ColourName, ...]
    palette: tuple[Swatch, ...]


@dataclass(frozen=True)
class ItemState:
    """What counts of an item: its newest upsert or delete, and the facts that newer patches have set."""

    base: int = 0
    """Revision of the newest upsert or delete; 0 when there was none."""
    live: bool = False
    """Whether it can be found: that event was an upsert, and the item is not blocked."""
    digest: str = ""
    """Of what that event said: tells its replay from another event of its revision."""
    facts: Payload = field(default_factory=dict)
    """The facts as payload, without those that are not known; of an item that is deleted or blocked those alone
    that newer patches have set, for an upsert that is older than they are may still come."""
    patched: Mapping[str, int] = field(default_factory=dict)
    """Each fact that a patch has set since, and the patch's revision."""
    blocked: tuple[str, ...] = ()
    """The labels for which it is blocked."""
    blocked_revision: int = 0
    """Of the newest event that has blocked it: a newer upsert lifts that, a patch does not."""

    @property
    def revision(self) -> int:
        """The newest event that counts."""
        return max(self.base, *self.patched.values()) if self.live and self.patched else self.base

    def barred(self, labels: tuple[str, ...], revision: int) -> "ItemState":
        """The state once an event of this revision, or what its pictures show, has blocked the item.

        Of what was known newer patches alone are kept: whatever lifts the block is newer than the others.
        """
        patched = {fact: at for fact, at in self.patched.items() if at > revision}
        kept = {key for fact in patched for key in FACTS[fact]}
        facts = {key: value for key, value in self.facts.items() if key in kept}
        return replace(self, live=False, facts=facts, patched=patched, blocked=labels, blocked_revision=revision)

    def payload(self) -> dict[str, object]:
        """The state as every point of the item has it."""
        known = {"revision": self.revision, "base": self.base, "digest": self.digest}
        known |= {"blocked": list(self.blocked), "blocked_revision": self.blocked_revision} if self.blocked else {}
        known |= {PATCHED_KEYS[fact]: revision for fact, revision in self.patched.items()}
        return {**known, "state": LIVE if self.live else DEAD, **self.facts}


def state_of(payload: Payload) -> ItemState:
    """The state in a point's payload."""
    return ItemState(
        base=whole(payload.get("base", 0)),
        live=payload.get("state") == LIVE,
        digest=str(payload.get("digest", "")),
        facts={key: payload[key] for key in FACT_KEYS if key in payload},
        patched={fact: whole(payload[key]) for fact, key in PATCHED_KEYS.items() if key in payload},
        blocked=words_in(payload, "blocked"),
        blocked_revision=whole(payload.get("blocked_revision", 0)),
    )


def marks(payload: Payload) -> Payload:
    """Which events a point's state has come from: the same for two points that say the same of their item."""
    return {key: payload[key] for key in MARKS if key in payload}


def look_payload(look: Look) -> dict[str, object]:
    """What a look adds to the payload of its point."""
    payload: dict[str, object] = {
        "colours": list(look.colours),
        "studio": str(look.studio).lower(),
        "shades": shades_of(look.colours, look.palette),
        "palette": [swatch.model_dump() for swatch in look.palette],
        "phash": str(look.phash),
    }
    known: dict[str, object] = {"thumbnail": base64.b64encode(look.thumbnail).decode() if look.thumbnail else None}
    known |= {MODERATOR: look.moderator, SEEN_LABELS: list(look.labels)}
    return payload | {key: value for key, value in known.items() if value}


def look_of(point: Point) -> Look:
    """The look that a live point was made of, but for the size of its picture; raises ValueError on a tombstone."""
    if point.vector is None:
        raise ValueError(f"point {point.id} has no vector")
    payload, small = point.payload, point.payload.get("thumbnail")
    facts = {key: payload.get(key, []) for key in ("colours", "palette")}
    seen = _Facts.model_validate(facts, strict=False)
    return Look(
        vector=point.vector,
        colours=seen.colours,
        palette=seen.palette,
        thumbnail=base64.b64decode(str(small)) if small else None,
        width=0,
        height=0,
        studio=payload.get("studio") == "true",
        phash=hash_in(str(payload["phash"])) if "phash" in payload else NO_HASH,
        labels=words_in(payload, SEEN_LABELS),
        moderator=str(payload.get(MODERATOR, "")),
    )


def where(ref: ImageRef) -> Payload | None:
    """Where a picture can be had again, as payload; an inline one is not kept."""
    return None if isinstance(ref, InlineImage) else ref.model_dump(exclude_none=True)


def facts_payload(facts: ItemFacts) -> dict[str, object]:
    """The known facts of an item as payload; booleans are keywords: the embedded engine matches no booleans."""
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


def predicted(likely: Likely) -> dict[str, object]:
    """A category that was predicted, as payload."""
    return dict(zip(CATEGORY_FIELDS, (likely.name, PREDICTED, likely.confidence), strict=True))


def prediction_in(facts: Payload) -> Likely | None:
    """The predicted category among these facts; none when there is none, or a given one."""
    if facts.get("category_source") != PREDICTED:
        return None
    return Likely(name=str(facts["category"]), confidence=_number(facts["category_confidence"]))


def hit(
    found: ScoredPoint,
    *,
    thumbnail: bool,
    confidence: float = 0.0,
    boost: float = 0.0,
    explained: Explained | None = None,
) -> Hit:
    """A found point as one hit of an answer."""
    payload = found.payload
    created, stock, small = payload.get("created_at"), payload.get("in_stock"), payload.get("thumbnail")
    known: dict[str, object] = {name: payload.get(name) for name in HIT_FIELDS}
    known |= {name: payload[name] for name in ("item_id", "tenant", "source", "revision")}
    known |= {name: payload.get(name, []) for name in ("tags", "colours", "palette")}
    known |= {
        "score": found.score,
        "confidence": confidence,
        "boost": boost,
        "explained": explained,
        "image": payload["n"],
        "in_stock": None if stock is None else stock == "true",
        "created_at": None if created is None else moment_at(_number(created)),
        "thumbnail": base64.b64decode(str(small)) if thumbnail and small else None,
    }
    return Hit.model_validate(known, strict=False)


def broken_index(tenant: str, items: str) -> TryLater:
    """Why a search that meets a broken vector fails: not by its own fault, and not for good."""
    structlog.get_logger().error("the index is broken: a vector holds no numbers", tenant=tenant, items=items[:200])
    text = f"the index is broken: the vector of `{items[:200]}` holds no numbers; send the item again, or reindex"
    return TryLater(Code.VECTOR_INVALID, text)


def words_in(payload: Payload, key: str) -> tuple[str, ...]:
    """The words of a payload's list; none when there is no list."""
    words = payload.get(key)
    return tuple(map(str, words)) if isinstance(words, list) else ()


def whole(value: object) -> int:
    """A whole number of a payload."""
    if not isinstance(value, int):
        raise TypeError(f"a payload's whole number is {type(value).__name__}")
    return value


def _number(value: object) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError(f"a payload number is {type(value).__name__}")
    return value
