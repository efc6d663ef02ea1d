"""Pictures from an object store: a real one, and one that misbehaves on demand."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from infra.config.images import ImageSettings
from infra.fetching.fetcher import ImageFetcher
from schemas.failures import Code, Failure, Rejected, TryLater
from schemas.items import S3Image
from tests.infra.fetching.picture_host import PICTURE, assert_fails, run_server, send
from tests.object_store import object_store

CANARY = "canary-of-the-secret"
ERRORS = {"denied": (403, "AccessDenied"), "unknown": (401, "InvalidAccessKeyId"), "gone": (404, "NoSuchKey")}
BUSY = {"busy": 503, "broken": 500}


class Bucket(BaseHTTPRequestHandler):
    """One bucket, `shop`; the key of an object says how it is answered."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.answer(self.path.removeprefix("/shop/"))

    def answer(self, key: str) -> None:
        if key in ERRORS:
            status, code = ERRORS[key]
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
            send(self, status, body, Content_Type="application/xml")
        elif key in BUSY:
            send(self, BUSY[key])
        elif key == "who":
            self.give(str(self.headers["Authorization"]).encode())
        elif key == "large":
            self.give(b"x" * 100_001)
        elif key == "drip":
            self.give(PICTURE, length=1_000)
            for _ in range(600):
                self.wfile.write(b"x")
                time.sleep(0.05)
        elif key == "hang-up":
            self.give(PICTURE, length=1_000)
            self.close_connection = True
        else:
            self.give(PICTURE + key.encode())

    def give(self, body: bytes, length: int | None = None) -> None:
        about = {"ETag": '"e"', "Last_Modified": "Tue, 15 Nov 2022 12:45:26 GMT"}
        send(self, 200, body, Content_Length=str(length or len(body)), **about)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def real(tmp_path: Path) -> Iterator[str]:
    """A real object store with the buckets `shop` and `private`."""
    for bucket in ("shop", "private"):
        (tmp_path / bucket / "new").mkdir(parents=True)
        (tmp_path / bucket / "new" / "a b.png").write_bytes(PICTURE + bucket.encode())
    with object_store(tmp_path) as endpoint:
        yield endpoint


def test_a_real_object_store_gives_what_lies_in_the_listed_bucket(real: str) -> None:
    digest = hashlib.sha256(PICTURE + b"shop").hexdigest()
    for changes in ({}, {"s3_key_id": "id", "s3_secret": CANARY}):
        assert fetch(real, "new/a b.png", **changes) == PICTURE + b"shop"
    assert_fails(fetch(real, "new/none.png"), TryLater, Code.IMAGE_MISSING)
    assert_fails(fetch(real, "new/a b.png", "private"), Rejected, Code.SOURCE_REFUSED)
    assert_fails(fetch(real, "new/../../private/new/a b.png"), Rejected, Code.SOURCE_REFUSED)
    assert fetch(real, "new/a b.png", sha256=digest) == PICTURE + b"shop"
    assert_fails(fetch(real, "new/a b.png", sha256="0" * 64), Rejected, Code.IMAGE_DIFFERS)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_server(Bucket) as port:
        yield f"http://127.0.0.1:{port}"


def fetch(
    endpoint: str, key: str, bucket: str = "shop", sha256: str | None = None, **changes: object
) -> bytes | Failure:
    given = {"s3_endpoint": endpoint, "s3_buckets": ("shop",), "fetch_seconds": 5, "max_bytes": 100_000}
    images = ImageFetcher(ImageSettings.model_validate(given | changes))
    try:
        return images.fetch(S3Image(bucket=bucket, key=key, sha256=sha256))
    finally:
        images.close()


def test_an_object_is_read_whatever_its_key_is_called(endpoint: str) -> None:
    assert fetch(endpoint, "a/b.png") == PICTURE + b"a/b.png"
    assert fetch(endpoint, "a b/\u00fc?.png") == PICTURE + b"a%20b/%C3%BC%3F.png"


def test_an_object_is_asked_for_anonymously_unless_there_is_a_key(endpoint: str) -> None:
    assert fetch(endpoint, "who") == b"None"
    signed = fetch(endpoint, "who", s3_key_id="the-id", s3_secret=CANARY, s3_region="eu-1")
    assert isinstance(signed, bytes)
    assert signed.startswith(b"AWS4-HMAC-SHA256 Credential=the-id/")
    assert b"/eu-1/s3/aws4_request" in signed
    assert CANARY.encode() not in signed


@pytest.mark.parametrize("bucket", ["private", "shop.evil", "sho", "shop-2"])
def test_a_bucket_that_is_not_listed_is_refused(endpoint: str, bucket: str) -> None:
    message = assert_fails(fetch(endpoint, "a", bucket), Rejected, Code.SOURCE_REFUSED)
    assert "LOOKSTREAM_IMAGES_S3_BUCKETS" in message


@pytest.mark.parametrize(
    ("key", "kind", "code"),
    [
        ("gone", TryLater, Code.IMAGE_MISSING),
        ("denied", Rejected, Code.SOURCE_REFUSED),
        ("unknown", Rejected, Code.SOURCE_REFUSED),
        ("busy", TryLater, Code.IMAGE_UNREACHABLE),
        ("broken", TryLater, Code.IMAGE_UNREACHABLE),
        ("hang-up", TryLater, Code.IMAGE_UNREACHABLE),
        ("large", Rejected, Code.IMAGE_TOO_LARGE),
        ("../private/a", Rejected, Code.SOURCE_REFUSED),
        ("/a", Rejected, Code.SOURCE_REFUSED),
        ("a//b", Rejected, Code.SOURCE_REFUSED),
        ("a\0b", Rejected, Code.SOURCE_REFUSED),
    ],
)
def test_each_answer_of_a_store_has_its_failure(endpoint: str, key: str, kind: type[Failure], code: Code) -> None:
    message = assert_fails(fetch(endpoint, key, s3_key_id="the-id", s3_secret=CANARY), kind, code)
    assert CANARY not in message
    assert "Signature" not in message


def test_a_store_that_drips_cannot_outstay_the_deadline(endpoint: str) -> None:
    assert_fails(fetch(endpoint, "drip", fetch_seconds=0.5), TryLater, Code.IMAGE_TIMEOUT)


def test_a_store_that_is_away_is_tried_later() -> None:
    assert_fails(fetch("http://127.0.0.1:1", "a"), TryLater, Code.IMAGE_UNREACHABLE)
