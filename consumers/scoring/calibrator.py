"""Calibrator: measure each tenant's confidence curve while the worker is idle, and store it in the index."""

import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from consumers.scoring.arrays import pack_array, unpack_array
from consumers.scoring.calibration import MIN_POINTS, Calibration, parse_calibration
from consumers.scoring.calibration_curve import UNCALIBRATED, CalibrationCurve
from consumers.scoring.coverage import CoverageCurve
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import DEFAULT_METRIC, Metric
from consumers.scoring.metric_choice import fit_metric
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.scoring.sampling import CalibrationSampler, NullSample
from consumers.scoring.self_retrieval import SelfRetrieval
from consumers.scoring.verification import NO_VERIFICATION, Verification
from consumers.vision.embedder import EmbedImages
from consumers.vision.null_images import DRAWING_VERSION
from infra.qdrant.contract import Index
from infra.qdrant.point_ids import calibration_note
from schemas.failures import Unavailable
from schemas.ranking import Weights

__all__ = ["MIN_POINTS", "UNCALIBRATED", "CalibrationCurve", "Calibrator"]

NULL_NOTE = f"nulls:{DRAWING_VERSION}"
DEFAULT_NULLS = NullEmbeddings()
CALIBRATION_TTL_SECONDS, MISSING_TTL_SECONDS = 10.0, 1.0
"""Cache lifetimes of a calibration and of a missing one; they expire because other workers calibrate as well."""
SEARCH_SYNC_POINTS, ITEM_SYNC_POINTS = 500, sys.maxsize
"""Values of `at_once`, the most points of a tenant for which the caller waits until it is first calibrated. SOON is
for searches, which cannot wait long, WHENEVER for items, which can. Above SOON points a recalibration never makes
the caller wait: with many points it takes seconds, during which items would wait."""
LARGE_TENANT_POINTS, GROWTH_FACTOR, LARGE_GROWTH_FACTOR = 1_000, 2.0, 1.25
"""A tenant is recalibrated when its points have doubled or halved (GROWTH_FACTOR). One that was calibrated with
LARGE_TENANT_POINTS or more is recalibrated when they have grown by LARGE_GROWTH_FACTOR or halved."""
MAX_CACHED = 1_000
"""Most tenants in the cache, and most curves of each tenant."""

Steps = Generator[None, None, None]


@dataclass
class _CachedCurve:
    """Cached calibration of a tenant, and the curves computed from it."""

    calibration: Calibration | None
    read_at: float
    is_outgrown: bool = False
    curves: dict[tuple[Weights, bool, bool], CalibrationCurve] = field(default_factory=dict)
    coverage: dict[bool, CoverageCurve | None] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        """Whether the cache entry is within its lifetime."""
        ttl = MISSING_TTL_SECONDS if self.calibration is None else CALIBRATION_TTL_SECONDS
        return time.monotonic() - self.read_at < ttl

    @property
    def is_due(self) -> bool:
        """Whether an idle worker should check if the tenant must be (re)calibrated."""
        lacks_augmented = self.calibration is None or not self.calibration.has_current_augmented
        return lacks_augmented or self.is_outgrown or not self.is_fresh

    def compare_size(self, points: int) -> None:
        """Set whether the number of points of the tenant requires a (re)calibration."""
        self.is_outgrown = _is_outgrown(self.calibration, points)


