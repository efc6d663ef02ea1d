"""Item reader: read items and picture thumbnails from the index."""

import base64
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Index, Payload
from infra.qdrant.point_ids import IMAGE_NUMBER, image_number, point_id, point_ids
from schemas.items import ItemFacts
from schemas.stored_item import StoredItem

ITEM_FIELDS = ("item_id", "tenant", "source", "revision", "colours", *ItemFacts.model_fields)
"""Payload keys that are also fields of StoredItem."""
PAYLOAD_KEYS = (*ITEM_FIELDS, "state", IMAGE_NUMBER, "category_source")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COUNT_SECONDS = 2.0
"""How long a count is cached: every open page polls it, and counting a large index is slow."""
MAX_TENANTS = 256
"""Tenants whose counts are cached at a time."""


class ItemReader:
    """Reads items; every call raises Unavailable while the index is unavailable."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._cached_count = lru_cache(MAX_TENANTS)(lambda tenant, _moment: index.count(tenant))

    def item(self, tenant: str, item_id: str) -> StoredItem | None:
        """An item as the index stores it; None if it is not in the index, or was deleted."""
        payloads = self._index.payloads(point_ids(tenant, item_id), PAYLOAD_KEYS)
        live = sorted((payload for payload in payloads.values() if payload.get("state") == LIVE), key=image_number)
        return _item(live[0], tuple(map(image_number, live))) if live else None

    def sample(self, tenant: str, limit: int) -> list[StoredItem]:
        """At most `limit` items of a tenant; the same ones as long as the index does not change."""
        sampled = self._index.sample(tenant, limit)
        items = dict.fromkeys(str(payload["item_id"]) for payload in sampled.values())
        return [item for item_id in items if (item := self.item(tenant, item_id)) is not None]

    def count(self, tenant: str) -> int:
        """Number of searchable pictures of a tenant, at most `COUNT_SECONDS` old."""
        return self._cached_count(tenant, time.monotonic() // COUNT_SECONDS)

    def thumbnail(self, tenant: str, item_id: str, number: int) -> bytes | None:
        """The thumbnail (JPEG) of a picture of an item, made by a worker; None if there is none."""
        point = point_id(tenant, item_id, number)
        payload = self._index.payloads([point], ("state", "thumbnail")).get(point, {})
        thumbnail = payload.get("thumbnail")
        return base64.b64decode(str(thumbnail)) if thumbnail and payload.get("state") == LIVE else None


def _item(payload: Payload, images: tuple[int, ...]) -> StoredItem:
    facts = {key: payload[key] for key in ITEM_FIELDS if key in payload}
    if "created_at" in facts:  # stored in the index as microseconds
        facts["created_at"] = EPOCH + timedelta(microseconds=int(str(facts["created_at"])))
    derived = {"images": images, "category_predicted": payload.get("category_source") == "predicted"}
    return StoredItem.model_validate(facts | derived, strict=False)
