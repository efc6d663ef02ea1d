"""What a collection learns by searching with its own pictures, augmented to casual photos."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.points.payload import as_int
from consumers.scoring.calibration import NO_AUGMENTED, OTHER, SAME, Calibration, parse_calibration
from consumers.scoring.calibration_curve import PRIOR_MEAN
from consumers.scoring.calibrator import ITEM_SYNC_POINTS, Calibrator
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.scoring.self_retrieval import AUGMENTED_COUNT
from consumers.vision.embedder import ImageEmbedder
from infra.qdrant.contract import Patch
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import calibration_note, point_id
from schemas.envelope import Event
from schemas.items import InlineImage, ItemUpserted
from schemas.ranking import INTENTS
from tests.consumers.conftest import Outbox, look_parts_of
from tests.consumers.vision.packages import jpeg, package

COUNT = 32
SIMILAR = INTENTS["similar"]
TINTS = {"red": (220, 60, 50), "blue": (60, 90, 220)}


def studio_picture(number: int, *, printed: bool) -> bytes:
    """A box on white, red or blue by turns, with a print of its own or plain."""
    rng = np.random.default_rng(number)
    tint = tuple(int(value) for value in np.clip(np.array(tint_of(number)[1]) + rng.integers(-30, 30, 3), 0, 255))
    box = Image.blend(package(number), Image.new("RGB", package(number).size, tint), 0.6)
    canvas = Image.new("RGB", (600, 500), "white")
    if printed:
        canvas.paste(box, (90, 90))
    else:
        ImageDraw.Draw(canvas).rectangle((90, 90, 510, 410), fill=tint)
    return jpeg(canvas)


def tint_of(number: int) -> tuple[str, tuple[int, int, int]]:
    return list(TINTS.items())[number % 2]


@pytest.fixture
def calibrator(shard: Shard, embedder: ImageEmbedder) -> Calibrator:
    return Calibrator(shard, embedder.embed, look_parts_of(embedder), nulls=NullEmbeddings(64))


@pytest.fixture
def indexer(shard: Shard, pipeline: ImagePipeline, calibrator: Calibrator, outbox: Outbox) -> ItemIndexer:
    return ItemIndexer(pipeline, shard, enrichers_of(shard, calibrator), OutcomePublisher(outbox))


def fill(indexer: ItemIndexer, *, printed: bool = True) -> None:
    items = [
        ItemUpserted(
            item_id=f"p{number}",
            revision=1,
            images=(InlineImage(data=studio_picture(number, printed=printed)),),
            category=tint_of(number)[0],
        )
        for number in range(COUNT)
    ]
    assert indexer.handle([Event(item) for item in items]) == {}


def calibration(shard: Shard) -> Calibration:
    [note] = shard.notes([calibration_note("default")]).values()
    return parse_calibration(note)


def test_studio_pictures_alone_show_what_the_scores_of_photos_mean(
    shard: Shard, calibrator: Calibrator, indexer: ItemIndexer
) -> None:
    fill(indexer)
    calibrator.calibrate("default")
    learnt = calibration(shard)
    assert list(learnt.kinds) == [1] * COUNT
    assert len(learnt.augmented.studio) == COUNT
    assert {SAME, OTHER} <= set(learnt.augmented.same.ravel().tolist())
    photos = calibrator.curve("default", SIMILAR)
    assert photos.has_threshold
    assert (photos.intercept, photos.slope) != PRIOR_MEAN


def test_keypoints_distinguish_prints_but_not_plain_boxes(
    shard: Shard, calibrator: Calibrator, indexer: ItemIndexer
) -> None:
    fill(indexer, printed=False)
    calibrator.calibrate("default")
    assert not calibrator.verification("default").is_on
    found = calibration(shard).verification
    assert found.before == found.after


def test_pictures_without_a_thumbnail_or_with_a_broken_one_are_left_out(
    shard: Shard, calibrator: Calibrator, indexer: ItemIndexer
) -> None:
    fill(indexer)
    ids = [point_id("default", f"p{number}", 0) for number in range(COUNT)]
    versions = shard.payloads(ids, ["version"])
    broken = ("not base64", "AAAA", None)
    for number, id in enumerate(ids):
        version = as_int(versions[id]["version"])
        shard.patch([Patch(id, {"version": version + 1, "thumbnail": broken[number % len(broken)]})])
    calibrator.calibrate("default")
    learnt = calibration(shard)
    assert len(learnt.augmented.studio) == 0
    assert learnt.has_current_augmented
    assert calibrator.verification("default").describe().startswith("off: not tried yet")


def test_self_retrieval_runs_in_idle_steps_and_delays_nothing(
    shard: Shard, embedder: ImageEmbedder, calibrator: Calibrator, indexer: ItemIndexer
) -> None:
    calibrator.calibrate("nobody")  # the null pictures
    fill(indexer)
    worker = Calibrator(
        shard, embedder.embed, look_parts_of(embedder), nulls=NullEmbeddings(64), at_once=ITEM_SYNC_POINTS
    )
    assert worker.curve("default", SIMILAR).has_threshold
    assert calibration(shard).augmented.points == NO_AUGMENTED.points
    steps = 0
    while not calibration(shard).has_current_augmented:
        worker.idle()
        steps += 1
        assert steps < 10 * AUGMENTED_COUNT
    assert len(calibration(shard).augmented.studio) == COUNT
