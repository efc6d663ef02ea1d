"""Every picture seen once by the frozen backbone; what it saw is kept on disk for the next time."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consumers.quality.evaluation.embedding_store import PATIENCE_SECONDS, recipe
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.system_under_test import TrackProgress
from consumers.vision.crops import focus_on
from consumers.vision.decode import DecodeLimits, decode
from infra.encoder.runtime import Backbone, Shown
from schemas.failures import Rejected

Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

BATCH = 16
"""Pictures that are decoded side by side and looked at together."""
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
    """What the backbone saw of N pictures: two views each [N, 2, f], a studio picture's twice the same."""

    views: Halves
    studio: Mask

    @cached_property
    def features(self) -> Floats:
        """The mean over the views, [N, f]: what the encoder goes by."""
        mean: Floats = self.views.mean(axis=1, dtype=np.float32)
        return mean


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """A backbone that looks at no picture twice; for one thread, `pool` decodes."""

    backbone: Backbone
    limits: DecodeLimits
    store: sqlite3.Connection
    recipe: str
    pool: ThreadPoolExecutor

    def look_at(self, rows: Sequence[LabelledImage], track: TrackProgress) -> list[ImageFeatures | str]:
        """What is seen in each row's picture, or why nothing is."""
        batches = [rows[n : n + BATCH] for n in range(0, len(rows), BATCH)]
        return [one for batch in track(batches, "looking at pictures", len(batches)) for one in self._batch(batch)]

    def _batch(self, rows: Sequence[LabelledImage]) -> Iterator[ImageFeatures | str]:
        """In the order of the rows; pictures that are new are decoded side by side."""
        data = list(self.pool.map(lambda row: row.path.read_bytes(), rows))
        names = [sha256(picture).hexdigest() for picture in data]
        known = {name: seen for name in names if (seen := self._kept(name))}
        new = {name: picture for name, picture in zip(names, data, strict=True) if name not in known}
        shown = dict(zip(new, self.pool.map(self._prepare, new.values()), strict=True))
        refused = {name: said for name, said in shown.items() if isinstance(said, str)}
        good = {name: one for name, one in shown.items() if not isinstance(one, str)}
        fresh = dict(zip(good, self._see(list(good.values())), strict=True))
        self._keep(fresh)
        return iter([(known | fresh | refused)[name] for name in names])

    def _prepare(self, picture: bytes) -> Shown | str:
        try:
            image = decode(picture, self.limits).image
        except Rejected as failure:
            return str(failure)
        focus = focus_on(image)
        return tuple(self.backbone.prepare(image, box) for box in focus.boxes), focus.studio

    def _see(self, shown: Sequence[Shown]) -> Iterator[ImageFeatures]:
        """Each view goes through the network as a picture of its own."""
        alone = [(view,) for views, _ in shown for view in views]
        if not alone:
            return
        rows: Halves = self.backbone.features(alone).cpu().numpy().astype(np.float16)
        ends = np.cumsum([len(views) for views, _ in shown])
        for (views, studio), end in zip(shown, ends, strict=True):
            yield ImageFeatures(rows[end - len(views) : end], studio)

    def _kept(self, name: str) -> ImageFeatures | None:
        query = "SELECT studio, views FROM seen WHERE recipe = ? AND picture = ?"
        row = self.store.execute(query, (self.recipe, name)).fetchone()
        if row is None:
            return None
        size = self.backbone.object_size + self.backbone.style_size
        return ImageFeatures(np.frombuffer(row[1], np.float16).reshape(-1, size), bool(row[0]))

    def _keep(self, fresh: dict[str, ImageFeatures]) -> None:
        rows = [(self.recipe, name, int(seen.studio), seen.views.tobytes()) for name, seen in fresh.items()]
        with self.store:
            self.store.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)


@contextmanager
def open_feature_store(folder: Path, backbone: Backbone, limits: DecodeLimits) -> Iterator[FeatureStore]:
    """A gaze that keeps what it sees in a folder, where that of other backbones and older code lies untouched."""
    folder.mkdir(parents=True, exist_ok=True)
    name = recipe(f"{backbone.digest} {backbone.runtime.dtype}")
    with (
        closing(sqlite3.connect(folder / "features.sqlite", timeout=PATIENCE_SECONDS)) as store,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        store.execute(TABLE)
        yield FeatureStore(backbone, limits, store, name, pool)


def stack_features(seen: Sequence[ImageFeatures]) -> FeatureMatrix:
    """The gallery of some pictures, one at least."""
    # Copies of a view, so that every picture has two.
    views = np.stack([np.broadcast_to(one.views, (2, one.views.shape[1])) for one in seen])
    return FeatureMatrix(views, np.array([one.studio for one in seen]))
