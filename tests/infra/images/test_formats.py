"""Formats by their first bytes and by their names."""

import pytest

from infra.images.formats import (
    FORMAT_NAMES,
    FORMATS,
    MAGIC_BYTES,
    format_of,
    is_picture_name,
    looks_like_picture,
    media_type,
    other_kind,
)
from tests.infra.images.drawn import KINDS, encoded, photo

MEDIA = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "HEIF": "image/heic",
    "AVIF": "image/avif", "TIFF": "image/tiff", "BMP": "image/bmp", "JXL": "image/jxl",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [16, MAGIC_BYTES])
def test_each_format_is_known_by_its_first_bytes(kind: str, count: int) -> None:
    assert media_type(encoded(photo(), kind)[:count]) == MEDIA[kind]


@pytest.mark.parametrize(
    ("start", "media"),
    [
        (b"\xff\xd8\0\0\xff\xe0", "image/jpeg"),
        (b"MM\0*\0\0\0\x08", "image/tiff"),
        (b"II+\0\x08\0\0\0", "image/tiff"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14", "image/jxl"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "image/heic"),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc", "image/heic"),
        (b"\0\0\0\x18ftypavis\0\0\0\0msf1miaf", "image/avif"),
    ],
)
def test_rare_starts_are_known(start: bytes, media: str) -> None:
    assert media_type(start) == media


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"", None),
        (b"\xff", None),
        (b"BMW is a maker of cars", None),
        (b"random bytes that are nothing", None),
        (b"<html><body>", "a web page"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"%PDF-1.7", "a PDF"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript file"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "a video"),
        (b"\0\0\0\x14ftypqt  ", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera's raw file"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera's raw file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
    ],
)
def test_what_is_no_picture_is_named_if_it_is_known(start: bytes, kind: str | None) -> None:
    assert (format_of(start), other_kind(start)) == (None, kind)


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg", "A.JPEG", "a.jpe", "a.jfif", "a.jfi", "a.png", "a.apng", "a.webp", "a.gif", "IMG_1.HEIC", "a.heif",
        "a.avif", "a.tif", "a.TIFF", "a.bmp", "a.dib", "a.jxl", "folder/a.b.png",
    ],
)  # fmt: skip
def test_names_of_pictures_are_known_by_their_suffix(name: str) -> None:
    assert is_picture_name(name)
    assert looks_like_picture(name)


@pytest.mark.parametrize("name", ["a.cr2", "a.NEF", "a.dng", "a.psd", "a.svg", "a.jp2", "a.ico", "a.eps", "a.ppm"])
def test_other_pictures_look_like_pictures_by_their_names(name: str) -> None:
    assert not is_picture_name(name)
    assert looks_like_picture(name)


@pytest.mark.parametrize("name", ["a.txt", "a", "jpg", "a.jpg.txt", "Thumbs.db", "a.mov", ""])
def test_other_names_are_those_of_no_picture(name: str) -> None:
    assert not is_picture_name(name)
    assert not looks_like_picture(name)


def test_messages_name_every_format() -> None:
    assert all(each.name in FORMAT_NAMES for each in FORMATS)
