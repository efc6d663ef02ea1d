"""Pictures on their way into events."""

import io
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from infra.config.errors import BadInput
from infra.images.decode_pool import DecodePool
from producers.image_refs import choose_root, embed, image_reference
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, FileImage, InlineImage, S3Image, UrlImage


def noise(width: int, height: int, kind: str, **options: object) -> bytes:
    picture = Image.frombytes("RGB", (width, height), random.Random(3).randbytes(width * height * 3))
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with closing(DecodePool(1, eager=False)) as opened:
        yield opened


def test_a_small_picture_travels_as_it_is(picture: bytes, pool: DecodePool) -> None:
    assert embed(picture, pool).data == picture
    assert pool.pids() == []


def test_a_large_picture_is_shrunk_until_it_fits(pool: DecodePool) -> None:
    data = noise(1700, 900, "PNG")
    assert len(data) > MAX_INLINE_BYTES
    shrunk = embed(data, pool).data
    assert len(shrunk) <= MAX_INLINE_BYTES
    assert Image.open(io.BytesIO(shrunk)).format == "JPEG"


@pytest.mark.parametrize(("data", "code"), [(b"", Code.IMAGE_MISSING), (b"x" * 800_000, Code.IMAGE_FORMAT)])
def test_what_is_no_picture_is_rejected(data: bytes, code: Code, pool: DecodePool) -> None:
    with pytest.raises(Rejected) as caught:
        embed(data, pool)
    assert caught.value.code is code
    assert "0x" not in caught.value.message


def test_addresses_and_paths_become_the_right_kind_of_picture(tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    inside, named = choose_root(str(tmp_path), {}), choose_root("shop", {"shop": tmp_path})
    assert image_reference("https://a.test/b.jpg", inside) == UrlImage(url="https://a.test/b.jpg")
    assert image_reference("s3://bucket/a/b.jpg", inside) == S3Image(bucket="bucket", key="a/b.jpg")
    assert image_reference("a.png", inside) == InlineImage(data=picture)
    assert image_reference("./a.png", named) == FileImage(root="shop", path="a.png")


@pytest.mark.parametrize("path", ["../a.png", "/etc/passwd", "x/../../a.png"])
def test_a_path_that_leaves_the_root_is_rejected(tmp_path: Path, path: str) -> None:
    for locate in (choose_root(str(tmp_path), {}), choose_root("shop", {"shop": tmp_path})):
        with pytest.raises(Rejected, match="leaves its folder"):
            image_reference(path, locate)


def test_a_path_without_a_root_names_the_option() -> None:
    with pytest.raises(Rejected, match="--image-root"):
        image_reference("a.png", choose_root(None, {}))


def test_a_root_that_is_neither_folder_nor_name_is_refused() -> None:
    with pytest.raises(BadInput, match=r"LOOKSTREAM_IMAGES_ROOTS \(it has: shop\)"):
        choose_root("barn", {"shop": Path("/shop")})
