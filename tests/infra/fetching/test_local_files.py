"""Local files: the name of a file in either Unicode form finds it."""

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from infra.fetching.local_files import find_below, read_below, read_picture_below
from schemas.failures import Rejected

NAME = "cafe\u0301/\u00fcber \uac00.png"


FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


@pytest.mark.parametrize("stored", FORMS)
@pytest.mark.parametrize("requested", FORMS)
def test_a_name_is_found_in_both_forms_of_unicode(
    tmp_path: Path, picture: bytes, stored: Literal["NFC", "NFD"], requested: Literal["NFC", "NFD"]
) -> None:
    file = tmp_path / unicodedata.normalize(stored, NAME)
    file.parent.mkdir()
    file.write_bytes(picture)
    path = unicodedata.normalize(requested, NAME)
    assert find_below(tmp_path, path) == file.resolve()
    assert read_below(tmp_path, path, 1_000_000) == picture
    assert read_picture_below(tmp_path, path, 1_000_000) == picture


def test_a_file_of_the_very_name_comes_first(tmp_path: Path) -> None:
    for form in FORMS:
        (tmp_path / unicodedata.normalize(form, "\u00fc.txt")).write_text(form)
    for form in FORMS:
        assert read_below(tmp_path, unicodedata.normalize(form, "\u00fc.txt"), 100) == form.encode()


@pytest.mark.parametrize("path", ["../\u00fc.png", "/\u00fc.png", "\u00fc/../../a.png"])
def test_no_form_leaves_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(Rejected, match="leaves its folder"):
        find_below(tmp_path / "in", path)


@pytest.mark.parametrize("path", ["\u00fc" * 2_000, "\u00fc\ud800.png", "\u00fc\0.png", "none-\u00fc.png"])
def test_a_name_that_no_file_has_is_rejected(tmp_path: Path, path: str) -> None:
    with pytest.raises(Rejected):
        read_below(tmp_path, path, 100)
