"""Duplicates: exact, near and similar main pictures, their groups, and pictures with known bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.indexing.duplicates import NEAR_PHOTOS, NEAR_STUDIO, SIMILAR_SCORE, verdict_of
from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions
from consumers.vision.look import Look
from consumers.vision.perceptual_hash import PerceptualHash
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import point_id
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.items import InlineImage, ItemDeleted, ItemPatched, ItemUpserted
from schemas.outcomes import ItemIndexed
from schemas.searches import Crop
from tests.consumers.indexer_harness import HashPictures, IndexerHarness, open_indexer, open_shard


@dataclass
class PosedPictures(HashPictures):
    """Embeds pictures whose bytes are `look hash`: the name of a vector, and a perceptual hash."""

    vectors: dict[str, "np.typing.NDArray[np.float32]"] = field(default_factory=dict)

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> list[Look | Failure]:
        self.looked += pictures
        return [self.look(*picture.decode().split()[:2]) for picture in pictures]

    def look(self, name: str, phash: str) -> Look:
        return Look(
            self.vectors[name], ("red",), (), None, 8, 8, phash=PerceptualHash(int(phash, 2), int(phash, 2))
        )


def look_at_angle(angle: float) -> "np.typing.NDArray[np.float32]":
    """A look whose score with `posed(0)` is cos(angle), in degrees, all parts alike."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([cos, sin, 0, 0, cos, sin, cos, sin], np.float32)


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    shard = open_shard(tmp_path)
    yield shard
    shard.close()


@pytest.fixture
def harness(shard: Shard) -> IndexerHarness:
    looks = {
        "front": look_at_angle(0),
        "again": look_at_angle(5),
        "alike": look_at_angle(20),
        "other": look_at_angle(80),
    }
    return open_indexer(shard, PosedPictures(vectors=looks))


def put(harness: IndexerHarness, item: str, *pictures: str, revision: int = 1, tenant: str = "t") -> ItemIndexed:
    """Index an item with these pictures; its outcome."""
    images = tuple(InlineImage(data=picture.encode()) for picture in pictures)
    body = ItemUpserted(tenant=tenant, item_id=item, revision=revision, source="catalog", images=images)
    assert harness.job.handle([Event(body)]) == {}
    *_, outcome = harness.outcomes()
    assert isinstance(outcome, ItemIndexed)
    return outcome


def group(harness: IndexerHarness, item: str, image: int = 0, tenant: str = "t") -> object:
    """The duplicate group of the item's points."""
    id = point_id(tenant, item, image)
    return harness.index.payloads([id], ["duplicate_group"]).get(id, {}).get("duplicate_group")


FAR = "1" * 20


@pytest.mark.parametrize(
    ("bits", "score", "verdict"),
    [
        *((bits, score, "near") for bits, score in NEAR_PHOTOS),
        (NEAR_PHOTOS[0][0] + 1, NEAR_PHOTOS[0][1], None),
        (NEAR_PHOTOS[-1][0] + 1, 1.0, "similar"),
        (0, NEAR_PHOTOS[0][1] - 0.01, None),
        (64, SIMILAR_SCORE, "similar"),
    ],
)
def test_hash_and_look_must_agree(bits: int, score: float, verdict: str | None) -> None:
    assert verdict_of(bits, score, same_bytes=False, studio=False) == verdict
    assert verdict_of(bits, score, same_bytes=True, studio=False) == "exact"


def test_studio_pictures_must_agree_in_everything() -> None:
    [(most, least)] = NEAR_STUDIO
    assert verdict_of(most, least, same_bytes=False, studio=True) == "near"
    assert verdict_of(most, least - 0.01, same_bytes=False, studio=True) == "similar"
    assert verdict_of(most + 1, least, same_bytes=False, studio=True) == "similar"


def test_an_item_without_duplicates_is_a_group_of_its_own(harness: IndexerHarness) -> None:
    assert put(harness, "a", "front 0").duplicate is None
    assert put(harness, "b", "other 0").duplicate_group == "b"
    assert (group(harness, "a"), group(harness, "b")) == ("a", "b")


def test_the_same_bytes_are_exact_duplicates_and_are_not_looked_at_again(harness: IndexerHarness) -> None:
    put(harness, "a", "front 0")
    results = put(harness, "b", "front 0")
    assert results.duplicate is not None
    assert (results.duplicate.verdict, results.duplicate.item_id, results.duplicate.bits) == ("exact", "a", 0)
    assert results.duplicate_group == group(harness, "b") == "a"
    assert harness.hash_pictures.looked == [b"front 0"]
    ids = [point_id("t", item, 0) for item in ("a", "b")]
    vectors = harness.index.vectors(ids)
    assert np.array_equal(vectors[ids[0]], vectors[ids[1]])
    payloads = harness.index.payloads(ids, ["colours", "phash", "studio", "sha256"])
    assert payloads[ids[0]] == payloads[ids[1]]


