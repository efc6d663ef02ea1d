"""Image resolution: find out which pictures of a batch the index has already, and fetch and embed the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256

from consumers.embedding.moderation import MODERATOR_KEY
from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.region_policy import drop_whole_regions
from consumers.embedding.stage_timer import StageTimer
from consumers.indexing.merge import ItemChange
from consumers.points.look_payload import look_of
from consumers.points.stored_item import Points, RegionReader, has_regions, is_sound
from consumers.vision.embedder import EmbedOptions
from consumers.vision.keypoints import STORED_KEYPOINTS
from consumers.vision.look import Look
from infra.fetching.local_files import for_tenant
from infra.qdrant.conditions import LIVE
from infra.qdrant.contract import Index, Payload
from schemas.failures import Failure
from schemas.items import ImageRef, InlineImage, ItemUpserted, Objects


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


ImageResult = EmbeddedImage | Failure | ImageStatus
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

    def region_method(self, change: ItemChange) -> str:
        """How the regions of the pictures of an upsert are found; empty if it has none."""
        return self._pipeline.regions.method(change.body) if isinstance(change.body, ItemUpserted) else ""

    def _add(self, pictures: Sequence[tuple[PendingImage, bytes | Failure]]) -> None:
        """Embed fetched pictures, but those that the index has."""
        new: dict[ImagePosition, bytes] = {}
        changes: dict[ImagePosition, ItemChange] = {}
        for (change, n, points), picture in pictures:
            position = change.id, n
            if isinstance(picture, Failure):
                self._looks[position] = picture
                continue
            self._checksums[position] = sha256(picture).hexdigest()
            if self._result(change, n, _images(change)[n], points) is not ImageStatus.UNCHANGED:
                new[position], changes[position] = picture, change
        self._looks |= self._reusable_looks(changes)
        missing = {position: picture for position, picture in new.items() if position not in self._looks}
        for objects in sorted({self._objects(changes[position]) for position in missing}):
            alike = {at: data for at, data in missing.items() if self._objects(changes[at]) == objects}
            self._embed(alike, objects)

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

    def _objects(self, change: ItemChange) -> Objects:
        return self._pipeline.regions.objects(change.body) if isinstance(change.body, ItemUpserted) else "none"

    def _reusable_looks(self, changes: Mapping[ImagePosition, ItemChange]) -> dict[ImagePosition, Look]:
        """The looks that other items of the same tenants have at the same bytes, by the same models."""
        looks: dict[ImagePosition, Look] = {}
        for tenant in {change.body.tenant for change in changes.values()}:
            own = {position: change for position, change in changes.items() if change.body.tenant == tenant}
            points = self._index.find_by_checksum(tenant, sorted({self._checksums[position] for position in own}))
            regions = RegionReader(self._index, points.values())
            for position, change in own.items():
                point = points.get(self._checksums[position])
                if point is None or not self._has_current_look(point.payload) or not is_sound(point.vector):
                    continue
                found = regions.find(point, self.region_method(change))
                if found is not None:
                    looks[position] = replace(look_of(point), regions=found)
        return looks

    def _embed(self, pictures: Mapping[ImagePosition, bytes], objects: Objects) -> None:
        """Embed pictures, and the same things in each; the same bytes are embedded once."""
        distinct = {self._checksums[position]: picture for position, picture in pictures.items()}
        options = EmbedOptions(STORED_KEYPOINTS, objects=objects)
        found = self._pipeline.embed(list(distinct.values()), (), options)
        looks = [drop_whole_regions(look) if isinstance(look, Look) else look for look in found]
        by_checksum = dict(zip(distinct, looks, strict=True))
        self._looks |= {position: by_checksum[self._checksums[position]] for position in pictures}
        self.timer.record_embedding(looks)

    def _result(self, change: ItemChange, n: int, ref: ImageRef, points: Points) -> ImageResult:
        position, point = (change.id, n), points.get(n)
        is_same = point is not None and self._is_unchanged(point, change, self._checksum(position, ref))
        if is_same and has_regions(points, n, self.region_method(change)):
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


def _fetch_request(change: ItemChange, n: int) -> tuple[str, ImageRef]:
    """The position of an upsert's record, and the reference to one of its pictures on behalf of its tenant.

    Not the event's id: a retry or a replay has it too, and must not get what was fetched for the record before.
    """
    return change.event.position or change.id, for_tenant(_images(change)[n], change.body.tenant)


def _images(change: ItemChange) -> tuple[ImageRef, ...]:
    return change.body.images if isinstance(change.body, ItemUpserted) else ()
