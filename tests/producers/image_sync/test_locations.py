"""Real folders: odd names, system folders, links, and unreadable entries."""

import os
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.config.images import ImageSettings
from producers.image_sync.locations import FolderLocation, ImageLocation, ListedImage, UnlistedPath, location_of
from schemas.failures import Unavailable
from schemas.items import InlineImage
from tests.object_store import object_store
from tests.producers.conftest import png

PNG = png()


def write(folder: Path, *names: str | bytes, data: bytes = PNG) -> None:
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def at(folder: Path, excluded: Path | None = None) -> FolderLocation:
    return FolderLocation(folder, lambda _: InlineImage(data=PNG), excluded)


def listed(location: ImageLocation) -> list[str]:
    return [each.path for each in location.pictures() if isinstance(each, ListedImage)]


def unlisted(location: ImageLocation) -> dict[str, str]:
    return {each.path: each.reason for each in location.pictures() if isinstance(each, UnlistedPath)}


def test_pictures_come_folder_by_folder_and_by_name(tmp_path: Path) -> None:
    write(tmp_path, "b.png", "a.JPG", "2/b.jfif", "2/a.heic", "1/deep/er/x.tif", "1/z.avif")
    assert listed(at(tmp_path)) == ["a.JPG", "b.png", "1/z.avif", "1/deep/er/x.tif", "2/a.heic", "2/b.jfif"]


def test_files_are_passed_over_by_their_names_and_their_bytes_and_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "without", "wrong.dat", ".hidden.jpg", "._a.jpg", "a.NEF")
    write(tmp_path, "a.mov", "b.MOV", "Thumbs.db", "text", data=b"not a picture")
    write(tmp_path, "@eaDir/a.jpg", "#recycle/b.jpg", "sub/@eaDir/c.jpg", "__MACOSX/._a.jpg", ".Trash/d.jpg")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "sub")
    location = at(tmp_path)
    assert listed(location) == ["a.jpg", "without", "wrong.dat"]
    assert dict(location.picture_filter.passed_over) == {
        "hidden": 1, "resource fork of macOS (._)": 1, ".nef (not supported: export it as JPEG)": 1, ".mov": 2,
        ".db": 1, "without a suffix": 1, "@eaDir": 2, "#recycle": 1, "__MACOSX": 1, "hidden folder": 1,
        "link to a folder": 1,
    }  # fmt: skip
    assert location.picture_filter.line().startswith("13 files passed over: 2 @eaDir, 2 .mov, 1 ")


def test_names_that_are_not_utf_8_are_named_and_the_others_are_listed(tmp_path: Path) -> None:
    write(tmp_path, b"caf\xe9.jpg", b"bad\xff/in.jpg", b"bad\xff/\x80.png", "café.jpg", b"\xe9 without", "z.jpg")
    write(tmp_path, b"no\xe9.txt", data=b"text")
    location = at(tmp_path)
    assert sorted(listed(location)) == ["café.jpg", "z.jpg"]
    assert set(unlisted(location).values()) == {"its name is not UTF-8: rename it"}
    assert len(unlisted(location)) == 4
    assert dict(location.picture_filter.passed_over) == {".txt": 1}


@pytest.mark.parametrize(
    "name",
    [
        "line\nend.jpg",
        "tab\t.jpg",
        "\x1b[31m.jpg",
        "del\x7f.jpg",
        "n" * 195 + "/long.jpg",
    ],
)
def test_names_that_can_be_no_id_are_named_and_the_others_are_listed(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "a.jpg")
    assert listed(at(tmp_path)) == ["a.jpg"]
    assert list(unlisted(at(tmp_path))) == [name]


def test_blanks_around_a_name_belong_to_it(tmp_path: Path) -> None:
    write(tmp_path, " a.jpg", "a.jpg", "a.jpg ", "b /c.jpg")
    assert listed(at(tmp_path)) == [" a.jpg", "a.jpg", "a.jpg ", "b /c.jpg"]


def test_a_name_in_two_spellings_is_two_files(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]
    write(tmp_path, *names)
    assert sorted(listed(at(tmp_path))) == sorted(names)


