"""Image resolution: find out which pictures of a batch the index has already, and fetch and embed the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

import numpy as np

from consumers.embedding.moderation import MODERATOR_KEY
from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.stage_timer import StageTimer
from consumers.indexing.merge import ItemChange
from consumers.points.look_payload import look_of
from consumers.vision.embedder import EmbedOptions
from consumers.vision.keypoints import STORED_KEYPOINTS
from consumers.vision.look import Look
from infra.fetching.local_files import for_tenant
from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Index, Payload, Point
from schemas.failures import Failure
from schemas.items import ImageRef, InlineImage, ItemUpserted


class ImageStatus(Enum):
    """Status of a picture that has neither a look nor a failure from this batch."""

    UNCHANGED = "unchanged"
    """The index has a look at the same bytes by the same encoder: its point stays, with new facts."""
    OMITTED = "omitted"
    """The same event was indexed before, without this picture."""
    PENDING = "pending"
    """The picture has not been fetched yet."""


@dataclass(frozen=True)
class EmbeddedImage:
    """A picture that was fetched and embedded."""

    sha256: str
    look: Look


MAX_LOOK_NORM = 2.0
"""Upper bound of the norm of a look, which has three parts of unit length. A norm of NaN is not below it either."""

ImageResult = EmbeddedImage | Failure | ImageStatus
Points = Mapping[int, Payload]
"""The payloads of an item's points in the index, by picture number."""
ImageRequest = tuple[ItemChange, Points]
"""An upsert, and the points of its item."""
PendingImage = tuple[ItemChange, int, Points]
"""An upsert, the number of one of its pictures that was not fetched yet, and the points of its item."""
ImagePosition = tuple[str, int]
"""The id of an event, and the number of one of its pictures."""


