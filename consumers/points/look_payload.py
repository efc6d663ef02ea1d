"""Look payload: convert looks to the payloads of points and back."""

import base64

import numpy as np
from pydantic import BaseModel

from consumers.embedding.moderation import MODERATOR_KEY, MODERATOR_LABELS_KEY
from consumers.points.payload import OBJECTNESS, REGION_BOX, box_of, strings_in
from consumers.vision.keypoints import STORED_KEYPOINTS, Keypoints, unpack_keypoints
from consumers.vision.look import Look, RegionLook
from consumers.vision.perceptual_hash import NO_HASH, parse_hash
from infra.array_types import Floats
from infra.qdrant.colour_cells import picture_shades
from infra.qdrant.contract import Payload, Point
from schemas.filters import ColourName
from schemas.results import Swatch

KEYPOINTS = "keypoints"
"""The payload key with the packed keypoints of the picture, base64; missing if it has none."""
WHOLE_VIEW = "whole_view"
"""The payload key with the object part of the whole view alone, float16 in base64, 512 bytes for 256 dimensions.

Missing for a picture of one view. By it a collection finds out which views suit it (DECISIONS.md)."""


REGION_LOOK_KEYS = ("colours", "shades", "palette")
"""The payload keys that the point of a region takes from its own look."""
REGION_KEYS = (REGION_BOX, OBJECTNESS, *REGION_LOOK_KEYS)
"""The payload keys from which a region can be made again, beside its vector."""


class _Colours(BaseModel):
    """The colours in a payload."""

    colours: tuple[ColourName, ...]
    palette: tuple[Swatch, ...]


def look_payload(look: Look) -> dict[str, object]:
    """The payload keys that a point takes from its look."""
    payload: dict[str, object] = {
        "colours": list(look.colours),
        "studio": str(look.studio).lower(),
        "shades": picture_shades(look.colours, look.palette),
        "palette": [swatch.model_dump() for swatch in look.palette],
        "phash": str(look.phash),
    }
    optional: dict[str, object] = {
        "thumbnail": base64.b64encode(look.thumbnail).decode() if look.thumbnail else None,
        KEYPOINTS: base64.b64encode(look.keypoints.pack(STORED_KEYPOINTS)).decode() if look.keypoints else None,
        WHOLE_VIEW: None if look.whole_view is None else _pack_part(look.whole_view),
        MODERATOR_KEY: look.moderator,
        MODERATOR_LABELS_KEY: list(look.labels),
    }
    return payload | {key: value for key, value in optional.items() if value}


def region_payload(look: Look, number: int) -> dict[str, object]:
    """The payload keys that the point of a region takes from it and from the look of its picture.

    Thumbnail and keypoints are those of the picture's point. The moderator has checked the picture as a whole.
    """
    region = look.regions[number]
    box = region.box
    colours = {key: value for key, value in look_payload(region.look).items() if key in REGION_LOOK_KEYS}
    payload = {REGION_BOX: [box.x, box.y, box.w, box.h], OBJECTNESS: region.objectness, **colours}
    labels = {MODERATOR_KEY: look.moderator, MODERATOR_LABELS_KEY: list(look.labels)}
    return payload | {key: value for key, value in labels.items() if value}


def region_of(payload: Payload, vector: Floats) -> RegionLook | None:
    """The region in a point; None for the point of a picture."""
    box = box_of(payload)
    if box is None:
        return None
    colours, palette = _colours_of(payload)
    look = Look(vector, colours, palette, thumbnail=None, width=0, height=0)
    return RegionLook(box, float(str(payload[OBJECTNESS])), look)


def look_of(point: Point) -> Look:
    """The look in a live point, with 0 as width and height of the picture; raises ValueError on a tombstone."""
    if point.vector is None:
        raise ValueError(f"point {point.id} has no vector")
    payload, thumbnail = point.payload, point.payload.get("thumbnail")
    colours, palette = _colours_of(payload)
    return Look(
        vector=point.vector,
        colours=colours,
        palette=palette,
        thumbnail=base64.b64decode(str(thumbnail)) if thumbnail else None,
        width=0,
        height=0,
        studio=payload.get("studio") == "true",
        phash=parse_hash(str(payload["phash"])) if "phash" in payload else NO_HASH,
        labels=strings_in(payload, MODERATOR_LABELS_KEY),
        moderator=str(payload.get(MODERATOR_KEY, "")),
        keypoints=keypoints_of(payload),
        whole_view=whole_view_of(payload),
    )


def _colours_of(payload: Payload) -> tuple[tuple[ColourName, ...], tuple[Swatch, ...]]:
    found = _Colours.model_validate({key: payload.get(key, []) for key in ("colours", "palette")}, strict=False)
    return found.colours, found.palette


def keypoints_of(payload: Payload) -> Keypoints | None:
    """The keypoints of a point's picture; None if it has none, or if they cannot be read."""
    packed = payload.get(KEYPOINTS)
    if not isinstance(packed, str):
        return None
    try:
        return unpack_keypoints(base64.b64decode(packed, validate=True))
    except ValueError:
        return None


def _pack_part(part: Floats) -> str:
    return base64.b64encode(part.astype("<f2").tobytes()).decode()


def whole_view_of(payload: Payload) -> Floats | None:
    """The object part of a picture's whole view alone; None if it has one view, or if it cannot be read."""
    packed = payload.get(WHOLE_VIEW)
    if not isinstance(packed, str):
        return None
    try:
        part = np.frombuffer(base64.b64decode(packed, validate=True), "<f2").astype(np.float32)
    except ValueError:
        return None
    return part if np.isfinite(part).all() else None
