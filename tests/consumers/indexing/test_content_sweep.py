"""The sweep of the content store: pictures with a reference stay, pictures without one are removed."""

import base64
import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from consumers.indexing.content_sweep import ContentSweep, checksums_in
from infra.fetching.content_store import LocalContentStore
from infra.qdrant.contract import Index, Point
from infra.qdrant.embedded.client import EmbeddedIndex
from infra.qdrant.embedded.shard import Shard
from schemas.failures import Unavailable

DAYS, SIZE = 10.0, 8


@dataclass
class SweepSetup:
    """A store with old pictures, and two indexes."""

    folder: Path
    store: LocalContentStore
    indexes: Sequence[Shard]
    letters: Path = field(init=False)

    def __post_init__(self) -> None:
        self.letters = self.folder / "dead-letters.jsonl"

    def put(self, data: bytes, tenant: str = "ana", days: float = DAYS + 1) -> str:
        """Put a picture so many days ago; its checksum."""
        self.store.put(tenant, data)
        checksum, moment = sha256(data).hexdigest(), time.time() - days * 86_400
        os.utime(self.folder / "pictures" / tenant / checksum[:2] / checksum, (moment, moment))
        return checksum

    def sweep(self, indexes: Sequence[Index] | None = None, *, is_dry_run: bool = False) -> set[str]:
        """Sweep once; the checksums of what was removed."""
        indexes_to_check = self.indexes if indexes is None else indexes
        sweep = ContentSweep(self.store, indexes_to_check, self.letters, DAYS, is_dry_run)
        return {picture.sha256 for part in sweep.parts() for picture in part}


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[SweepSetup]:
    with ExitStack() as stack:
        for n in (1, 2):
            (tmp_path / f"index-{n}").mkdir()
        indexes = [stack.enter_context(closing(Shard(tmp_path / f"index-{n}", 0))) for n in (1, 2)]
        for index in indexes:
            index.open("test:1", SIZE)
        yield SweepSetup(tmp_path, LocalContentStore(tmp_path / "pictures"), indexes)


def point(checksum: str, item: str = "a", tenant: str = "ana", state: str = "live") -> Point:
    payload = {"item": f"{tenant}:{item}", "item_id": item, "tenant": tenant, "n": 0, "state": state, "version": 1}
    vector = np.ones(SIZE, dtype=np.float32) if state == "live" else None
    id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant}:{item}"))
    return Point(id_, payload | {"sha256": checksum}, vector)


def test_what_nothing_refers_to_goes_and_the_young_stays(setup: SweepSetup) -> None:
    old, young = setup.put(b"old"), setup.put(b"young", days=DAYS - 1)
    assert setup.sweep() == {old}
    assert setup.store.exists("ana", young)
    assert not setup.store.exists("ana", old)
    assert setup.sweep() == set()


def test_what_a_point_of_any_generation_has_stays(setup: SweepSetup) -> None:
    first, second, none = (setup.put(data) for data in (b"1", b"2", b"3"))
    setup.indexes[0].upsert([point(first)])
    setup.indexes[1].upsert([point(second)])
    assert setup.sweep() == {none}
    assert setup.store.exists("ana", first)
    assert setup.store.exists("ana", second)


def test_a_sweep_that_asks_no_index_would_lose_pictures(setup: SweepSetup) -> None:
    """The control: only the query to the indexes saves pictures from removal."""
    checksum = setup.put(b"1")
    setup.indexes[0].upsert([point(checksum)])
    assert setup.sweep(setup.indexes[1:]) == {checksum}


def test_a_deleted_item_and_another_tenants_item_keep_no_picture(setup: SweepSetup) -> None:
    deleted, other = setup.put(b"deleted"), setup.put(b"other")
    setup.indexes[0].upsert([point(deleted, state="dead"), point(other, tenant="bo")])
    assert setup.sweep() == {deleted, other}


def test_a_picture_that_very_many_items_share_hides_no_other(setup: SweepSetup) -> None:
    """One search returns 256 points at most: here all of them have the same picture."""
    shared, single = setup.put(b"shared"), setup.put(b"single")
    setup.indexes[0].upsert([point(shared, item=f"item {n}") for n in range(600)])
    setup.indexes[0].upsert([point(single, item="another")])
    assert setup.sweep() == set()


def test_very_many_pictures_are_swept_in_small_parts(setup: SweepSetup) -> None:
    checksums = {setup.put(b"%d" % n) for n in range(300)}
    stays = sorted(checksums)[::3]
    setup.indexes[0].upsert([point(checksum, item=checksum) for checksum in stays])
    assert setup.sweep() == checksums - set(stays)
    assert {checksum for checksum in checksums if setup.store.exists("ana", checksum)} == set(stays)


def test_what_a_dead_letter_names_stays_for_its_replay(setup: SweepSetup) -> None:
    letter, none = setup.put(b"letter"), setup.put(b"none")
    event = {"item_id": "a", "images": [{"kind": "file", "root": "_content", "path": "x", "sha256": letter}]}
    value = base64.b64encode(json.dumps(event).encode()).decode()
    setup.letters.write_text("".join(json.dumps({"value": each}) + "\n" for each in (value, None)))
    assert checksums_in(setup.letters) == {letter}
    assert setup.sweep() == {none}


@pytest.mark.parametrize("line", ["{", "[]", '{"key": 1}', '{"value": 5}', '{"value": "***"}'])
def test_a_file_of_dead_letters_that_cannot_be_read_lets_nothing_go(setup: SweepSetup, line: str) -> None:
    checksum = setup.put(b"old")
    setup.letters.write_text(line + "\n")
    with pytest.raises(Unavailable, match="not a dead letter"):
        setup.sweep()
    assert setup.store.exists("ana", checksum)


def test_a_dry_run_says_what_would_go_and_removes_nothing(setup: SweepSetup) -> None:
    checksum = setup.put(b"old")
    assert setup.sweep(is_dry_run=True) == {checksum}
    assert setup.store.exists("ana", checksum)


def test_an_index_that_is_away_lets_nothing_go(setup: SweepSetup) -> None:
    checksum = setup.put(b"old")
    away = EmbeddedIndex(Path("nobody listens here"))
    with closing(away), pytest.raises(Unavailable):
        setup.sweep([*setup.indexes, away])
    assert setup.store.exists("ana", checksum)
