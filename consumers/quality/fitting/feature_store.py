"""Feature store: runs every picture through the frozen backbone once, and caches its features on disk (SQLite)."""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from consumers.quality.evaluation.embedding_store import LOCK_TIMEOUT_SECONDS, cache_key
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.vision.crops import select_views
from infra.array_types import Floats, Halves, Mask
from infra.cores import available_cores
from infra.encoder import PreparedViews
from infra.encoder.backbone import Backbone
from infra.images.decode import DecodeLimits, decode
from schemas.failures import Rejected

BATCH = 16
"""Pictures that are decoded in parallel and go through the backbone as one batch."""
TABLE = """CREATE TABLE IF NOT EXISTS seen (
    recipe TEXT, picture TEXT, studio INTEGER, views BLOB, PRIMARY KEY (recipe, picture)
) WITHOUT ROWID"""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """The features of each view of one picture, [1 or 2, f], and whether it is a studio picture."""

    views: Halves
    studio: bool


@dataclass(frozen=True, eq=False)
class FeatureMatrix:
    """The features of N pictures: two views each, [N, 2, f]; both views of a studio picture are the same."""

    views: Halves
    studio: Mask

    @cached_property
    def features(self) -> Floats:
        """The mean over the views, [N, f], which is what the encoder projects."""
        mean: Floats = self.views.mean(axis=1, dtype=np.float32)
        return mean


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """A backbone with a cache of its features; for use by one thread, while `pool` decodes pictures."""

    backbone: Backbone
    limits: DecodeLimits
    database: sqlite3.Connection
    cache_key: str
    pool: ThreadPoolExecutor

    def extract(self, rows: Sequence[LabelledImage], track: TrackProgress) -> list[ImageFeatures | str]:
        """The features of each row's picture, or the reason why it has none."""
        batches = [rows[n : n + BATCH] for n in range(0, len(rows), BATCH)]
        return [
            features
            for batch in track(batches, "looking at pictures", len(batches))
            for features in self._extract_batch(batch)
        ]

    def _extract_batch(self, rows: Sequence[LabelledImage]) -> Iterator[ImageFeatures | str]:
        """In the order of the rows; pictures that are not in the cache are decoded in parallel."""
        data = list(self.pool.map(lambda row: row.path.read_bytes(), rows))
        digests = [sha256(picture).hexdigest() for picture in data]
        cached = {digest: features for digest in digests if (features := self._load(digest))}
        missing = {digest: picture for digest, picture in zip(digests, data, strict=True) if digest not in cached}
        prepared = dict(zip(missing, self.pool.map(self._prepare, missing.values()), strict=True))
        rejected = {digest: reason for digest, reason in prepared.items() if isinstance(reason, str)}
        inputs = {digest: views for digest, views in prepared.items() if not isinstance(views, str)}
        computed = dict(zip(inputs, self._run_backbone(list(inputs.values())), strict=True))
        self._save(computed)
        return iter([(cached | computed | rejected)[digest] for digest in digests])

    def _prepare(self, picture: bytes) -> PreparedViews | str:
        try:
            image = decode(picture, self.limits).image
        except Rejected as failure:
            return str(failure)
        focus = select_views(image)
        return tuple(self.backbone.prepare(image, box) for box in focus.boxes), focus.studio

    def _run_backbone(self, inputs: Sequence[PreparedViews]) -> Iterator[ImageFeatures]:
        """Each view goes through the backbone as a separate picture."""
        single_views = [(view,) for views, _ in inputs for view in views]
        if not single_views:
            return
        rows: Halves = self.backbone.features(single_views).astype(np.float16)
        ends = np.cumsum([len(views) for views, _ in inputs])
        for (views, studio), end in zip(inputs, ends, strict=True):
            yield ImageFeatures(rows[end - len(views) : end], studio)

    def _load(self, digest: str) -> ImageFeatures | None:
        query = "SELECT studio, views FROM seen WHERE recipe = ? AND picture = ?"
        row = self.database.execute(query, (self.cache_key, digest)).fetchone()
        if row is None:
            return None
        size = self.backbone.object_size + self.backbone.style_size
        return ImageFeatures(np.frombuffer(row[1], np.float16).reshape(-1, size), bool(row[0]))

    def _save(self, computed: dict[str, ImageFeatures]) -> None:
        rows = [
            (self.cache_key, digest, int(features.studio), features.views.tobytes())
            for digest, features in computed.items()
        ]
        with self.database:
            self.database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)


@contextmanager
def open_feature_store(folder: Path, backbone: Backbone, limits: DecodeLimits) -> Iterator[FeatureStore]:
    """A feature store with its cache in `folder`; entries of other backbones or of older code are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    key = cache_key(f"{backbone.digest} {backbone.precision}")
    with (
        closing(sqlite3.connect(folder / "features.sqlite", timeout=LOCK_TIMEOUT_SECONDS)) as database,
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        database.execute(TABLE)
        yield FeatureStore(backbone, limits, database, key, pool)


def stack_features(images: Sequence[ImageFeatures]) -> FeatureMatrix:
    """The features of several pictures, at least one, as one matrix."""
    # The only view of a studio picture is repeated, so that every picture has two.
    views = np.stack([np.broadcast_to(image.views, (2, image.views.shape[1])) for image in images])
    return FeatureMatrix(views, np.array([image.studio for image in images]))
