"""The contract of content stores: one suite for a folder and for a bucket of a real object store."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from infra.config.images import ImageSettings
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.fetching.bucket_content_store import open_bucket_store
from infra.fetching.content_store import (
    ContentStore,
    LocalContentStore,
    StoredPicture,
    move_images,
    open_content_store,
)
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.local_files import for_tenant
from schemas.failures import Code, Rejected
from schemas.items import FileImage, ImageRef, InlineImage, ItemUpserted, S3Image, UrlImage
from tests.conftest import draw_disc
from tests.object_store import object_store

RED, BLUE = draw_disc("#cc2222"), draw_disc("#2255cc")
NOW = datetime.now(UTC) + timedelta(hours=1)
"""After all that these tests put."""


@dataclass
class StoreUnderTest:
    """A store, the settings of those who read from it, and the folder that its files are in."""

    store: ContentStore
    images: ImageSettings
    files: Path

    def fetch(self, ref: ImageRef, tenant: str) -> object:
        with closing(ImageFetcher(self.images, content=self.files)) as fetcher:
            return fetcher.fetch(for_tenant(ref, tenant))

    def age(self, tenant: str, picture: bytes, days: float) -> None:
        """Let a picture be put so long ago."""
        checksum = sha256(picture).hexdigest()
        moment = time.time() - days * 86_400
        os.utime(self.files / tenant / checksum[:2] / checksum, (moment, moment))

    def not_put_for(self, days: float) -> list[StoredPicture]:
        moment = datetime.now(UTC) - timedelta(days=days)
        return [picture for part in self.store.not_put_since(moment) for picture in part]


@pytest.fixture(params=["folder", "bucket", "prefix"])
def under_test(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreUnderTest]:
    if request.param == "folder":
        yield StoreUnderTest(LocalContentStore(tmp_path / "pictures"), ImageSettings(), tmp_path / "pictures")
        return
    (tmp_path / "shop-pictures").mkdir()
    prefix = "" if request.param == "bucket" else "/keep/here"
    with object_store(tmp_path) as endpoint:
        settings = ImageSettings(s3_endpoint=endpoint, content_bucket=f"shop-pictures{prefix}", content_days=10)
        yield StoreUnderTest(open_bucket_store(settings), settings, tmp_path / f"shop-pictures{prefix}")


def checksum_of(picture: bytes) -> str:
    return sha256(picture).hexdigest()


def test_a_picture_is_read_by_the_reference_that_its_put_has_returned(under_test: StoreUnderTest) -> None:
    ref = under_test.store.put("ana", RED)
    assert not isinstance(ref, InlineImage)
    assert ref.sha256 == checksum_of(RED)
    assert under_test.fetch(ref, "ana") == RED
    assert under_test.store.exists("ana", checksum_of(RED))
    assert not under_test.store.exists("ana", checksum_of(BLUE))


def test_the_same_picture_is_kept_once_for_a_tenant(under_test: StoreUnderTest) -> None:
    assert under_test.store.put("ana", RED) == under_test.store.put("ana", RED)
    under_test.store.put("bo", RED)
    found = [picture for part in under_test.store.not_put_since(NOW) for picture in part]
    assert sorted((each.tenant, each.sha256, each.size) for each in found) == [
        ("ana", checksum_of(RED), len(RED)),
        ("bo", checksum_of(RED), len(RED)),
    ]


def test_no_tenant_reads_what_is_another_ones(under_test: StoreUnderTest) -> None:
    ref = under_test.store.put("ana", RED)
    under_test.store.put("bo", BLUE)
    for tenant in ("bo", "default", "an", "ana.b"):
        assert isinstance(under_test.fetch(ref, tenant), Rejected), tenant
    checksum = checksum_of(RED)
    for name in (f"../ana/{checksum[:2]}/{checksum}", f"bo/../ana/{checksum[:2]}/{checksum}"):
        crossing: ImageRef = FileImage(root="_content", path=name)
        if isinstance(ref, S3Image):
            crossing = S3Image(bucket=ref.bucket, key=ref.key.replace(f"ana/{checksum[:2]}/{checksum}", name))
        assert isinstance(under_test.fetch(crossing, "bo"), Rejected), name


def test_a_picture_that_was_put_again_is_young(under_test: StoreUnderTest) -> None:
    under_test.store.put("ana", RED)
    under_test.store.put("ana", BLUE)
    for picture in (RED, BLUE):
        under_test.age("ana", picture, 12)
    assert len(under_test.not_put_for(10)) == 2
    under_test.store.put("ana", RED)
    assert [each.sha256 for each in under_test.not_put_for(10)] == [checksum_of(BLUE)]


def test_a_picture_is_removed_unless_it_was_put_since(under_test: StoreUnderTest) -> None:
    ref = under_test.store.put("ana", RED)
    under_test.age("ana", RED, 12)
    [picture] = under_test.not_put_for(10)
    moment = datetime.now(UTC) - timedelta(days=10)
    under_test.store.put("ana", RED)
    assert not under_test.store.remove(picture, moment)
    assert under_test.fetch(ref, "ana") == RED
    under_test.age("ana", RED, 12)
    assert under_test.store.remove(picture, moment)
    assert not under_test.store.remove(picture, moment)
    found = under_test.fetch(ref, "ana")
    assert getattr(found, "code", None) is Code.IMAGE_MISSING, found
    assert under_test.store.put("ana", RED) == ref
    assert under_test.fetch(ref, "ana") == RED


def test_the_inline_pictures_of_an_item_move_and_the_others_stay(under_test: StoreUnderTest) -> None:
    url = UrlImage(url="https://shop.example/a.png")
    images = (InlineImage(data=RED), url, InlineImage(data=BLUE))
    item = move_images(ItemUpserted(tenant="ana", item_id="a", revision=1, images=images), under_test.store)
    assert [under_test.fetch(item.images[n], "ana") for n in (0, 2)] == [RED, BLUE]
    assert item.images[1] == url


FEW_TURNS, MANY_TURNS = 200, 100_000
"""Turns of putting a picture while a sweep runs; more, until the sweep has removed it once."""


def test_a_picture_that_was_put_is_there_whatever_a_sweep_does_meanwhile(tmp_path: Path) -> None:
    store, end = LocalContentStore(tmp_path), threading.Event()
    picture = StoredPicture("ana", checksum_of(RED), len(RED))
    removed = list[bool]()

    def sweep() -> None:
        while not end.is_set():
            removed.append(store.remove(picture, datetime.now(UTC) - timedelta(milliseconds=200)))

    store.put("ana", BLUE)
    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        path = tmp_path / "ana" / picture.sha256[:2] / picture.sha256
        for turn in range(MANY_TURNS):
            with suppress(FileNotFoundError):
                os.utime(path, (0, 0))  # it may be removed at once
            store.put("ana", RED)
            assert store.exists("ana", picture.sha256)
            if turn >= FEW_TURNS and any(removed):
                break
    finally:
        end.set()
        sweeper.join()
    assert any(removed), "the sweep has removed nothing, so nothing was tried"


def test_one_function_says_where_pictures_go(tmp_path: Path) -> None:
    local = Settings(data=tmp_path, kafka=KafkaSettings(), images=ImageSettings())
    assert isinstance(open_content_store(local), LocalContentStore)
    remote = local.model_copy(update={"kafka": KafkaSettings(bootstrap="kafka.example:9092")})
    assert open_content_store(remote) is None
    named = remote.model_copy(update={"images": ImageSettings(content_bucket="shop/pictures")})
    assert type(open_content_store(named)).__name__ == "BucketContentStore"
