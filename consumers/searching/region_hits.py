"""Region hits: what hits that lie in a part of a picture need from the point of the whole picture."""

from collections.abc import Sequence
from dataclasses import replace

from infra.qdrant.contract import Index, ScoredPoint
from infra.qdrant.point_ids import REGION_IMAGE, picture_id

THUMBNAIL = "thumbnail"


def is_in_region(hit: ScoredPoint) -> bool:
    """Whether a hit is a region of a picture, and not a picture."""
    return hit.payload.get(REGION_IMAGE) is not None


def pictures_among(hits: Sequence[ScoredPoint]) -> list[ScoredPoint]:
    """Return the hits that are pictures: only they vote, as a post's category need not be that of a thing in it."""
    return [hit for hit in hits if not is_in_region(hit)]


def add_thumbnails(index: Index, hits: Sequence[ScoredPoint]) -> list[ScoredPoint]:
    """Return the hits, those in regions with the thumbnails of their pictures. Raises Unavailable."""
    pictures = {hit.id: picture_id(hit.id, hit.payload) for hit in hits if is_in_region(hit)}
    if not pictures:
        return list(hits)
    stored = index.payloads(list(dict.fromkeys(pictures.values())), [THUMBNAIL])
    thumbnails = {id: stored.get(picture, {}).get(THUMBNAIL) for id, picture in pictures.items()}
    return [
        replace(hit, payload={**hit.payload, THUMBNAIL: thumbnails[hit.id]}) if hit.id in thumbnails else hit
        for hit in hits
    ]