def test_links_lead_nowhere_else_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "sub/b.jpg")
    links = {"loop.jpg": "loop.jpg", "up": ".", "sub/up": "..", "broken.jpg": "none.jpg", "same.jpg": "a.jpg"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    location = at(tmp_path)
    assert listed(location) == ["a.jpg", "same.jpg", "sub/b.jpg"]
    assert dict(location.picture_filter.passed_over) == {"broken link": 2, "link to a folder": 2}


def test_what_is_no_file_is_passed_over_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    location = at(tmp_path)
    assert listed(location) == []
    assert location.picture_filter.line() == "2 files passed over: 2 special file"


def test_a_very_deep_folder_is_listed(tmp_path: Path) -> None:
    before = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1_500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(before)
    write(tmp_path, "a.jpg")
    location = at(tmp_path)
    assert listed(location) == ["a.jpg"]
    assert unlisted(location) == {}
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # it is too deep for shutil


def test_a_folder_that_may_not_be_read_is_named_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.jpg", "locked/b.jpg", "z/c.jpg")
    (tmp_path / "locked").chmod(0)
    real = os.scandir

    def scan(path: str) -> object:
        """Simulate a user who is not root, because root can read everything."""
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    location = at(tmp_path)
    assert listed(location) == ["a.jpg", "z/c.jpg"]
    assert unlisted(location) == {"locked": "the folder cannot be read: permission denied"}
    (tmp_path / "locked").chmod(0o700)


def test_a_folder_that_is_away_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read: no such file"):
        listed(at(tmp_path / "none"))


@pytest.mark.parametrize("seconds", [-(2**40), -1.5, 0, 2**33, 2**45])
def test_a_file_of_any_time_is_listed(tmp_path: Path, seconds: float) -> None:
    write(tmp_path, "a.jpg")
    try:
        os.utime(tmp_path / "a.jpg", (seconds, seconds))
    except (OSError, OverflowError):
        pytest.skip("this file system has no such time")
    [each] = at(tmp_path).pictures()
    assert isinstance(each, ListedImage)
    assert each.size == len(PNG)


def test_the_data_folder_within_a_folder_is_passed_over(tmp_path: Path) -> None:
    """Else each run would find the pictures that the run before has put into the content store."""
    write(tmp_path, "a.jpg", "data/pictures/default/ab/abcd", "deep/data/b.jpg")
    location = at(tmp_path, tmp_path / "data")
    assert listed(location) == ["a.jpg", "deep/data/b.jpg"]
    assert location.picture_filter.line() == "1 file passed over: 1 data folder of lookstream"


def test_a_folder_whose_own_name_is_odd_is_a_location(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9 .hidden")))
    write(folder, "a.jpg")
    location = location_of(str(folder), ImageSettings())
    assert listed(location) == ["a.jpg"]
    assert isinstance(location.reference("a.jpg"), InlineImage)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Path, ImageSettings]]:
    """A real object store with the bucket `shop`: its folder, and the settings to reach it."""
    (tmp_path / "shop").mkdir()
    with object_store(tmp_path) as endpoint:
        yield tmp_path / "shop", ImageSettings(s3_endpoint=endpoint, s3_buckets=("shop",))


def test_objects_of_a_bucket_are_judged_like_files(bucket: tuple[Path, ImageSettings]) -> None:
    folder, settings = bucket
    write(folder, "new/a.JFIF", "new/3f9c0a", "new/@eaDir/a.jpg", "new/.b.jpg", "new/c.nef")
    write(folder, "new/text", "new/a.mov", data=b"not a picture")
    write(folder, "new/" + "n" * 100 + "/" + "m" * 100 + ".jpg")
    location = location_of("s3://shop/new", settings)
    assert sorted(listed(location)) == ["3f9c0a", "a.JFIF"]
    assert ["characters" in reason for reason in unlisted(location).values()] == [True]
    assert dict(location.picture_filter.passed_over) == {
        "@eaDir": 1, "hidden": 1, ".nef (not supported: export it as JPEG)": 1, "without a suffix": 1, ".mov": 1
    }  # fmt: skip
