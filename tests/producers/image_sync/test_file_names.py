"""Names of files: which are pictures, and the messages about the others."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from producers.image_sync.file_names import (
    PictureFilter,
    folder_reason,
    name_reason,
    path_reason,
    suffix_of,
    visible_path,
)
from schemas.items import ItemDeleted
from tests.producers.conftest import png

PNG = png()


def is_picture(picture_filter: PictureFilter, path: str, start: bytes = b"") -> bool:
    return picture_filter.is_picture(path, "1", lambda: start)


SUFFIXES = (
    "jpg", "jpeg", "jpe", "jfif", "jfi", "png", "apng", "webp", "gif", "heic", "heif", "avif", "tif", "tiff", "bmp",
    "jxl",
)  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_is_known_by_its_suffix_in_any_case(suffix: str) -> None:
    picture_filter = PictureFilter()
    for name in (f"a.{suffix}", f"a.{suffix.upper()}", f"deep/in it/a b.{suffix.title()}"):
        assert is_picture(picture_filter, name), name
    assert picture_filter.line() == ""


@pytest.mark.parametrize("name", ["photo", "photo.dat", "photo.txt", "1.JPG_original", "photo.", "a.2024", "3f9c"])
def test_a_file_with_another_suffix_is_judged_by_its_first_bytes(name: str) -> None:
    picture_filter = PictureFilter()
    assert is_picture(picture_filter, name, PNG[:16])
    assert not is_picture(PictureFilter(), name, b"id;title;price\n1")
    assert not is_picture(PictureFilter(), name, b"")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".a.jpg", "hidden"),
        (".DS_Store", "hidden"),
        ("._a.jpg", "resource fork of macOS (._)"),
        ("a.jpg~", "backup (~)"),
        ("a.jpg.part", ".part (unfinished)"),
        ("a.jpg.CRDOWNLOAD", ".crdownload (unfinished)"),
        ("a.NEF", ".nef (not supported: export it as JPEG)"),
        ("a.cr2", ".cr2 (not supported: export it as JPEG)"),
        ("a.psd", ".psd (not supported: export it as JPEG)"),
        ("a.dng", ".dng (not supported: export it as JPEG)"),
    ],
)
def test_some_names_are_passed_over_whatever_the_files_hold(name: str, reason: str) -> None:
    picture_filter = PictureFilter()
    assert not is_picture(picture_filter, name, PNG[:16])
    assert (name_reason(name), picture_filter.line()) == (reason, f"1 file passed over: 1 {reason}")


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN", "System Volume Information"])
def test_folders_of_systems_and_devices_are_passed_over(name: str) -> None:
    assert folder_reason(name) == name
    assert folder_reason(".Trash") == "hidden folder"
    assert folder_reason("mugs") is None


def test_what_is_passed_over_is_counted_by_reason_the_most_frequent_first() -> None:
    picture_filter = PictureFilter()
    for name in ("1.mov", "2.MOV", "3.mov", ".a", ".b", "Thumbs.db", "readme"):
        assert not is_picture(picture_filter, name)
    picture_filter.pass_over("@eaDir")
    assert picture_filter.line() == "8 files passed over: 3 .mov, 2 hidden, 1 .db, 1 without a suffix, 1 @eaDir"
    picture_filter.begin()
    assert picture_filter.line() == ""


def test_very_many_reasons_are_summed_up() -> None:
    picture_filter = PictureFilter()
    for n in range(40):
        is_picture(picture_filter, f"a.x{n}")
    assert picture_filter.line().endswith(", 28 others")
    assert len(picture_filter.line()) < 200


def test_the_first_bytes_of_a_version_are_read_once() -> None:
    picture_filter, reads = PictureFilter(), list[str]()

    def read() -> bytes:
        reads.append("read")
        return PNG[:16]

    assert [picture_filter.is_picture("a", mark, read) for mark in ("1", "1", "2")] == [True] * 3
    assert len(reads) == 2


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("a\udce9.jpg", "not UTF-8"),
        ("a\nb.jpg", "control character"),
        ("a\x7f.jpg", "control character"),
        ("a\tb/c.jpg", "control character"),
        ("x" * 197 + ".jpg", "has 201 characters"),
        (" ", "blanks alone"),
    ],
)
def test_a_path_that_can_be_no_item_id_is_named_with_the_remedy(path: str, part: str) -> None:
    assert part in str(path_reason(path))


@given(st.text(max_size=230))
def test_a_path_without_a_reason_is_an_item_id_as_it_is(path: str) -> None:
    if path and path_reason(path) is None:
        assert ItemDeleted(item_id=path, revision=1).item_id == path
    else:
        with pytest.raises(ValidationError):
            ItemDeleted(item_id=path, revision=1)


@given(st.binary(min_size=1, max_size=50).filter(lambda name: b"\0" not in name))
def test_any_name_can_be_shown(name: bytes) -> None:
    visible = visible_path(os.fsdecode(name))
    assert visible.encode()
    assert visible_path("café.jpg") == "café.jpg"
    assert visible_path(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"


def test_only_usual_suffixes_are_suffixes() -> None:
    names = ("a.JPG", "a.b.tar", ".hidden", "a", "a.", "a. of many words", "a.verylongsuffix")
    assert [suffix_of(name) for name in names] == [".jpg", ".tar", "", "", "", "", ""]
