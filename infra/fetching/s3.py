"""Pictures in an object store that speaks S3: from named buckets alone, whole, and within time and size."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from infra.config.settings import ImageSettings
from schemas.failures import Code, Rejected, TryLater, Unavailable
from schemas.items import S3Image

if TYPE_CHECKING:
    from obstore.store import S3Config

CONNECT_SECONDS = 2.0
CHUNK_BYTES = 1 << 18
KEY_BYTES = 1_024
"""Of a key, in UTF-8, at most (S3's guide to object keys): what is longer is refused for good."""


@dataclass(frozen=True)
class StoredObject:
    """An object of a bucket: its key, a mark that changes when it does, and when it last did."""

    key: str
    mark: str
    changed_at: datetime


class ObjectStore:
    """Gets pictures from buckets that the settings name; safe to call from several threads.

    The list of buckets keeps an event from choosing what our credentials read. No request outlasts `seconds`.
    """

    def __init__(self, settings: ImageSettings, seconds: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._stores: dict[str, S3Store] = {}
        self._lock = threading.Lock()

    def get(self, ref: S3Image, seconds: float) -> bytes:
        """The object's bytes, in `seconds` or what a request may take; raises Rejected or TryLater."""
        place = f"s3://{ref.bucket}/{ref.key[:200]}"
        if ref.bucket not in self._settings.s3_buckets:
            message = f"{place}: name the bucket in LOOKSTREAM_IMAGES_S3_BUCKETS if it may be read"
            raise Rejected(Code.SOURCE_REFUSED, message)
        started = time.monotonic()
        try:
            return self._read(ref, place, started + seconds)
        except FileNotFoundError:
            raise TryLater(Code.IMAGE_MISSING, f"there is no {place}", tries=1) from None
        except (PermissionDeniedError, UnauthenticatedError):
            message = f"{place} may not be read: check LOOKSTREAM_IMAGES_S3_KEY_ID and what it is allowed"
            raise Rejected(Code.SOURCE_REFUSED, message) from None
        except (BaseError, OSError):  # their texts hold addresses and headers: they stay here
            waited = time.monotonic() - started >= min(seconds, CONNECT_SECONDS) * 0.9
            raise _late(place) if waited else _away(place) from None
        except ValueError:
            raise Rejected(Code.SOURCE_REFUSED, f"{place} is not a key that can be read") from None

    def listing(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """The objects below a prefix; raises Unavailable, or Rejected when they may not be listed."""
        place = f"s3://{bucket}/{prefix}"
        try:
            for page in obstore.list(self._store(bucket), prefix or None):
                for each in page:
                    mark = each["e_tag"] or f"{each['size']}-{each['last_modified'].timestamp()}"
                    yield StoredObject(each["path"], mark, each["last_modified"])
        except (PermissionDeniedError, UnauthenticatedError):
            message = f"{place} may not be listed: check LOOKSTREAM_IMAGES_S3_KEY_ID and what it is allowed"
            raise Rejected(Code.SOURCE_REFUSED, message) from None
        except (BaseError, OSError):
            raise Unavailable(f"{place} could not be listed: the object store is away") from None

    def _read(self, ref: S3Image, place: str, until: float) -> bytes:
        if ref.key != ref.key.strip("/"):
            raise ValueError("the client would drop the slashes, and read another object")
        if len(ref.key.encode()) > KEY_BYTES:
            raise ValueError("S3 takes no longer key")
        found = obstore.get(self._store(ref.bucket), ref.key)
        limit = self._settings.max_bytes
        if found.meta["size"] > limit:
            message = f"{place} has {found.meta['size']} bytes, the limit is {limit}"
            raise Rejected(Code.IMAGE_TOO_LARGE, message)
        body = bytearray()
        for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
            body += bytes(chunk)
            if len(body) > limit:
                raise Rejected(Code.IMAGE_TOO_LARGE, f"{place} has more than {limit} bytes")
            if time.monotonic() > until:
                raise _late(place)
        return bytes(body)

    def _store(self, bucket: str) -> S3Store:
        with self._lock:
            if bucket not in self._stores:
                self._stores[bucket] = _open(bucket, self._settings, self._seconds)
            return self._stores[bucket]


def _open(bucket: str, given: ImageSettings, seconds: float) -> S3Store:
    signed: S3Config = {}
    if given.s3_key_id and given.s3_secret:
        signed = {"access_key_id": given.s3_key_id, "secret_access_key": given.s3_secret.get_secret_value()}
    return S3Store(
        bucket,
        endpoint=given.s3_endpoint or f"https://s3.{given.s3_region}.amazonaws.com",
        region=given.s3_region,
        skip_signature=not signed,
        client_options={
            "timeout": timedelta(seconds=seconds),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "allow_http": (given.s3_endpoint or "").startswith("http://"),
        },
        retry_config={"max_retries": 0},  # the retry topics try again, without holding a thread meanwhile
        config=signed,
    )


def _late(place: str) -> TryLater:
    return TryLater(Code.IMAGE_TIMEOUT, f"{place} was not there in time")


def _away(place: str) -> TryLater:
    return TryLater(Code.IMAGE_UNREACHABLE, f"{place} could not be read: the object store is away")
