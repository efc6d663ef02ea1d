"""Point ids: derive a stable point id for each picture of an item, and read the picture's number from a point."""

import uuid
from collections.abc import Mapping
from hashlib import sha1

from schemas.items import MAX_IMAGES

NAMESPACE = uuid.UUID("6d3c1f0a-6b0e-5c1e-9a57-1b8f3f2b9f10")
"""UUID namespace of our ids. Changing it orphans the points of every existing index."""
IMAGE_NUMBER = "n"
"""Payload key of the number of a point's picture: 0 is the main picture."""
IMAGE_REFERENCE = "image"
"""Payload key of the reference from which the picture can be fetched, an object; inline pictures have none."""


def point_id(tenant: str, item_id: str, image: int) -> str:
    """Return the id of one picture of an item, a version 5 UUID: the same picture always gets the same id."""
    # Inlined from RFC 9562, 5.5: uuid.uuid5 takes six times as long, and a batch needs 512 ids.
    name = NAMESPACE.bytes + f"{tenant}\0{item_id}\0{image}".encode()
    digits = bytearray(sha1(name, usedforsecurity=False).digest()[:16])
    digits[6] = digits[6] & 0x0F | 0x50
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def point_ids(tenant: str, item_id: str) -> list[str]:
    """Return the ids of all possible pictures of an item, the main picture first."""
    return [point_id(tenant, item_id, image) for image in range(MAX_IMAGES)]


def image_number(payload: Mapping[str, object]) -> int:
    """Return the number of the picture of a point; raises TypeError if the payload does not have it."""
    number = payload.get(IMAGE_NUMBER)
    if not isinstance(number, int):
        raise TypeError(f"the number of a picture is {type(number).__name__}")
    return number


def calibration_note(tenant: str) -> str:
    """The name of the note with the calibration of a tenant's scores."""
    return f"confidence:{tenant}"
