"""The pictures of a batch: which of them the index has as they are, and the looks of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

import numpy as np

from consumers.embedding.moderation import MODERATOR
from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.stage_timer import StageTimer
from consumers.indexing.merge import ItemChange
from consumers.points.payload import look_of
from consumers.vision.embedder import Look
from infra.fetching.local_files import for_tenant
from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Index, Payload, Point
from schemas.failures import Failure
from schemas.items import ImageRef, InlineImage, ItemUpserted


class ImageStatus(Enum):
    """Where a picture stands that has no look of its own in this batch."""

    KEPT = "kept"
    """The index has a look at the same bytes by the same encoder: its point stays, with new facts."""
    LEFT_OUT = "left out"
    """The very event was indexed before, without this picture."""
    UNSEEN = "unseen"
    """It has yet to be fetched."""


@dataclass(frozen=True)
class EmbeddedImage:
    """A picture that was fetched and looked at."""

    sha256: str
    look: Look


LONGEST = 2.0
"""A look has three parts of unit length, so it is no longer than this; of what is no number neither is said."""

Picture = EmbeddedImage | Failure | ImageStatus
Points = Mapping[int, Payload]
"""What the index knows of an item's points, by picture."""
ImageRequest = tuple[ItemChange, Points]
"""An upsert, and the points of its item."""
ImagePosition = tuple[str, int]
"""An event's id, and which of its pictures."""


class ImageResolver:
    """Fetches the pictures of one batch and looks at them, each once, and only if the index lacks it."""

    def __init__(self, sight: ImagePipeline, index: Index) -> None:
        self.clock = StageTimer()
        self._sight = sight
        self._index = index
        self._sums: dict[ImagePosition, str] = {}
        self._seen: dict[ImagePosition, Look | Failure] = {}

    def of(self, told: ItemChange, points: Points) -> list[Picture]:
        """Where each picture of an upsert stands."""
        return [self._standing(told, n, ref, points) for n, ref in enumerate(_images(told))]

    def see(self, asked: Sequence[ImageRequest]) -> bool:
        """Fetch the pictures that are unseen, and look at those that the index lacks; whether there were any."""
        unseen = self._unseen(asked)
        if not unseen:
            return False
        self.clock.lap()
        fetched = self._fetch([_to_fetch(told, n) for told, n, _ in unseen])
        self.clock.fetched += self.clock.lap()
        new: dict[ImagePosition, bytes] = {}
        tenants: dict[ImagePosition, str] = {}
        for (told, n, points), picture in zip(unseen, fetched, strict=True):
            place = told.id, n
            if isinstance(picture, Failure):
                self._seen[place] = picture
                continue
            self._sums[place] = sha256(picture).hexdigest()
            if self._standing(told, n, _images(told)[n], points) is not ImageStatus.KEPT:
                new[place], tenants[place] = picture, told.body.tenant
        self._seen |= self._known(tenants)
        self._look({place: picture for place, picture in new.items() if place not in self._seen})
        return True

    def begin(self, asked: Sequence[ImageRequest]) -> None:
        """Have the pictures come that are unseen, for a batch that will see them."""
        if self._sight.ahead is not None:
            self._sight.ahead.begin([_to_fetch(told, n) for told, n, _ in self._unseen(asked)])

    def _fetch(self, wanted: Sequence[tuple[str, ImageRef]]) -> Sequence[bytes | Failure]:
        if self._sight.ahead is not None:
            return self._sight.ahead.fetch_all(wanted)
        return self._sight.fetch([ref for _, ref in wanted])

    def _unseen(self, asked: Sequence[ImageRequest]) -> list[tuple[ItemChange, int, Points]]:
        return [
            (told, n, points)
            for told, points in asked
            for n, picture in enumerate(self.of(told, points))
            if picture is ImageStatus.UNSEEN
        ]

    def _known(self, tenants: Mapping[ImagePosition, str]) -> dict[ImagePosition, Look]:
        """The looks that other items of the tenants have at the same bytes, by the same encoder."""
        known: dict[ImagePosition, Look] = {}
        for tenant in set(tenants.values()):
            places = [place for place, whose in tenants.items() if whose == tenant]
            points = self._index.same_bytes(tenant, sorted({self._sums[place] for place in places}))
            for place in places:
                point = points.get(self._sums[place])
                if point is not None and self._is_ours(point.payload) and _is_sound(point):
                    known[place] = look_of(point)
        return known

    def _look(self, pictures: Mapping[ImagePosition, bytes]) -> None:
        """Look at pictures, at the same bytes once."""
        once = {self._sums[place]: picture for place, picture in pictures.items()}
        looks = self._sight.look_at(list(once.values())) if once else []
        by_sum = dict(zip(once, looks, strict=True))
        self._seen |= {place: by_sum[self._sums[place]] for place in pictures}
        self.clock.looked(looks)

    def _standing(self, told: ItemChange, n: int, ref: ImageRef, points: Points) -> Picture:
        place, point = (told.id, n), points.get(n)
        if point is not None and self._has(point, told, self._sum(place, ref)):
            return ImageStatus.KEPT
        if point is None and points.get(0, {}).get("digest") == told.digest:
            return ImageStatus.LEFT_OUT
        seen = self._seen.get(place, ImageStatus.UNSEEN)
        return EmbeddedImage(self._sums[place], seen) if isinstance(seen, Look) else seen

    def _has(self, point: Payload, told: ItemChange, checksum: str | None) -> bool:
        """Whether a point is of the very event, or of the same bytes."""
        return self._is_ours(point) and (point.get("digest") == told.digest or point.get("sha256") == checksum)

    def _is_ours(self, point: Payload) -> bool:
        """Whether a point's look is what we would see: by our encoder, and under the eyes of our moderator."""
        seen_by = point.get("encoder"), point.get(MODERATOR, "")
        return point.get("state") == LIVE and seen_by == (self._sight.encoder, self._sight.moderator)

    def _sum(self, place: ImagePosition, ref: ImageRef) -> str | None:
        """The checksum of a picture as far as it is known without fetching it."""
        if place not in self._sums and isinstance(ref, InlineImage):
            self._sums[place] = sha256(ref.data).hexdigest()
        return self._sums.get(place) or (None if isinstance(ref, InlineImage) else ref.sha256)


def _is_sound(point: Point) -> bool:
    """Whether the look of a point can be another's too; one that a broken disk has changed is seen anew."""
    return point.vector is not None and bool(np.linalg.norm(point.vector.astype(np.float64)) <= LONGEST)


def _to_fetch(told: ItemChange, n: int) -> tuple[str, ImageRef]:
    """A picture of an upsert as it is fetched: by the event's id, and on its tenant's behalf."""
    return told.id, for_tenant(_images(told)[n], told.body.tenant)


def _images(told: ItemChange) -> tuple[ImageRef, ...]:
    return told.body.images if isinstance(told.body, ItemUpserted) else ()
