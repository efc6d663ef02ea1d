"""Uploads: every format is accepted, and large pictures are shrunk in processes."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from infra.config.images import ImageSettings
from infra.images.formats import media_type
from producers.gateway.problem_details import Problem
from producers.gateway.uploads import Uploads
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES
from tests.infra.images.drawn import KINDS, encoded, noise, photo


@pytest.fixture(scope="module")
def uploads() -> Iterator[Uploads]:
    with closing(Uploads(ImageSettings())) as opened:
        yield opened


def upload(uploads: Uploads, data: bytes) -> bytes:
    return asyncio.run(uploads.picture(data)).data


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_picture_of_any_format_travels_as_it_is(uploads: Uploads, kind: str) -> None:
    data = encoded(photo(), kind)
    assert upload(uploads, data) == data


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_a_large_picture_of_any_format_is_shrunk(uploads: Uploads, kind: str) -> None:
    data = encoded(noise(1_000, 900), kind)
    shrunk = upload(uploads, data + bytes(max(MAX_INLINE_BYTES + 1 - len(data), 0)))
    assert len(shrunk) <= MAX_INLINE_BYTES
    assert media_type(shrunk) == "image/jpeg"


@pytest.mark.parametrize(
    ("data", "words"), [(b"%PDF-1.7", "a PDF"), (b"<svg/>", "an SVG"), (b"\0" * 900_000, "JPEG XL")]
)
def test_what_is_no_picture_is_named(uploads: Uploads, data: bytes, words: str) -> None:
    with pytest.raises(Problem, match=words) as caught:
        upload(uploads, data)
    assert caught.value.status == 415


def test_a_large_picture_that_cannot_be_read_is_refused(uploads: Uploads) -> None:
    with pytest.raises(Rejected) as caught:
        upload(uploads, b"\xff\xd8\xff" + b"x" * 800_000)
    assert caught.value.code is Code.IMAGE_UNREADABLE


def test_several_pictures_are_shrunk_at_a_time(uploads: Uploads) -> None:
    async def upload_all() -> list[bytes]:
        found = await asyncio.gather(*(uploads.picture(encoded(noise(700, 500 + n), "PNG")) for n in range(6)))
        return [each.data for each in found]

    assert all(media_type(each) == "image/jpeg" for each in asyncio.run(upload_all()))
