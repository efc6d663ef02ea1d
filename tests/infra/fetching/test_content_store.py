"""The local content store: whole files or none, for the user alone, and clear errors."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.config.images import CONTENT_ROOT, ImageSettings
from infra.fetching.content_store import LocalContentStore
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.local_files import for_tenant
from schemas.failures import Code, Rejected, TryLater
from schemas.items import FileImage
from tests.conftest import draw_disc

RED = draw_disc("#cc2222")
LARGE = RED + bytes(5_000)


@contextmanager
def no_space(size: int) -> Iterator[None]:
    """Files of this process can have no more bytes than this, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_disk_that_takes_no_more_leaves_nothing_half_and_says_so(tmp_path: Path) -> None:
    store = LocalContentStore(tmp_path / "pictures")
    with no_space(1_000), pytest.raises(TryLater, match=r"was not written to .*pictures") as failure:
        store.put("ana", LARGE)
    assert failure.value.code is Code.IMAGE_UNREACHABLE
    assert files_in(tmp_path) == []
    ref = store.put("ana", LARGE)
    assert [path.read_bytes() for path in files_in(tmp_path)] == [LARGE]
    assert ref.path.endswith(sha256(LARGE).hexdigest())


def test_pictures_leave_the_index_its_space_on_the_disk(tmp_path: Path) -> None:
    LocalContentStore(tmp_path).put("ana", RED)
    full = LocalContentStore(tmp_path, min_free=1 << 60)
    with pytest.raises(TryLater, match=r"less than \d+ MB are free"):
        full.put("ana", LARGE)
    assert full.put("ana", RED).sha256 == sha256(RED).hexdigest()
    assert [path.read_bytes() for path in files_in(tmp_path)] == [RED]


def test_a_folder_that_cannot_be_made_fails_that_picture_alone(tmp_path: Path) -> None:
    store = LocalContentStore(tmp_path)
    (tmp_path / "ana").write_text("a file in the place of the folder")
    with pytest.raises(TryLater):
        store.put("ana", RED)
    assert store.put("bo", RED).root == CONTENT_ROOT


def test_a_file_that_is_not_whole_is_written_again(tmp_path: Path) -> None:
    store = LocalContentStore(tmp_path)
    store.put("ana", RED)
    [file] = files_in(tmp_path)
    file.write_bytes(RED[:10])
    store.put("ana", RED)
    assert file.read_bytes() == RED


def test_only_the_user_may_read_what_is_kept(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        LocalContentStore(tmp_path / "data" / "pictures").put("ana", RED)
    finally:
        os.umask(before)
    stored = tmp_path / "data" / "pictures"
    assert [path for path in stored.rglob("*") if path.stat().st_mode & 0o077] == []
    assert not stored.stat().st_mode & 0o077


def test_what_a_killed_process_has_left_goes_after_an_hour(tmp_path: Path) -> None:
    store = LocalContentStore(tmp_path)
    store.put("ana", RED)
    [file] = files_in(tmp_path)
    old, young = tmp_path / ".new-old", tmp_path / ".new-young"
    for path in (old, young):
        path.write_bytes(b"half")
    hours_ago = time.time() - 2 * 3_600
    os.utime(old, (hours_ago, hours_ago))
    assert [len(part) for part in store.not_put_since(datetime.now(UTC) - timedelta(days=1))] == [0]
    assert (old.exists(), young.exists(), file.exists()) == (False, True, True)


def test_a_process_that_is_killed_while_it_writes_leaves_whole_pictures(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from infra.fetching.content_store import LocalContentStore\n"
        "store = LocalContentStore(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "for n in range(100_000): store.put('ana', b'%d' % n * 20_000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while len(files_in(tmp_path)) < 5:
            time.sleep(0.002)
        process.kill()
    stored = [path for path in files_in(tmp_path) if not path.name.startswith(".")]
    assert stored
    assert [path.name for path in stored if sha256(path.read_bytes()).hexdigest() != path.name] == []


def test_a_data_folder_that_was_removed_says_to_send_the_item_again(tmp_path: Path) -> None:
    ref = LocalContentStore(tmp_path / "gone").put("ana", RED)
    for content in (None, tmp_path / "none", tmp_path / "gone"):
        with closing(ImageFetcher(ImageSettings(), content=content)) as images:
            found = images.fetch(for_tenant(ref, "bo"))
        assert isinstance(found, Rejected), content
        assert found.code is Code.IMAGE_MISSING
        assert found.message.endswith(("send the item again", "send it again"))


def test_no_folder_of_the_settings_has_the_name_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="belongs to the content store"):
        ImageSettings.model_validate({"roots": {CONTENT_ROOT: str(tmp_path)}})
    assert FileImage(root=CONTENT_ROOT, path="ab/cd").root == CONTENT_ROOT


@pytest.mark.parametrize(
    ("text", "place"),
    [(None, None), ("shop", ("shop", "")), ("shop/a", ("shop", "a/")), ("shop/a/b.c", ("shop", "a/b.c/"))],
)
def test_the_bucket_of_the_settings_may_have_a_prefix(text: str | None, place: tuple[str, str] | None) -> None:
    assert ImageSettings(content_bucket=text).content_place == place


@pytest.mark.parametrize(
    "text", ["s3://shop", "Shop", "shop/", "shop//a", "/shop", "shop/a b", "shop/../a", "shop/."]
)
def test_a_bucket_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ImageSettings(content_bucket=text)
