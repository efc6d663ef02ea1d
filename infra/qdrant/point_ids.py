"""The ids of points: the same picture of the same item always lands on the same one."""

import uuid
from hashlib import sha1

from schemas.items import MAX_IMAGES

NAMESPACE = uuid.UUID("6d3c1f0a-6b0e-5c1e-9a57-1b8f3f2b9f10")
"""Makes our ids unlike anybody else's; changing it orphans every index."""


def point_id(tenant: str, item_id: str, image: int) -> str:
    """The id of one picture of an item, a UUID of version 5: the same picture always lands on the same point."""
    # Spelled out (RFC 9562, 5.5): uuid.uuid5 takes six times as long, and a batch asks for 512 of them.
    name = NAMESPACE.bytes + f"{tenant}\0{item_id}\0{image}".encode()
    digits = bytearray(sha1(name, usedforsecurity=False).digest()[:16])
    digits[6] = digits[6] & 0x0F | 0x50
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def point_ids(tenant: str, item_id: str) -> list[str]:
    """The ids that the pictures of an item can have, the main one's first."""
    return [point_id(tenant, item_id, image) for image in range(MAX_IMAGES)]