class ImageResolver:
    """Fetches and embeds the pictures of one batch, each once, and only those that the index lacks."""

    def __init__(self, pipeline: ImagePipeline, index: Index) -> None:
        self.timer = StageTimer()
        self._pipeline = pipeline
        self._index = index
        self._checksums: dict[ImagePosition, str] = {}
        self._looks: dict[ImagePosition, Look | Failure] = {}

    def results(self, change: ItemChange, points: Points) -> list[ImageResult]:
        """The look, the failure or the status of each picture of an upsert."""
        return [self._result(change, n, ref, points) for n, ref in enumerate(_images(change))]

    def resolve(self, requests: Sequence[ImageRequest]) -> bool:
        """Fetch the pending pictures and embed those that the index lacks. Returns whether any were pending."""
        pending = self._pending(requests)
        if not pending:
            return False
        self.timer.lap()
        for pictures in self._fetch([_fetch_request(change, n) for change, n, _ in pending]):
            self.timer.record_fetching()
            self._add([(pending[number], picture) for number, picture in pictures.items()])
        return True

    def _add(self, pictures: Sequence[tuple[PendingImage, bytes | Failure]]) -> None:
        """Embed fetched pictures, but those that the index has."""
        new: dict[ImagePosition, bytes] = {}
        tenants: dict[ImagePosition, str] = {}
        for (change, n, points), picture in pictures:
            position = change.id, n
            if isinstance(picture, Failure):
                self._looks[position] = picture
                continue
            self._checksums[position] = sha256(picture).hexdigest()
            if self._result(change, n, _images(change)[n], points) is not ImageStatus.UNCHANGED:
                new[position], tenants[position] = picture, change.body.tenant
        self._looks |= self._reusable_looks(tenants)
        self._embed({position: picture for position, picture in new.items() if position not in self._looks})

    def prefetch(self, requests: Sequence[ImageRequest]) -> None:
        """Start to fetch the pending pictures, for a later batch that will resolve them."""
        if self._pipeline.prefetch is not None:
            self._pipeline.prefetch.begin([_fetch_request(change, n) for change, n, _ in self._pending(requests)])

    def _fetch(self, requests: Sequence[tuple[str, ImageRef]]) -> Iterator[dict[int, bytes | Failure]]:
        if self._pipeline.prefetch is not None:
            return self._pipeline.prefetch.fetch_waves(requests)
        return self._pipeline.fetch([ref for _, ref in requests])

    def _pending(self, requests: Sequence[ImageRequest]) -> list[PendingImage]:
        return [
            (change, n, points)
            for change, points in requests
            for n, result in enumerate(self.results(change, points))
            if result is ImageStatus.PENDING
        ]

    def _reusable_looks(self, tenants: Mapping[ImagePosition, str]) -> dict[ImagePosition, Look]:
        """The looks that other items of the same tenants have at the same bytes, by the same encoder."""
        looks: dict[ImagePosition, Look] = {}
        for tenant in set(tenants.values()):
            positions = [position for position, owner in tenants.items() if owner == tenant]
            points = self._index.find_by_checksum(
                tenant, sorted({self._checksums[position] for position in positions})
            )
            for position in positions:
                point = points.get(self._checksums[position])
                if point is not None and self._has_current_look(point.payload) and _is_sound(point):
                    looks[position] = look_of(point)
        return looks

    def _embed(self, pictures: Mapping[ImagePosition, bytes]) -> None:
        """Embed pictures; the same bytes are embedded once."""
        distinct = {self._checksums[position]: picture for position, picture in pictures.items()}
        looks = (
            self._pipeline.embed(list(distinct.values()), (), EmbedOptions(STORED_KEYPOINTS)) if distinct else []
        )
        by_checksum = dict(zip(distinct, looks, strict=True))
        self._looks |= {position: by_checksum[self._checksums[position]] for position in pictures}
        self.timer.record_embedding(looks)

    def _result(self, change: ItemChange, n: int, ref: ImageRef, points: Points) -> ImageResult:
        position, point = (change.id, n), points.get(n)
        if point is not None and self._is_unchanged(point, change, self._checksum(position, ref)):
            return ImageStatus.UNCHANGED
        if point is None and points.get(0, {}).get("digest") == change.digest:
            return ImageStatus.OMITTED
        result = self._looks.get(position, ImageStatus.PENDING)
        return EmbeddedImage(self._checksums[position], result) if isinstance(result, Look) else result

    def _is_unchanged(self, point: Payload, change: ItemChange, checksum: str | None) -> bool:
        """Whether a point comes from the same event or from the same bytes, and its look is current."""
        same = point.get("digest") == change.digest or point.get("sha256") == checksum
        return self._has_current_look(point) and same

    def _has_current_look(self, point: Payload) -> bool:
        """Whether a point is live and its look was made by the pipeline's encoder and moderator."""
        models = point.get("encoder"), point.get(MODERATOR_KEY, "")
        return point.get("state") == LIVE and models == (self._pipeline.encoder, self._pipeline.moderator)

    def _checksum(self, position: ImagePosition, ref: ImageRef) -> str | None:
        """The SHA-256 checksum of a picture, as far as it is known without fetching it."""
        if position not in self._checksums and isinstance(ref, InlineImage):
            self._checksums[position] = sha256(ref.data).hexdigest()
        return self._checksums.get(position) or (None if isinstance(ref, InlineImage) else ref.sha256)


def _is_sound(point: Point) -> bool:
    """Whether the look of a point can be reused; one that a broken disk has changed is computed again."""
    return point.vector is not None and bool(np.linalg.norm(point.vector.astype(np.float64)) <= MAX_LOOK_NORM)


def _fetch_request(change: ItemChange, n: int) -> tuple[str, ImageRef]:
    """The event id of an upsert, and the reference to one of its pictures on behalf of its tenant."""
    return change.id, for_tenant(_images(change)[n], change.body.tenant)


def _images(change: ItemChange) -> tuple[ImageRef, ...]:
    return change.body.images if isinstance(change.body, ItemUpserted) else ()
