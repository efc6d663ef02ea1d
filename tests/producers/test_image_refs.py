"""Pictures on their way into events."""

import io
import random
from pathlib import Path

import pytest
from PIL import Image

from infra.config.errors import BadInput
from producers.image_refs import choose_root, embed, image_reference, shrink
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, FileImage, InlineImage, S3Image, UrlImage


def noise(width: int, height: int, kind: str, **options: object) -> bytes:
    picture = Image.frombytes("RGB", (width, height), random.Random(3).randbytes(width * height * 3))
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def test_a_small_picture_travels_as_it_is(picture: bytes) -> None:
    assert embed(picture).data == picture


def test_a_large_picture_is_shrunk_until_it_fits() -> None:
    data = noise(1700, 900, "PNG")
    assert len(data) > MAX_INLINE_BYTES
    shrunk = embed(data).data
    assert len(shrunk) <= MAX_INLINE_BYTES
    assert Image.open(io.BytesIO(shrunk)).format == "JPEG"


def test_a_turned_photo_is_upright_after_it_was_shrunk() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    data = noise(900, 600, "JPEG", quality=100, exif=exif)
    assert Image.open(io.BytesIO(shrink(data))).size == (600, 900)


def test_clear_parts_become_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(out, "PNG")
    assert Image.open(io.BytesIO(shrink(out.getvalue()))).getpixel((20, 20)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"", b"x" * 800_000])
def test_what_is_no_picture_is_rejected(data: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        embed(data)
    assert caught.value.code is Code.IMAGE_UNREADABLE
    assert "0x" not in caught.value.message


def test_addresses_and_paths_become_the_right_kind_of_picture(tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    inside, named = choose_root(str(tmp_path), {}), choose_root("shop", {"shop": tmp_path})
    assert image_reference("https://a.test/b.jpg", inside) == UrlImage(url="https://a.test/b.jpg")
    assert image_reference("s3://bucket/a/b.jpg", inside) == S3Image(bucket="bucket", key="a/b.jpg")
    assert image_reference("a.png", inside) == InlineImage(data=picture)
    assert image_reference("./a.png", named) == FileImage(root="shop", path="a.png")


@pytest.mark.parametrize("path", ["../a.png", "x/../../a.png", "/../a.png"])
def test_a_path_that_leaves_the_root_is_rejected(tmp_path: Path, path: str) -> None:
    for locate in (choose_root(str(tmp_path), {}), choose_root("shop", {"shop": tmp_path})):
        with pytest.raises(Rejected, match="leaves its folder"):
            image_reference(path, locate)


@pytest.mark.parametrize(
    "path", ["/m/a b.png", "m\\a b.png", "\\m\\a b.png", "m/a%20b.png", "/m/a%20b.png?v=2", " m/a b.png"]
)
def test_a_path_is_found_in_the_spellings_of_exports(tmp_path: Path, picture: bytes, path: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a b.png").write_bytes(picture)
    assert image_reference(path, choose_root(str(tmp_path), {})) == InlineImage(data=picture)


def test_a_path_below_a_named_root_is_relative(tmp_path: Path) -> None:
    named = choose_root("shop", {"shop": tmp_path})
    for path in ("/m/a.png", "m/a.png", "m\\a.png", str(tmp_path / "m/a.png")):
        assert image_reference(path, named) == FileImage(root="shop", path="m/a.png")


def test_an_absolute_path_outside_is_looked_for_below_the_root(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="there is no picture file `etc/passwd`"):
        image_reference("/etc/passwd", choose_root(str(tmp_path), {}))


def test_a_path_without_a_root_names_the_option() -> None:
    with pytest.raises(Rejected, match="--image-root"):
        image_reference("a.png", choose_root(None, {}))


def test_a_root_that_is_neither_folder_nor_name_is_refused() -> None:
    with pytest.raises(BadInput, match=r"LOOKSTREAM_IMAGES_ROOTS \(it has: shop\)"):
        choose_root("barn", {"shop": Path("/shop")})
