"""The record of sent pictures: any location and path, and clear errors where it cannot be used."""

import os
import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producers.image_sync.locations import ListedImage
from producers.image_sync.state_db import open_sync_state
from schemas.failures import Unavailable

NOW = datetime.now(UTC)


def image(path: str, mark: str = "1") -> ListedImage:
    return ListedImage(path, mark, NOW, 1)


def test_each_location_and_tenant_has_its_own_record_whatever_its_name(tmp_path: Path) -> None:
    names = ["/a", "/b", "/caf\udce9", "s3://shop/a", "/a\n"]
    for name in names:
        for tenant in ("ana", "bo"):
            with open_sync_state(tmp_path, name, tenant) as state:
                assert state.all() == {}
                state.note([image(f"{tenant}.jpg")], [])
    with open_sync_state(tmp_path, "/caf\udce9", "bo") as state:
        assert state.all() == {"bo.jpg": "1"}
        state.note([image("c.jpg", "2")], ["bo.jpg"])
        assert state.all() == {"c.jpg": "2"}


def test_a_file_that_is_no_database_is_named_with_the_remedy(tmp_path: Path) -> None:
    with open_sync_state(tmp_path, "/a", "ana"):
        [file] = tmp_path.iterdir()
    file.write_bytes(b"not a database" * 1_000)
    with pytest.raises(Unavailable, match="remove its folder `watched`"), open_sync_state(tmp_path, "/a", "ana"):
        pass


def test_a_full_disk_is_reported_and_earlier_records_stay(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_sync_state(tmp_path, "/a", "ana") as state:
        state.note([image("a.jpg")], [])
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(next(tmp_path.iterdir())), before[1]))
        try:
            with pytest.raises(Unavailable, match="make space"):
                state.note([image(f"{n:0100}.jpg") for n in range(1_000)], [])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert state.all() == {"a.jpg": "1"}