def test_a_near_duplicate_joins_the_group_of_the_one_that_was_there_first(harness: IndexerHarness) -> None:
    put(harness, "a", "front 0")
    assert put(harness, "b", "again 1").duplicate_group == "a"
    results = put(harness, "c", "front 11 in other bytes")
    assert results.duplicate is not None
    assert results.duplicate.verdict == "near"
    assert results.duplicate_group == "a"


def test_a_merely_similar_picture_is_reported_and_makes_no_group(harness: IndexerHarness) -> None:
    put(harness, "a", "front 0")
    results = put(harness, "b", f"again {FAR}")
    assert results.duplicate is not None
    assert (results.duplicate.verdict, results.duplicate.item_id) == ("similar", "a")
    assert results.duplicate.bits == len(FAR)
    assert results.duplicate_group == group(harness, "b") == "b"


def test_duplicates_in_one_batch_find_each_other_and_are_looked_at_once(harness: IndexerHarness) -> None:
    image = InlineImage(data=b"front 0")
    bodies = [ItemUpserted(tenant="t", item_id=item, revision=1, images=(image,)) for item in ("a", "b", "c")]
    assert harness.job.handle([Event(body) for body in bodies]) == {}
    assert [group(harness, item) for item in ("a", "b", "c")] == ["a", "a", "a"]
    assert harness.hash_pictures.looked == [b"front 0"]


def test_duplicates_of_other_tenants_are_never_reported(harness: IndexerHarness) -> None:
    put(harness, "a", "front 0")
    results = put(harness, "b", "front 0", tenant="elsewhere")
    assert (results.duplicate, results.duplicate_group) == (None, "b")
    assert harness.hash_pictures.looked == [b"front 0", b"front 0"]


def test_all_points_of_an_item_bear_its_group_also_those_that_stay_when_the_main_picture_changes(
    harness: IndexerHarness,
) -> None:
    put(harness, "a", "front 0")
    put(harness, "b", "other 0", "alike 0")
    assert [group(harness, "b", image) for image in (0, 1)] == ["b", "b"]
    put(harness, "b", "again 0", "alike 0", revision=2)
    assert [group(harness, "b", image) for image in (0, 1)] == ["a", "a"]
    put(harness, "b", "again 0", "front 0", revision=3)
    assert [group(harness, "b", image) for image in (0, 1)] == ["a", "a"]


def test_patches_and_replays_keep_the_group_and_change_nothing(harness: IndexerHarness) -> None:
    put(harness, "a", "front 0")
    put(harness, "b", "again 0")
    versions = harness.index.payloads([point_id("t", "b", 0)], ["version"])
    again = put(harness, "b", "again 0")
    assert again.duplicate_group == "a"
    assert harness.index.payloads([point_id("t", "b", 0)], ["version"]) == versions
    harness.job.handle(
        [Event(ItemPatched.model_validate({"tenant": "t", "item_id": "b", "revision": 2, "facts": {}}))]
    )
    assert group(harness, "b") == "a"


def test_the_group_outlives_its_first_item(harness: IndexerHarness) -> None:
    put(harness, "a", "front 0")
    put(harness, "b", "again 0")
    harness.job.handle([Event(ItemDeleted(tenant="t", item_id="a", revision=2))])
    assert group(harness, "a") is None
    assert put(harness, "c", "front 0 anew").duplicate_group == "a"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["front", "other"])), max_size=4), max_size=5
    )
)
def test_items_of_the_same_bytes_are_one_group_however_they_are_cut_into_batches(
    batches: list[list[tuple[int, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shard = open_shard(tmp_path_factory.mktemp("groups"))
    harness = open_indexer(shard, PosedPictures(vectors={"front": look_at_angle(0), "other": look_at_angle(80)}))
    groups: dict[str, str] = {}
    for batch in batches:
        fresh = {f"i{item}": look for item, look in batch if f"i{item}" not in groups}
        bodies = [
            ItemUpserted(tenant="t", item_id=item, revision=1, images=(InlineImage(data=f"{look} 0".encode()),))
            for item, look in fresh.items()
        ]
        assert harness.job.handle([Event(body) for body in bodies]) == {}
        groups |= fresh
    for look in ("front", "other"):
        items = [item for item, theirs in groups.items() if theirs == look]
        assert {group(harness, item) for item in items} == set(items[:1])
    shard.close()
