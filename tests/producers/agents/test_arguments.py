"""Pictures of agents: one at most, of a limited size, and no file outside the folder of pictures."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.config.errors import BadInput
from producers.agents.arguments import PictureSearch, read_picture
from schemas.items import MAX_INLINE_BYTES, InlineImage, UrlImage
from tests.conftest import draw_disc

DISC = draw_disc("#cc2222")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures beside a secret, with a link to it."""
    outside = tmp_path_factory.mktemp("agents")
    pictures = outside / "pictures"
    (pictures / "red").mkdir(parents=True)
    (pictures / "red" / "disc.png").write_bytes(DISC)
    (outside / "secret").write_bytes(b"secret")
    (pictures / "link").symlink_to(outside / "secret")
    return pictures


def test_a_picture_is_given_by_address_bytes_or_file(folder: Path) -> None:
    assert PictureSearch(picture_url="https://shop.example/a.png").image(folder) == UrlImage(
        url="https://shop.example/a.png"
    )
    for given_picture in ({"picture_base64": base64.b64encode(DISC).decode()}, {"picture_file": "red/disc.png"}):
        assert PictureSearch.model_validate(given_picture).image(folder) == InlineImage(data=DISC)
    assert PictureSearch().image(folder) is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"picture_url": "https://a.example/b", "picture_file": "red/disc.png"}, "give one of"),
        ({"picture_base64": "no base64!"}, "is not base64"),
        ({"picture_base64": ""}, "0 bytes"),
        ({"picture_base64": base64.b64encode(bytes(MAX_INLINE_BYTES + 1)).decode()}, "shrink it"),
        ({"picture_file": "blue.png"}, "no such file"),
        ({"picture_file": "../secret"}, "no such file"),
        ({"picture_file": "link"}, "no such file"),
        ({"picture_file": "red\0"}, "cannot be read"),
    ],
)
def test_a_wrong_picture_is_refused_with_the_reason(arguments: dict[str, str], reason: str, folder: Path) -> None:
    with pytest.raises(BadInput, match=reason):
        PictureSearch.model_validate(arguments).image(folder)


def test_without_a_folder_no_file_is_read() -> None:
    with pytest.raises(BadInput, match="reads no files"):
        PictureSearch(picture_file="/etc/hostname").image(None)


@given(name=st.text(alphabet="./secrtlink\0~", max_size=40))
def test_no_name_reads_a_file_outside_the_folder(name: str, folder: Path) -> None:
    try:
        data = read_picture(folder, name)
    except BadInput:
        return
    assert data == DISC
