"""The read side of the index: items, and their pictures as thumbnails."""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Index, Payload
from infra.qdrant.point_ids import point_id, point_ids
from schemas.items import ItemFacts
from schemas.stored import StoredItem

NAMED = ("item_id", "tenant", "source", "revision", "colours", *ItemFacts.model_fields)
"""Payload keys that are fields of an item too."""
KEYS = (*NAMED, "state", "image", "category_source")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COUNT_SECONDS = 2.0
"""How long a count stands: every open page asks for it again and again, and a large index takes its time."""
TENANTS = 256
"""Whose counts are kept at once."""


class ItemReader:
    """Reads items; every call raises Unavailable while the index is away."""

    def __init__(self, index: Index, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._clock = clock
        self._counted = lru_cache(TENANTS)(lambda tenant, _moment: index.count(tenant))

    def item(self, tenant: str, item_id: str) -> StoredItem | None:
        """What the index knows of an item; none when it has none, or no longer."""
        found = self._index.payloads(point_ids(tenant, item_id), KEYS)
        live = sorted((payload for payload in found.values() if payload.get("state") == LIVE), key=_number)
        return _item(live[0], tuple(map(_number, live))) if live else None

    def some(self, tenant: str, limit: int) -> list[StoredItem]:
        """A few items of a tenant, as many as `limit` at most: the same ones while the index does not change."""
        sampled = self._index.sample(tenant, limit)
        items = dict.fromkeys(str(payload["item_id"]) for payload in sampled.values())
        return [item for item_id in items if (item := self.item(tenant, item_id)) is not None]

    def count(self, tenant: str) -> int:
        """How many pictures of a tenant can be found, or could be up to `COUNT_SECONDS` ago."""
        return self._counted(tenant, self._clock() // COUNT_SECONDS)

    def thumbnail(self, tenant: str, item_id: str, number: int) -> bytes | None:
        """A small JPEG of one of an item's pictures, made by a worker; none when there is none."""
        point = point_id(tenant, item_id, number)
        payload = self._index.payloads([point], ("state", "thumbnail")).get(point, {})
        small = payload.get("thumbnail")
        return base64.b64decode(str(small)) if small and payload.get("state") == LIVE else None


def _number(payload: Payload) -> int:
    return int(str(payload.get("image", 0)))


def _item(payload: Payload, images: tuple[int, ...]) -> StoredItem:
    facts = {key: payload[key] for key in NAMED if key in payload}
    if "created_at" in facts:  # which the index keeps in microseconds
        facts["created_at"] = EPOCH + timedelta(microseconds=int(str(facts["created_at"])))
    told = {"images": images, "category_predicted": payload.get("category_source") == "predicted"}
    return StoredItem.model_validate(facts | told, strict=False)
