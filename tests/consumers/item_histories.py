"""Histories of items: events in any order, and the model of their final state."""

import random
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np

from consumers.scoring.look_parts import LookParts
from infra.qdrant.contract import Index
from infra.qdrant.point_ids import MAX_POINTS, image_of, is_region, numbered_id, region_index
from schemas.envelope import Event
from schemas.items import (
    FileImage,
    ImageRef,
    InlineImage,
    ItemDeleted,
    ItemEvent,
    ItemFacts,
    ItemPatched,
    ItemUpserted,
    Objects,
    S3Image,
    UrlImage,
)

SIZE = 8
"""Dimensions of a look."""
BAD, SLOW = b"bad", b"slow"
"""First bytes of pictures that cannot be decoded, and of those whose first fetch fails."""
FACTS = ("title", "category", "price", "currency", "in_stock")
"""The facts in histories."""
KINDS = ("upsert", "upsert", "patch", "patch", "delete")
PICKS = 24
"""The number of different events of one kind and revision."""

Step = tuple[str, str, int, int]
"""An event in short: item, kind, revision, and which of PICKS."""
Items = dict[str, dict[str, Any]]
"""The final state of each item: `base`, `revision` and, unless it is deleted, `facts` and `pictures` by number.

If things in the pictures are indexed too, it has `regions` by the numbers of picture and region."""


def data_of(ref: ImageRef) -> bytes:
    """The bytes of a reference; of a picture outside the event, its path, URL or key stands for the bytes."""
    match ref:
        case InlineImage(data=data):
            return data
        case FileImage(path=place) | UrlImage(url=place) | S3Image(key=place):
            return place.encode()


def vector_of(data: bytes) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """A different look for each picture, with parts of unit length."""
    return LookParts(4, 2).normalise(np.frombuffer(sha256(data).digest(), np.uint8)[:SIZE].astype(np.float32) + 1)


def things_in(data: bytes, objects: Objects | None) -> list[bytes]:
    """What stands for the bytes of each thing in a picture: none to three, with `all` one more."""
    count = {"none": 0, "auto": data[-1] % 4, "all": data[-1] % 4 + 1}[objects or "none"]
    return [data + b"#" + str(number).encode() for number in range(count)]


# --- events ---


def upsert(item: str, revision: int, *pictures: bytes | ImageRef, **facts: Any) -> Event:
    refs = tuple(InlineImage(data=one) if isinstance(one, bytes) else one for one in pictures)
    return Event(ItemUpserted.model_validate({"item_id": item, "revision": revision, "images": refs} | facts))


def patch(item: str, revision: int, **facts: Any) -> Event:
    return Event(ItemPatched(item_id=item, revision=revision, facts=ItemFacts.model_validate(facts)))


def delete(item: str, revision: int) -> Event:
    return Event(ItemDeleted(item_id=item, revision=revision))


def stored_file(data: bytes, *, with_checksum: bool) -> FileImage:
    """A picture in a file, with or without its checksum."""
    return FileImage(root="shop", path=data.decode(), sha256=sha256(data).hexdigest() if with_checksum else None)


