"""Pictures for events: small ones unchanged, large ones shrunk, all of them stored by content."""

import io
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from infra.config.images import ImageSettings
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.fetching.content_store import LocalContentStore
from producers.image_packer import ImagePacker, embed, open_packer, open_shrinker, refuse_large
from schemas.failures import Code, Rejected
from schemas.items import MAX_INLINE_BYTES, FileImage, InlineImage
from tests.producers.conftest import noise


def local(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, kafka=KafkaSettings(), images=ImageSettings())


def test_a_small_picture_travels_as_it_is(picture: bytes) -> None:
    assert embed(picture, refuse_large).data == picture


def test_a_large_picture_is_shrunk_until_it_fits() -> None:
    data = noise(900, 600)
    assert len(data) > MAX_INLINE_BYTES
    with open_shrinker(ImageSettings()) as shrink:
        shrunk = embed(data, shrink).data
    assert len(shrunk) <= MAX_INLINE_BYTES
    assert Image.open(io.BytesIO(shrunk)).format == "JPEG"


def test_a_turned_photo_is_upright_after_it_was_shrunk() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    with open_shrinker(ImageSettings()) as shrink:
        shrunk = shrink(noise(90, 60, "JPEG", quality=100, exif=exif))
    assert Image.open(io.BytesIO(shrunk)).size == (60, 90)


def test_clear_parts_become_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(out, "PNG")
    with open_shrinker(ImageSettings()) as shrink:
        assert Image.open(io.BytesIO(shrink(out.getvalue()))).getpixel((20, 20)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"", b"x", b"<html>", b"x" * 800_000])
def test_what_is_no_picture_is_rejected_at_once(data: bytes) -> None:
    with open_shrinker(ImageSettings()) as shrink, pytest.raises(Rejected) as caught:
        embed(data, shrink)
    assert caught.value.code in (Code.IMAGE_MISSING, Code.IMAGE_UNREADABLE, Code.IMAGE_FORMAT)
    assert "0x" not in caught.value.message


def test_without_a_decoder_a_large_picture_is_refused() -> None:
    with pytest.raises(Rejected, match="make it smaller"):
        ImagePacker().pack(noise(900, 600))


def test_in_local_mode_pictures_are_kept_by_content_and_events_refer_to_them(
    tmp_path: Path, picture: bytes
) -> None:
    with open_packer(local(tmp_path), "ana") as packer:
        refs = [packer.pack(picture), packer.pack(picture), packer.pack(noise(900, 600))]
    assert {type(ref) for ref in refs} == {FileImage}
    assert refs[0] == refs[1] != refs[2]
    checksums = [ref.sha256 for ref in refs if isinstance(ref, FileImage)]
    assert checksums[0] == sha256(picture).hexdigest()
    store = LocalContentStore(tmp_path / "pictures")
    assert all(store.exists("ana", checksum or "") for checksum in checksums)


def test_with_brokers_of_the_users_own_and_no_bucket_pictures_travel_in_events(
    tmp_path: Path, picture: bytes
) -> None:
    remote = local(tmp_path).model_copy(update={"kafka": KafkaSettings(bootstrap="kafka.example:9092")})
    with open_packer(remote, "ana") as packer:
        assert packer.pack(picture) == InlineImage(data=picture)
    assert list(tmp_path.iterdir()) == []
