"""S3: pictures in the configured buckets of an S3-compatible object store, within time and size limits."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from infra.config.images import DEFAULT_TENANT, ImageSettings
from infra.fetching.local_files import TenantObject
from schemas.failures import Code, Fault, Rejected, TryLater, Unavailable
from schemas.items import S3Image

if TYPE_CHECKING:
    from obstore.store import S3Config

CONNECT_SECONDS = 2.0
CHUNK_BYTES = 1 << 18
MAX_KEY_BYTES = 1_024
"""Longest key in UTF-8 bytes (S3 object key naming guidelines); a longer key is refused for good."""


@dataclass(frozen=True)
class StoredObject:
    """An object of a bucket: its key, a mark that changes with its content, time of its last change, and bytes."""

    key: str
    version_tag: str
    changed_at: datetime
    size: int


class ObjectStore:
    """Reads pictures from the buckets in the settings, and writes those of the content store. Thread-safe.

    The list of buckets prevents events from choosing what our credentials read. No request exceeds `seconds`.
    """

    def __init__(self, settings: ImageSettings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._stores: dict[str, S3Store] = {}
        self._lock = threading.Lock()

    def get(self, ref: S3Image, limit: int, seconds: float) -> bytes:
        """The object's bytes, at most `limit`, within `seconds` and the limit of a request.

        Raises Rejected or TryLater.
        """
        uri = f"s3://{ref.bucket}/{ref.key[:200]}"
        check_access(ref, self._settings)
        started = time.monotonic()
        try:
            return self._read(ref, uri, limit, started + seconds)
        except FileNotFoundError:
            raise TryLater(Code.IMAGE_MISSING, f"there is no {uri}", tries=1) from None
        except (PermissionDeniedError, UnauthenticatedError):
            message = f"{uri} may not be read: check LOOKSTREAM_IMAGES_S3_KEY_ID and what it is allowed"
            raise Rejected(Code.SOURCE_REFUSED, message) from None
        except (BaseError, OSError):  # their texts contain addresses and headers, so they are not passed on
            is_timeout = time.monotonic() - started >= min(seconds, CONNECT_SECONDS) * 0.9
            raise _timeout(uri) if is_timeout else _unreachable(uri) from None
        except ValueError:
            raise Rejected(Code.SOURCE_REFUSED, f"{uri} is not a key that can be read") from None

    def list_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """The objects below a prefix; raises Unavailable, or Rejected if listing is not permitted."""
        uri = f"s3://{bucket}/{prefix}"
        try:
            for page in obstore.list(self._store(bucket), prefix or None):
                for each in page:
                    mark = each["e_tag"] or f"{each['size']}-{each['last_modified'].timestamp()}"
                    yield StoredObject(each["path"], mark, each["last_modified"], each["size"])
        except (PermissionDeniedError, UnauthenticatedError):
            message = f"{uri} may not be listed: check LOOKSTREAM_IMAGES_S3_KEY_ID and what it is allowed"
            raise Rejected(Code.SOURCE_REFUSED, message) from None
        except (BaseError, OSError):
            raise Unavailable(f"{uri} could not be listed: the object store does not answer") from None

    def start_of(self, bucket: str, stored: StoredObject, length: int) -> bytes:
        """The first bytes of an object; raises Unavailable, Fault or FileNotFoundError."""
        if not stored.size:
            return b""
        with _request_errors(f"s3://{bucket}/{stored.key}", "read"):
            return bytes(obstore.get_range(self._store(bucket), stored.key, start=0, end=min(length, stored.size)))

    def changed_at(self, bucket: str, key: str) -> datetime | None:
        """When an object was last written; None if it does not exist, or may not be looked up."""
        try:
            with _request_errors(f"s3://{bucket}/{key}", "looked up"):
                return obstore.head(self._store(bucket), key)["last_modified"]
        except (FileNotFoundError, Fault):  # S3 denies access to a missing key to those who may not list the bucket
            return None

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object completely or not at all; raises Unavailable, or Fault if that is not permitted."""
        uri = f"s3://{bucket}/{key}"
        try:
            with _request_errors(uri, "written"):
                obstore.put(self._store(bucket), key, data, use_multipart=False)
        except FileNotFoundError:
            raise Fault(f"{uri} could not be written: there is no bucket {bucket}") from None

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object, if it exists; raises Unavailable, or Fault if that is not permitted."""
        try:
            with _request_errors(f"s3://{bucket}/{key}", "deleted"):
                obstore.delete(self._store(bucket), key)
        except FileNotFoundError:
            return

    def _read(self, ref: S3Image, uri: str, limit: int, deadline: float) -> bytes:
        if ref.key != ref.key.strip("/"):
            raise ValueError("the client would drop the slashes, and read another object")
        if len(ref.key.encode()) > MAX_KEY_BYTES:
            raise ValueError("S3 takes no longer key")
        response = obstore.get(self._store(ref.bucket), ref.key)
        if response.meta["size"] > limit:
            message = f"{uri} has {response.meta['size']} bytes, the limit is {limit}"
            raise Rejected(Code.IMAGE_TOO_LARGE, message)
        body = bytearray()
        for chunk in response.stream(min_chunk_size=CHUNK_BYTES):
            body += bytes(chunk)
            if len(body) > limit:
                raise Rejected(Code.IMAGE_TOO_LARGE, f"{uri} has more than {limit} bytes")
            if time.monotonic() > deadline:
                raise _timeout(uri)
        return bytes(body)

    def _store(self, bucket: str) -> S3Store:
        with self._lock:
            if bucket not in self._stores:
                self._stores[bucket] = _open(bucket, self._settings, self._seconds)
            return self._stores[bucket]


def check_access(ref: S3Image, settings: ImageSettings) -> None:
    """Raise Rejected unless events may name this object; in the content store, only the tenant's own."""
    tenant = ref.tenant if isinstance(ref, TenantObject) else DEFAULT_TENANT
    bucket, prefix = settings.content_place or (None, "")
    is_content = ref.bucket == bucket and ref.key.startswith(prefix)
    if is_content and not ref.key.startswith(f"{prefix}{tenant}/"):
        message = f"s3://{ref.bucket}/{ref.key[:200]} does not belong to tenant {tenant}: send the picture itself"
        raise Rejected(Code.SOURCE_REFUSED, message)
    if not is_content and ref.bucket not in settings.s3_buckets:
        message = (
            f"s3://{ref.bucket}/{ref.key[:200]}: name the bucket in LOOKSTREAM_IMAGES_S3_BUCKETS if it may be read"
        )
        raise Rejected(Code.SOURCE_REFUSED, message)