def event_of(step: Step) -> Event:
    """The event of a step."""
    item, kind, revision, pick = step
    if kind == "delete":
        return delete(item, revision)
    price: dict[str, object] = {"price": Decimal(revision), "currency": ("EUR", "USD")[pick % 2]}
    title: dict[str, object] = {"title": None if pick % 5 == 4 else f"{item} {revision}"}
    category: dict[str, object] = {"category": ("lamp", "shoe", None)[pick % 3]}
    if kind == "patch":
        rows: list[dict[str, object]] = [price, title, category, {"in_stock": pick % 2 == 0}, price | title]
        return patch(item, revision, **rows[pick % len(rows)])
    red, blue = stored_file(b"red", with_checksum=pick % 2 == 0), b"blue"
    slow = stored_file(SLOW + f"{item}-{revision}".encode(), with_checksum=False)
    objects: Objects | None = (None, "auto", "none", "all")[pick // 6 % 4]
    several: list[list[bytes | FileImage]] = [[red], [blue, red], [red, blue, b"green"], [red, BAD], [BAD], [slow]]
    return upsert(item, revision, *several[pick % len(several)], **price, **title, **category, objects=objects)


# --- final state ---


def model(events: Iterable[Event]) -> Items:
    """Each item after all of its good events, applied one by one in the order of their revisions."""
    items: Items = {}
    bodies = [event.body for event in events if isinstance(event.body, ItemEvent)]
    for body in sorted(bodies, key=lambda body: body.revision):
        state: dict[str, Any] = {"base": body.revision, "revision": body.revision}
        if isinstance(body, ItemDeleted):
            items[body.item_id] = state
        elif isinstance(body, ItemUpserted) and not is_bad(body):
            good = {n: data for n, ref in enumerate(body.images) if not (data := data_of(ref)).startswith(BAD)}
            things = {
                (n, k): one for n, data in good.items() for k, one in enumerate(things_in(data, body.objects))
            }
            items[body.item_id] = state | {"facts": facts_of(body, FACTS), "pictures": good}
            items[body.item_id] |= {"regions": things} if things else {}
        elif isinstance(body, ItemPatched) and "facts" in (known := items.get(body.item_id, {})):
            known["facts"] |= facts_of(body.facts, body.facts.model_fields_set)
            known["revision"] = body.revision
    return items


def is_bad(body: ItemUpserted) -> bool:
    """Whether the event must be refused because of its main picture."""
    return data_of(body.images[0]).startswith(BAD)


def facts_of(facts: ItemFacts, names: Collection[str]) -> dict[str, object]:
    """Some facts as points have them."""
    price = None if facts.price is None else float(facts.price)
    stock = None if facts.in_stock is None else str(facts.in_stock).lower()
    rows = {name: getattr(facts, name) for name in FACTS} | {"price": price, "in_stock": stock}
    return {name: rows[name] for name in names}


def held(index: Index, items: Iterable[str]) -> Items:
    """The state of items in an index, in the form of the model; or the points, where they contradict each other."""
    found = {item: _held(index, [numbered_id("default", item, n) for n in range(MAX_POINTS)]) for item in items}
    return {item: state for item, state in found.items() if state}


def _held(index: Index, ids: Sequence[str]) -> dict[str, Any]:
    keys = ("state", "base", "revision", *FACTS)
    payloads, vectors = index.payloads(ids, keys), index.vectors(ids)
    points = {n: payloads[id] for n, id in enumerate(ids) if id in payloads}
    rows = [{key: point.get(key) for key in keys} for point in points.values()]
    if not rows:
        return {}
    for n, row in zip(points, rows, strict=True):
        if is_region(n) and row["state"] == "region":
            row["state"] = "live"
    dead = rows[0]["state"] == "dead"
    if any(one != rows[0] for one in rows) or (dead and (len(points) > 1 or vectors)):
        return {"points that contradict each other": points}
    state = {key: rows[0][key] for key in ("base", "revision")}
    if dead:
        return state
    pictures = {n: vectors[ids[n]].tolist() for n in points if not is_region(n)}
    regions = {(image_of(n), region_index(n)): vectors[ids[n]].tolist() for n in points if is_region(n)}
    state |= {"facts": {name: rows[0][name] for name in FACTS}, "pictures": pictures}
    return state | ({"regions": regions} if regions else {})


def expected(events: Iterable[Event]) -> Items:
    """The final state by the model, with vectors in place of pictures."""
    items = model(events)
    for state in items.values():
        for name in state.keys() & {"pictures", "regions"}:
            state[name] = {n: vector_of(data).tolist() for n, data in state[name].items()}
    return items


def delivered(events: Sequence[Event], rng: random.Random) -> list[list[Event]]:
    """The events in random order, some twice, in random batches, some of which are repeated."""
    order = [*events, *rng.choices(events, k=len(events) // 5)] if events else []
    rng.shuffle(order)
    cuts = sorted({0, len(order), *(rng.randrange(len(order) + 1) for _ in range(rng.randrange(6)))})
    batches = [order[start:end] for start, end in pairwise(cuts)]
    for again in [batch for batch in batches if rng.random() < 0.2]:
        batches.insert(rng.randrange(len(batches) + 1), again)
    return batches
