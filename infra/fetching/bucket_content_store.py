"""Bucket content store: keeps pictures by their content in an S3-compatible object store."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice

from infra.config.images import ImageSettings
from infra.fetching.content_store import CHECKSUM_LENGTH, PART_PICTURES, StoredPicture
from infra.fetching.s3 import ObjectStore, StoredObject
from schemas.items import S3Image

REQUEST_SECONDS = 10.0
"""Time limit of a request."""


class BucketContentStore:
    """Keeps each picture as PREFIX/TENANT/AB/SHA256 in a bucket, for `days` days after it was last put.

    S3 has no conditional deletion: a put may come between the last check and the deletion. Therefore a put writes
    an object again if it is older than half of `days`. A picture is lost only if its last put is more than
    `days` days ago and the next put comes in the milliseconds of its deletion.
    """

    def __init__(self, objects: ObjectStore, bucket: str, prefix: str, days: float) -> None:
        self._objects, self._bucket, self._prefix = objects, bucket, prefix
        self._renewal_age = timedelta(days=days / 2)

    def put(self, tenant: str, data: bytes) -> S3Image:
        checksum = sha256(data).hexdigest()
        key = self._key(tenant, checksum)
        changed_at = self._objects.changed_at(self._bucket, key)
        if changed_at is None or changed_at < datetime.now(UTC) - self._renewal_age:
            self._objects.put(self._bucket, key, data)
        return S3Image(bucket=self._bucket, key=key, sha256=checksum)

    def exists(self, tenant: str, checksum: str) -> bool:
        return self._objects.changed_at(self._bucket, self._key(tenant, checksum)) is not None

    def not_put_since(self, moment: datetime) -> Iterator[Sequence[StoredPicture]]:
        objects = self._objects.list_objects(self._bucket, self._prefix.rstrip("/"))
        while part := list(islice(objects, PART_PICTURES)):
            yield [picture for each in part if each.changed_at < moment and (picture := self._picture(each))]

    def remove(self, picture: StoredPicture, moment: datetime) -> bool:
        key = self._key(picture.tenant, picture.sha256)
        changed_at = self._objects.changed_at(self._bucket, key)
        if changed_at is None or changed_at >= moment:
            return False
        self._objects.remove(self._bucket, key)
        return True

    def _picture(self, stored: StoredObject) -> StoredPicture | None:
        """The picture of an object; None if the object is not one of the store."""
        tenant, _, name = stored.key.removeprefix(self._prefix).partition("/")
        checksum = name.partition("/")[2]
        is_own = stored.key == self._key(tenant, checksum) and len(checksum) == CHECKSUM_LENGTH
        return StoredPicture(tenant, checksum, stored.size) if is_own else None

    def _key(self, tenant: str, checksum: str) -> str:
        return f"{self._prefix}{tenant}/{checksum[:2]}/{checksum}"


def open_bucket_store(settings: ImageSettings) -> BucketContentStore:
    """The store in LOOKSTREAM_IMAGES_CONTENT_BUCKET, which must be set."""
    assert settings.content_place is not None
    bucket, prefix = settings.content_place
    return BucketContentStore(ObjectStore(settings, REQUEST_SECONDS), bucket, prefix, settings.content_days)