class Calibrator:
    """Confidence curves of all tenants; their calibrations are notes in the index, shared by all workers.

    The looks of the null pictures are stored as a note too. A collection belongs to one encoder, so both become
    outdated together, and only the first worker has to embed the null pictures. Not thread-safe: for one thread.
    """

    def __init__(
        self,
        index: Index,
        embed: EmbedImages,
        parts: LookParts,
        nulls: NullEmbeddings = DEFAULT_NULLS,
        at_once: int = 0,
    ) -> None:
        self.parts = parts
        self._index = index
        self._embed = embed
        self._null_embeddings = nulls
        self._at_once = at_once
        self._nulls: NullSample | None = None
        self._cache: dict[str, _CachedCurve] = {}
        self._pending_steps: Steps | None = None
        self._log = structlog.get_logger()

    def metric(self, tenant: str) -> Metric:
        """Return the metric of a tenant's collection, the default one until it is fitted. Raises Unavailable."""
        calibration = self._load(tenant).calibration
        return DEFAULT_METRIC if calibration is None else calibration.metric

    def verification(self, tenant: str) -> Verification:
        """Return whether a tenant's hits are verified. Raises Unavailable."""
        calibration = self._load(tenant).calibration
        return NO_VERIFICATION if calibration is None else calibration.verification

    def coverage(self, tenant: str, *, studio: bool) -> CoverageCurve | None:
        """Return how coverage follows from the mean score of photo or studio queries; None if it cannot be told.

        Raises Unavailable.
        """
        entry = self._load(tenant)
        if entry.calibration is None:
            return None
        if studio not in entry.coverage:
            entry.coverage[studio] = entry.calibration.coverage(studio=studio)
        return entry.coverage[studio]

    def curve(
        self, tenant: str, weights: Weights, *, studio: bool = False, metric: Metric = DEFAULT_METRIC
    ) -> CalibrationCurve:
        """Return the curve for photo or studio queries with these weights among a tenant's points.

        `metric` is that of the scores. UNCALIBRATED, which has no threshold, until the tenant is calibrated. Raises
        Unavailable when the index is unreachable.
        """
        entry = self._load(tenant)
        if entry.calibration is None:
            return UNCALIBRATED
        key = weights, studio, metric.changes_objects
        if key not in entry.curves:
            if len(entry.curves) >= MAX_CACHED:
                entry.curves.clear()
            entry.curves[key] = entry.calibration.curve(weights, studio=studio, metric=metric)
        return entry.curves[key]

    def calibrate(self, tenant: str) -> None:
        """Calibrate a tenant now, in one go; `idle` does the same step by step. Raises Unavailable."""
        for steps in (self._calibrate_steps(tenant), self._self_retrieval_steps(tenant)):
            for _ in steps:
                pass

    def idle(self) -> None:
        """Do one small step of the pending calibrations; call it when the worker has nothing else to do."""
        try:
            if self._pending_steps is None:
                self._pending_steps = self._all_steps()
            next(self._pending_steps)
        except StopIteration:
            self._pending_steps = None
        except Unavailable as error:
            self._pending_steps = None
            self._log.debug("calibration postponed", reason=str(error))

    def step_between_batches(self) -> None:
        """Do one small step between batches, for workers that are never idle; does not embed null pictures."""
        if self._load_nulls() is not None:
            self.idle()

    def _load(self, tenant: str) -> _CachedCurve:
        """Return the cache entry of a tenant; a stale one is read again, and a small tenant calibrated if due."""
        entry = self._cache.get(tenant)
        if entry is not None and entry.is_fresh:
            return entry
        entry = self._read(tenant)
        points = self._index.count(tenant)
        entry.compare_size(points)
        at_once = self._at_once if entry.calibration is None else min(self._at_once, SEARCH_SYNC_POINTS)
        if entry.is_outgrown and points <= at_once and self._load_nulls() is not None:
            for _ in self._calibrate_steps(tenant):  # self-retrieval would take seconds: that is for idle steps
                pass
        return self._cache[tenant]

    def _read(self, tenant: str) -> _CachedCurve:
        note = self._index.notes([calibration_note(tenant)]).get(calibration_note(tenant))
        if tenant not in self._cache and len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[tenant] = _CachedCurve(parse_calibration(note) if note else None, time.monotonic())
        return self._cache[tenant]

    def _all_steps(self) -> Steps:
        yield from self._embed_nulls()
        due = [name for name, entry in self._cache.items() if entry.is_due]
        for tenant in due:
            entry = self._read(tenant)
            if _is_outgrown(entry.calibration, self._index.count(tenant)):
                yield from self._calibrate_steps(tenant)
            yield from self._self_retrieval_steps(tenant)
            yield

    def _calibrate_steps(self, tenant: str) -> Steps:
        nulls = yield from self._embed_nulls()
        earlier = self._read(tenant).calibration
        present = DEFAULT_METRIC if earlier is None else earlier.metric
        metric = yield from fit_metric(self._index, self.parts, tenant, present)
        sampler = CalibrationSampler(self._index, self.parts, tenant, metric)
        calibration = yield from sampler.calibrate(nulls)
        if earlier is not None:
            calibration = replace(calibration, augmented=earlier.augmented, verification=earlier.verification)
        self._store(tenant, calibration)
        self._log.info("calibrated", tenant=tenant, points=calibration.points)

    def _self_retrieval_steps(self, tenant: str) -> Steps:
        """Search with augmented pictures of a tenant, unless its calibration has the results."""
        calibration = self._read(tenant).calibration
        if calibration is None or calibration.has_current_augmented:
            return
        sampler = CalibrationSampler(self._index, self.parts, tenant, calibration.metric)
        augmented, verification = yield from SelfRetrieval(sampler, self._embed, calibration.points).run()
        self._store(tenant, replace(calibration, augmented=augmented, verification=verification))
        self._log.info("verification chosen", tenant=tenant, choice=verification.describe())

    def _store(self, tenant: str, calibration: Calibration) -> None:
        self._index.put_note(calibration_note(tenant), calibration.note())
        self._cache[tenant] = _CachedCurve(calibration, time.monotonic())

    def _embed_nulls(self) -> Generator[None, None, NullSample]:
        """Return the looks of the null pictures from the index; if they are not there, compute and store them."""
        nulls = self._load_nulls()
        if nulls is None:
            nulls = self._nulls = yield from self._null_embeddings.embed(self._embed)
            note = {"looks": pack_array(nulls.looks), "studio": pack_array(nulls.studio)}
            self._index.put_note(NULL_NOTE, note)
        return nulls

    def _load_nulls(self) -> NullSample | None:
        if self._nulls is None and (note := self._index.notes([NULL_NOTE]).get(NULL_NOTE)):
            looks, studio = unpack_array(note["looks"]), unpack_array(note["studio"])
            self._nulls = NullSample(looks.astype(np.float32), studio.astype(np.int8))
        return self._nulls


def _is_outgrown(calibration: Calibration | None, points: int) -> bool:
    """Return whether the number of points requires a first calibration or a recalibration."""
    if calibration is None or calibration.is_outdated:
        return points >= MIN_POINTS
    growth = GROWTH_FACTOR if calibration.points < LARGE_TENANT_POINTS else LARGE_GROWTH_FACTOR
    return points >= growth * calibration.points or points * GROWTH_FACTOR <= calibration.points
