"""Point ids: derive a stable id for each point of an item, and read which picture a point belongs to.

An item has numbered points: its pictures, and then the regions of each picture (things in it).
"""

import uuid
from collections.abc import Mapping
from hashlib import sha1

from schemas.items import MAX_IMAGES, MAX_REGIONS

NAMESPACE = uuid.UUID("6d3c1f0a-6b0e-5c1e-9a57-1b8f3f2b9f10")
"""UUID namespace of our ids. Changing it orphans the points of every existing index."""
IMAGE_NUMBER = "n"
"""Payload key of the number of a point's picture: 0 is the main picture. Points of regions do not have it."""
REGION_IMAGE = "region_of"
"""Payload key of the number of the picture in which a region lies; only points of regions have it."""
MAX_POINTS = MAX_IMAGES * (1 + MAX_REGIONS)
"""Maximum number of points of an item: its pictures, and the regions of each."""
IMAGE_REFERENCE = "image"
"""Payload key of the reference from which the picture can be fetched, an object; inline pictures have none."""


def point_id(tenant: str, item_id: str, image: int) -> str:
    """Return the id of one picture of an item, a version 5 UUID: the same picture always gets the same id."""
    return _uuid(f"{tenant}\0{item_id}\0{image}")


def _uuid(name: str) -> str:
    # Inlined from RFC 9562, 5.5: uuid.uuid5 takes six times as long, and a batch needs 512 ids.
    digits = bytearray(sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    digits[6] = digits[6] & 0x0F | 0x50
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def point_ids(tenant: str, item_id: str) -> list[str]:
    """Return the ids of all possible pictures of an item, the main picture first."""
    return [point_id(tenant, item_id, image) for image in range(MAX_IMAGES)]


def region_numbers(image: int) -> range:
    """Return the point numbers of all possible regions of a picture, the most certain thing first."""
    first = MAX_IMAGES + image * MAX_REGIONS
    return range(first, first + MAX_REGIONS)


def is_region(number: int) -> bool:
    """Whether the point with this number of its item is a region of a picture."""
    return number >= MAX_IMAGES


def image_of(number: int) -> int:
    """Return the number of the picture to which the point with this number of its item belongs."""
    return (number - MAX_IMAGES) // MAX_REGIONS if is_region(number) else number


def region_index(number: int) -> int:
    """Return the place of the region with this point number among those of its picture, from 0."""
    return (number - MAX_IMAGES) % MAX_REGIONS


def numbered_id(tenant: str, item_id: str, number: int) -> str:
    """Return the id of the point with this number of its item: a picture, or a region of one."""
    if not is_region(number):
        return point_id(tenant, item_id, number)
    return _uuid(f"{tenant}\0{item_id}\0{image_of(number)}\0{region_index(number)}")


def picture_id(id: str, payload: Mapping[str, object]) -> str:
    """Return the id of the picture of a point, from its id and payload: of a region that in which it lies."""
    if payload.get(REGION_IMAGE) is None:
        return id
    return point_id(str(payload["tenant"]), str(payload["item_id"]), image_number(payload))


def image_number(payload: Mapping[str, object]) -> int:
    """Return the number of the picture of a point, or of that in which its region lies.

    Raises TypeError if the payload does not have it.
    """
    number = payload.get(IMAGE_NUMBER, payload.get(REGION_IMAGE))
    if not isinstance(number, int):
        raise TypeError(f"the number of a picture is {type(number).__name__}")
    return number


def calibration_note(tenant: str) -> str:
    """The name of the note with the calibration of a tenant's scores."""
    return f"confidence:{tenant}"