@contextmanager
def _request_errors(uri: str, action: str) -> Iterator[None]:
    """Turn errors of the object store into Unavailable or Fault, except FileNotFoundError.

    Their texts contain addresses and headers, so they are not passed on.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (PermissionDeniedError, UnauthenticatedError):
        raise Fault(
            f"{uri} may not be {action}: check LOOKSTREAM_IMAGES_S3_KEY_ID and what it is allowed"
        ) from None
    except (BaseError, OSError):
        raise Unavailable(f"{uri} could not be {action}: the object store does not answer") from None


def _open(bucket: str, settings: ImageSettings, seconds: float) -> S3Store:
    credentials: S3Config = {}
    if settings.s3_key_id and settings.s3_secret:
        credentials = {
            "access_key_id": settings.s3_key_id,
            "secret_access_key": settings.s3_secret.get_secret_value(),
        }
    return S3Store(
        bucket,
        endpoint=settings.s3_endpoint or f"https://s3.{settings.s3_region}.amazonaws.com",
        region=settings.s3_region,
        skip_signature=not credentials,
        disable_bulk_delete=True,  # not all stores have it, and we delete one object at a time
        client_options={
            "timeout": timedelta(seconds=seconds),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "allow_http": (settings.s3_endpoint or "").startswith("http://"),
        },
        retry_config={"max_retries": 0},  # the retry topics retry without occupying a thread
        config=credentials,
    )


def _timeout(uri: str) -> TryLater:
    return TryLater(Code.IMAGE_TIMEOUT, f"{uri} was not fetched in time")


def _unreachable(uri: str) -> TryLater:
    return TryLater(Code.IMAGE_UNREACHABLE, f"{uri} could not be read: the object store does not answer")
