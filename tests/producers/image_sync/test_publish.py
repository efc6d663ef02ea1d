"""Pictures in folders and buckets: new, changed and removed files become upserts and deletes."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from infra.config.errors import BadInput
from infra.config.images import ImageRoot, ImageSettings
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader
from infra.local.ports import find_free_port
from producers.image_sync.locations import FolderLocation, location_of
from producers.image_sync.publish import ImagePublisher
from producers.image_sync.scan import LocationScanner, ScanStep
from producers.image_sync.state_db import open_sync_state
from producers.ingest.publish import IngestTally
from producers.row_reader import BadRow
from schemas.envelope import from_bytes
from schemas.failures import Rejected, Unavailable
from schemas.items import FileImage, InlineImage, ItemDeleted, ItemUpserted, S3Image
from schemas.topics import CATALOG_ITEMS
from tests.kafka.shared import environment_of
from tests.object_store import object_store
from tests.producers.conftest import png, run_command

LATER = timedelta(minutes=1)
PNG = png()
"""A picture; bytes after its end make a different file of it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three pictures and things that are none."""
    root = tmp_path / "pictures"
    for name in ("a.png", "mugs/red_mug.JPG", "mugs/old/b.webp", "notes.txt", ".hidden.png", ".trash/c.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((b"" if name == "notes.txt" else PNG) + name.encode())
    return root


def look(watched: LocationScanner, known: dict[str, str], after: timedelta = LATER) -> list[ScanStep]:
    """Scan once and publish; the state includes the result."""
    steps = list(watched.scan(known, datetime.now(UTC) + after))
    for step in steps:
        if step.sent_image:
            known[step.sent_image.path] = step.sent_image.version_tag
        if step.deleted_path:
            del known[step.deleted_path]
    return steps


def revisions(steps: Sequence[ScanStep]) -> dict[str, str]:
    """The revision of each item."""
    events = [step.event for step in steps]
    return {e.item_id: e.schema_ for e in events if isinstance(e, ItemUpserted | ItemDeleted)}


def test_what_comes_changes_and_goes_in_a_folder_is_told_once(folder: Path) -> None:
    known: dict[str, str] = {}
    watched = LocationScanner(location_of(str(folder), ImageSettings()), "shop", categories=True)
    steps = look(watched, known)
    assert revisions(steps) == dict.fromkeys(["a.png", "mugs/red_mug.JPG", "mugs/old/b.webp"], "item.upserted/1")
    [mug] = [e for step in steps if isinstance(e := step.event, ItemUpserted) and e.item_id == "mugs/red_mug.JPG"]
    assert (mug.tenant, mug.title, mug.category) == ("shop", "red mug", "mugs")
    assert mug.images == (InlineImage(data=PNG + b"mugs/red_mug.JPG"),)
    assert mug.created_at is not None
    assert look(watched, known) == []
    (folder / "a.png").unlink()
    (folder / "mugs/red_mug.JPG").write_bytes(PNG + b"changed")
    (folder / "new.gif").write_bytes(PNG + b"new")
    assert revisions(look(watched, known)) == {
        "mugs/red_mug.JPG": "item.upserted/1",
        "new.gif": "item.upserted/1",
        "a.png": "item.deleted/1",
    }


def test_a_file_that_may_still_be_being_written_is_left_for_a_later_look(folder: Path) -> None:
    watched = LocationScanner(location_of(str(folder), ImageSettings()), "shop")
    assert look(watched, {}, timedelta(0)) == []
    assert len(look(watched, {}, timedelta(seconds=2))) == 3


def test_a_file_whose_time_lies_ahead_is_taken_once_it_has_not_changed_for_a_second(folder: Path) -> None:
    ahead = time.time() + 3_600
    os.utime(folder / "a.png", (ahead, ahead))
    watched, known = LocationScanner(location_of(str(folder), ImageSettings()), "shop"), dict[str, str]()
    assert "a.png" not in revisions(look(watched, known, timedelta(seconds=2)))
    assert watched.incomplete_paths == ["a.png"]
    assert revisions(look(watched, known, timedelta(seconds=4))) == {"a.png": "item.upserted/1"}
    assert watched.incomplete_paths == []


def test_one_run_takes_files_that_were_only_just_written(kafka: KafkaSettings, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.png").write_bytes(PNG + b"%d" % n)
    place, sink = location_of(str(folder), ImageSettings()), EventSink(kafka)
    with open_sync_state(tmp_path / "data", place.name, "shop") as known:
        tally = ImagePublisher(LocationScanner(place, "shop"), known, sink, Console()).scan_until_complete(
            lambda: False
        )
        assert (tally.sent, tally.bad) == (5, 0)
        assert len(known.all()) == 5


def test_one_run_says_which_files_did_not_stop_changing(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    now = datetime.now(UTC)

    def later() -> datetime:
        """A clock that advances five seconds at each call, while the file grows."""
        nonlocal now
        now += timedelta(seconds=5)
        with (folder / "a.png").open("ab") as file:
            file.write(b"more")
        os.utime(folder / "a.png", (now.timestamp(), now.timestamp()))
        return now

    place, sink = location_of(str(folder), ImageSettings()), EventSink(kafka)
    with open_sync_state(tmp_path / "data", place.name, "shop") as known:
        tally = ImagePublisher(
            LocationScanner(place, "shop"), known, sink, Console(), now=later
        ).scan_until_complete(lambda: False)
        assert (tally.sent, tally.bad) == (0, 1)
        assert known.all() == {}
    assert "a.png: it is still being written, and was left out" in capsys.readouterr().out


def test_a_folder_known_by_name_sends_paths_alone(folder: Path) -> None:
    place = location_of("shop", ImageSettings(roots={"shop": ImageRoot(path=folder)}))
    assert place.reference("mugs/old/b.webp") == FileImage(root="shop", path="mugs/old/b.webp")
    assert {each.path for each in place.pictures()} == {"a.png", "mugs/red_mug.JPG", "mugs/old/b.webp"}


def test_links_lead_out_of_no_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "away").symlink_to(tmp_path)
    (folder / "nowhere.png").symlink_to(tmp_path / "none.png")
    steps = look(LocationScanner(location_of(str(folder), ImageSettings()), "shop"), {})
    assert "away" not in str(revisions(steps))
    bad = [step.event.message for step in steps if isinstance(step.event, BadRow)]
    assert len(bad) == 1
    assert "out.png" in bad[0]


def test_a_folder_that_is_away_takes_nothing_out(folder: Path) -> None:
    watched, known = (
        LocationScanner(FolderLocation(folder / "none", lambda _: InlineImage(data=b"x")), "shop"),
        {"a": "1"},
    )
    with pytest.raises(Unavailable, match="cannot be read: no such file"):
        look(watched, known)
    full = {f"{n}.png": "1-1" for n in range(20)}
    with pytest.raises(Unavailable, match=r"20 of 20 pictures of .* are gone at once: is it mounted"):
        look(LocationScanner(location_of(str(folder), ImageSettings()), "shop"), full)
    steps = look(LocationScanner(location_of(str(folder), ImageSettings()), "shop", allow_mass_deletion=True), full)
    assert list(revisions(steps).values()).count("item.deleted/1") == 20


def test_places_that_cannot_be_watched_are_refused() -> None:
    with pytest.raises(BadInput, match="LOOKSTREAM_IMAGES_S3_BUCKETS"):
        location_of("s3://private/new", ImageSettings(s3_buckets=("shop",)))
    with pytest.raises(BadInput, match="is no folder"):
        location_of("nowhere", ImageSettings())


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Path, ImageSettings]]:
    """A real object store with the bucket `shop`: its folder, and the settings to reach it."""
    (tmp_path / "store/shop").mkdir(parents=True)
    with object_store(tmp_path / "store") as endpoint:
        yield tmp_path / "store/shop", ImageSettings(s3_endpoint=endpoint, s3_buckets=("shop",))


def test_a_prefix_of_a_bucket_is_watched_like_a_folder(bucket: tuple[Path, ImageSettings]) -> None:
    store, settings = bucket
    for name in ("new/a b.png", "new/deep/c.jpg", "new/readme.txt", "newer/d.png"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(name.encode())
    known: dict[str, str] = {}
    watched = LocationScanner(location_of("s3://shop/new", settings), "shop")
    steps = look(watched, known)
    assert set(revisions(steps)) == {"a b.png", "deep/c.jpg"}
    refs = [event.images[0] for step in steps if isinstance(event := step.event, ItemUpserted)]
    assert S3Image(bucket="shop", key="new/deep/c.jpg") in refs
    assert look(watched, known) == []
    (store / "new/a b.png").write_bytes(b"other")
    (store / "new/deep/c.jpg").unlink()
    assert revisions(look(watched, known)) == {"a b.png": "item.upserted/1", "deep/c.jpg": "item.deleted/1"}


def test_a_bucket_that_is_away_takes_nothing_out() -> None:
    settings = ImageSettings(s3_endpoint=f"http://127.0.0.1:{find_free_port(0)}", s3_buckets=("shop",))
    with pytest.raises((Unavailable, Rejected), match="s3://shop/new could not be listed"):
        look(LocationScanner(location_of("s3://shop/new", settings), "shop"), {"a.png": "1"})


def test_what_was_sent_is_known_after_a_restart_and_what_was_not_is_sent_again(
    kafka: KafkaSettings, folder: Path, tmp_path: Path
) -> None:
    def keep(stopped: bool = False) -> IngestTally:
        place, sink = location_of(str(folder), ImageSettings()), EventSink(kafka)
        with open_sync_state(tmp_path / "known", place.name, "shop") as known:
            watched, quiet = LocationScanner(place, "shop"), Console(quiet=True)
            keeper = ImagePublisher(watched, known, sink, quiet, now=lambda: datetime.now(UTC) + LATER)
            tally = keeper.scan_once(lambda: stopped)
        sink.close()
        return tally

    assert (keep(stopped=True).sent, keep().sent, keep().sent) == (0, 3, 0)
    (folder / "a.png").unlink()
    assert (keep().sent, keep().sent) == (1, 0)


def test_the_command_watches_until_ctrl_c_and_tells_of_the_bad(
    kafka: KafkaSettings, folder: Path, tmp_path: Path
) -> None:
    (folder / "empty.png").touch()
    items = TopicReader(kafka, CATALOG_ITEMS)
    environment = os.environ | environment_of(kafka)
    command = [sys.executable, "-m", "lookstream", "ingest", "pictures", str(folder), "--watch", "--every", "0.5"]
    with run_command(command, tmp_path, environment) as process:
        first = [from_bytes(record.value or b"") for record in take(items, 3)]
        (folder / "a.png").unlink()
        [record] = take(items, 1)
        process.send_signal(signal.SIGINT)
        _, output = process.communicate(timeout=30)
    items.close()
    assert {body.item_id for body in first if isinstance(body, ItemUpserted)} == {
        "a.png",
        "mugs/red_mug.JPG",
        "mugs/old/b.webp",
    }
    assert isinstance(from_bytes(record.value or b""), ItemDeleted)
    assert process.returncode == 1
    assert "empty.png: the picture is an empty file" in output
    assert "stopped by Ctrl-C: sent 4 events" in output


def take(reader: TopicReader, count: int) -> list[Record]:
    found, until = list[Record](), time.monotonic() + 90
    while len(found) < count and time.monotonic() < until:
        found += [record] if (record := reader.poll(0.2)) else []
    assert len(found) == count
    return found
