"""Scans of a folder: each picture becomes one event or one bad row, and a bad one does not affect the others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from infra.config.images import ImageRoot, ImageSettings
from infra.fetching.content_store import LocalContentStore
from producers.image_packer import ImagePacker
from producers.image_sync.locations import ListedImage, UnlistedPath, location_of
from producers.image_sync.scan import LocationScanner, ScanStep
from producers.image_sync.state_db import open_sync_state
from producers.row_reader import BadRow
from schemas.items import ItemDeleted, ItemUpserted
from tests.producers.conftest import png
from tests.producers.image_sync.test_locations import write

PNG = png()
NOW = datetime.now(UTC) + timedelta(hours=1)


def scanner_of(folder: Path) -> LocationScanner:
    return LocationScanner(location_of(str(folder), ImageSettings()), "shop")


def events(steps: list[ScanStep]) -> list[str]:
    return [step.event.item_id for step in steps if isinstance(step.event, ItemUpserted | ItemDeleted)]


def bad(steps: list[ScanStep]) -> list[str]:
    return [step.event.message for step in steps if isinstance(step.event, BadRow)]


@contextmanager
def state_at(tmp_path: Path, steps: list[ScanStep]) -> Iterator[dict[str, str]]:
    """The state on disk after these steps."""
    with open_sync_state(tmp_path / "state", "name of a place \udcff", "shop") as state:
        sent = [step.sent_image for step in steps if step.sent_image]
        state.note(sent, [step.deleted_path for step in steps if step.deleted_path])
        yield state.all()


def test_a_name_that_is_not_utf_8_is_a_bad_row_and_all_others_are_sent(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    write(folder, b"caf\xe9.jpg", *[f"{n:03}.jpg" for n in range(300)], b"\xff/\xfe.png")
    steps = list(scanner_of(folder).scan({}, NOW))
    assert len(events(steps)) == 300
    assert bad(steps) == [
        "caf\\xe9.jpg: its name is not UTF-8: rename it",
        "\\xff/\\xfe.png: its name is not UTF-8: rename it",
    ]
    with state_at(tmp_path, steps) as known:
        assert len(known) == 300
        assert events(list(scanner_of(folder).scan(known, NOW))) == []


def test_a_bad_name_is_reported_once_by_a_scanner_and_again_when_it_reappears(tmp_path: Path) -> None:
    write(tmp_path, b"\xff.jpg")
    scanner = scanner_of(tmp_path)
    assert [len(bad(list(scanner.scan({}, NOW)))) for _ in range(3)] == [1, 0, 0]
    os.unlink(os.fsencode(tmp_path) + b"/\xff.jpg")
    assert list(scanner.scan({}, NOW)) == []
    write(tmp_path, b"\xff.jpg")
    assert len(bad(list(scanner.scan({}, NOW)))) == 1
    assert len(bad(list(scanner_of(tmp_path).scan({}, NOW)))) == 1


def test_an_empty_file_is_a_bad_row_also_where_pictures_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, "empty.jpg", data=b"")
    write(tmp_path, "a.jpg")
    named = location_of("shop", ImageSettings(roots={"shop": ImageRoot(path=tmp_path)}))
    for scanner in (scanner_of(tmp_path), LocationScanner(named, "shop")):
        steps = list(scanner.scan({}, NOW))
        assert (events(steps), bad(steps)) == (["a.jpg"], ["empty.jpg: the picture is an empty file"])


def test_what_cannot_be_listed_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The items of a folder that may not be read now stay, and those of a file that is gone do not."""
    write(tmp_path, "a.jpg", "locked/deep/b.jpg", "locked.jpg")
    scanner = scanner_of(tmp_path)
    known = {step.sent_image.path: step.sent_image.version_tag for step in scanner.scan({}, NOW) if step.sent_image}
    found = [each for each in scanner.location.pictures() if isinstance(each, ListedImage)]
    (tmp_path / "locked.jpg").unlink()
    now_listed = [found[0], UnlistedPath("locked", "the folder cannot be read: permission denied")]
    monkeypatch.setattr(type(scanner.location), "pictures", lambda _self: iter(now_listed))
    steps = list(scanner.scan(known, NOW))
    assert events(steps) == ["locked.jpg"]
    assert bad(steps) == ["locked: the folder cannot be read: permission denied"]


def test_a_picture_that_cannot_be_kept_now_is_tried_again_at_the_next_run(tmp_path: Path) -> None:
    folder, moved = tmp_path / "pictures", tmp_path / "kept"
    for name in "abc":
        write(folder, f"{name}.png", data=PNG + name.encode())
    in_the_way = moved / "shop" / sha256(PNG + b"b").hexdigest()[:2]
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file in the place of a folder")
    packer = ImagePacker(store=LocalContentStore(moved), tenant="shop")
    steps = list(LocationScanner(location_of(str(folder), ImageSettings(), packer), "shop").scan({}, NOW))
    assert events(steps) == ["a.png", "c.png"]
    [message] = bad(steps)
    assert message.startswith(f"b.png: the picture was not written to {moved}")
    assert [step.sent_image.path for step in steps if step.sent_image] == ["a.png", "c.png"]


def test_a_scan_streams(tmp_path: Path) -> None:
    """The first picture comes before the last folder is read."""
    write(tmp_path, "a.jpg", "z/b.jpg")
    changes = scanner_of(tmp_path).changes({"gone.jpg": "1"}, NOW)
    first = next(changes)
    assert isinstance(first.found, ListedImage)
    write(tmp_path, "z/c.jpg")
    assert [getattr(each.found, "path", each.found) for each in changes] == ["z/b.jpg", "z/c.jpg", "gone.jpg"]


def test_revisions_grow_in_the_order_of_the_scan(tmp_path: Path) -> None:
    write(tmp_path, *[f"{n}.jpg" for n in range(20)])
    found = [
        step.event.revision for step in scanner_of(tmp_path).scan({}, NOW) if isinstance(step.event, ItemUpserted)
    ]
    assert found == sorted(set(found))


def test_a_picture_that_may_not_be_read_is_tried_again_by_the_next_run_alone(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "a.jpg")
    folder = tmp_path / "pictures"
    write(folder, "b.jpg")
    (folder / "a.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    scanner = scanner_of(folder)
    first = list(scanner.scan({}, NOW))
    assert (events(first), len(bad(first))) == (["b.jpg"], 1)
    known = {step.sent_image.path: step.sent_image.version_tag for step in first if step.sent_image}
    assert list(known) == ["b.jpg"]
    assert list(scanner.scan(known, NOW)) == []
    assert len(bad(list(scanner_of(folder).scan(known, NOW)))) == 1
