"""Confidence: the curve from score to confidence of each tenant, measured in idle turns and kept in the index."""

import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import structlog

from consumers.scoring.calibration import (
    ENOUGH,
    UNCALIBRATED,
    Calibration,
    CalibrationCurve,
    LookParts,
    calibration_of,
    packed,
    unpacked,
)
from consumers.scoring.null_embeddings import EmbedNulls, NullEmbeddings
from consumers.scoring.sampling import CalibrationSampler, NullSample
from consumers.vision.null_images import DRAWING
from infra.qdrant.contract import Index
from schemas.failures import Unavailable
from schemas.ranking import Weights

__all__ = ["ENOUGH", "UNCALIBRATED", "CalibrationCurve", "Calibrator"]

NULL_NOTE = f"nulls:{DRAWING}"
ALL = NullEmbeddings()
FRESH_SECONDS, MISSING_SECONDS = 10.0, 1.0
"""How long a calibration is believed to be the newest, and a missing one to be missing: others measure too."""
SOON, WHENEVER = 500, sys.maxsize
"""Points up to which a tenant is first measured while whoever asks waits: a search does not wait long, an item may.
Above SOON nobody waits when it is measured again: among many points that takes seconds, in which items wait."""
SMALL, DOUBLED, GROWN = 1_000, 2.0, 1.25
"""A calibration is measured again when the points have doubled or halved; above SMALL, at GROWN."""
MOST_KEPT = 1_000
"""Tenants, and curves of each, that are remembered at most."""

Steps = Generator[None, None, None]


@dataclass
class _CachedCurve:
    """What is known of a tenant, and the curves made of it."""

    calibration: Calibration | None
    read_at: float
    is_outgrown: bool = False
    curves: dict[tuple[Weights, bool], CalibrationCurve] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        """Whether it need not be looked up again yet."""
        believed = MISSING_SECONDS if self.calibration is None else FRESH_SECONDS
        return time.monotonic() - self.read_at < believed

    @property
    def is_due(self) -> bool:
        """Whether a worker with time should look whether it must be measured."""
        return self.calibration is None or self.is_outgrown or not self.is_fresh


class Calibrator:
    """Curves for every tenant of an index; what they rest on is kept in the index as notes, for all workers.

    The looks of the null pictures are a note too: a collection belongs to one encoder, so they go out of date
    together, and only the first worker has to look at them. For one thread.
    """

    def __init__(
        self, index: Index, look_at: EmbedNulls, parts: LookParts, nulls: NullEmbeddings = ALL, at_once: int = 0
    ) -> None:
        self.parts = parts
        self._index = index
        self._look_at = look_at
        self._null_pictures = nulls
        self._at_once = at_once
        self._nulls: NullSample | None = None
        self._held: dict[str, _CachedCurve] = {}
        self._work: Steps | None = None
        self._log = structlog.get_logger()

    def curve(self, tenant: str, weights: Weights, *, studio: bool = False) -> CalibrationCurve:
        """The curve for what a photo, or a studio picture, scores under these weights among a tenant's points.

        UNCALIBRATED, which cuts nothing, until they are measured. Raises Unavailable when the index is away.
        """
        held = self._newest(tenant)
        if held.calibration is None:
            return UNCALIBRATED
        asked = weights, studio
        if asked not in held.curves:
            if len(held.curves) >= MOST_KEPT:
                held.curves.clear()
            held.curves[asked] = held.calibration.curve(weights, studio=studio)
        return held.curves[asked]

    def calibrate(self, tenant: str) -> None:
        """Measure a tenant's points now, whole; idle turns do the same step by step. Raises Unavailable."""
        for _ in self._calibrate(tenant):
            pass

    def idle(self) -> None:
        """One small step of what there is to measure: for turns in which nothing else is to be done."""
        try:
            if self._work is None:
                self._work = self._all_work()
            next(self._work)
        except StopIteration:
            self._work = None
        except Unavailable as away:
            self._work = None
            self._log.debug("cannot measure", why=str(away))

    def keep_up(self) -> None:
        """One small step between two batches, for workers that are never idle; null pictures are left to others."""
        if self._known_nulls() is not None:
            self.idle()

    def _newest(self, tenant: str) -> _CachedCurve:
        held = self._held.get(tenant)
        if held is not None and held.is_fresh:
            return held
        held = self._read(tenant)
        points = self._index.count(tenant)
        held.is_outgrown = _outgrown(held.calibration, points)
        at_once = self._at_once if held.calibration is None else min(self._at_once, SOON)
        if held.is_outgrown and points <= at_once and self._known_nulls() is not None:
            self.calibrate(tenant)
        return self._held[tenant]

    def _read(self, tenant: str) -> _CachedCurve:
        note = self._index.notes([_name(tenant)]).get(_name(tenant))
        if tenant not in self._held and len(self._held) >= MOST_KEPT:
            self._held.clear()
        self._held[tenant] = _CachedCurve(calibration_of(note) if note else None, time.monotonic())
        return self._held[tenant]

    def _all_work(self) -> Steps:
        yield from self._look_at_nulls()
        due = [name for name, held in self._held.items() if held.is_due]
        for tenant in due:
            held = self._read(tenant)
            if _outgrown(held.calibration, self._index.count(tenant)):
                yield from self._calibrate(tenant)
            yield

    def _calibrate(self, tenant: str) -> Steps:
        nulls = yield from self._look_at_nulls()
        calibration = yield from CalibrationSampler(self._index, self.parts, tenant).calibration(nulls)
        self._index.take_note(_name(tenant), calibration.note())
        self._held[tenant] = _CachedCurve(calibration, time.monotonic())
        self._log.info("calibrated", tenant=tenant, points=calibration.points)

    def _look_at_nulls(self) -> Generator[None, None, NullSample]:
        """The looks of the null pictures: the index's, or else it looks at them bit by bit."""
        known = self._known_nulls()
        if known is None:
            known = self._nulls = yield from self._null_pictures.looks(self._look_at)
            self._index.take_note(NULL_NOTE, {"looks": packed(known.looks), "studio": packed(known.studio)})
        return known

    def _known_nulls(self) -> NullSample | None:
        if self._nulls is None and (note := self._index.notes([NULL_NOTE]).get(NULL_NOTE)):
            looks, studio = unpacked(note["looks"]), unpacked(note["studio"])
            self._nulls = NullSample(looks.astype(np.float32), studio.astype(np.int8))
        return self._nulls


def _name(tenant: str) -> str:
    return f"confidence:{tenant}"


def _outgrown(calibration: Calibration | None, points: int) -> bool:
    """Whether so much has come or gone since that it must be measured (again)."""
    if calibration is None:
        return points >= ENOUGH
    grown = DOUBLED if calibration.points < SMALL else GROWN
    return points >= grown * calibration.points or points * DOUBLED <= calibration.points
