"""Backfill task: copies items from the serving generation into the next one between batches.

It also decides which generation reports the outcome of an event.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.backfill import Backfill
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.points.progress import has_reached, target_offsets
from consumers.runtime.ports import Sink
from consumers.runtime.retry_headers import read_origin
from consumers.scoring.calibrator import ITEM_SYNC_POINTS
from consumers.workers.resources import IndexContext, make_calibrator
from infra.config.settings import Settings
from infra.kafka import Partition, Record
from infra.qdrant.connect import connect, connect_register
from infra.qdrant.generations import Generation, GenerationRegister, resolve_generation
from schemas.failures import Unavailable


@dataclass(frozen=True)
class GenerationOwnership:
    """Decides for which events the worker of a generation reports outcomes: those of the time in which it serves.

    Both generations handle every event, and each event must have exactly one outcome. So success and failure are
    both decided by the timestamp of the record with which the event first came. A retry is a new record, whose
    timestamp may lie on the other side of a cut-over, and `ce_time` is whatever the producer wrote.
    """

    register: GenerationRegister
    number: int

    def reports_outcomes(self, time: datetime) -> bool:
        """Whether this generation publishes the outcome of an event with this `Event.time`."""
        return self.register.read().reports_outcomes(self.number, time.timestamp())

    def owns_failures(self, record: Record) -> bool:
        """Whether this generation sends the record to a retry or dead-letter topic when it fails."""
        origin = read_origin(record, datetime.now(UTC))
        return self.register.read().reports_outcomes(self.number, origin.timestamp_ms / 1000)

    @property
    def generation(self) -> Generation:
        """The generation as the register has it; raises Unavailable when it does not exist any more."""
        return self.register.read().of(resolve_generation(self.register, self.number))


def open_ownership(settings: Settings, number: int | None) -> GenerationOwnership:
    """Return the ownership of a generation; of the serving one if `number` is None."""
    register = connect_register(settings)
    return GenerationOwnership(register, resolve_generation(register, number))


@dataclass(eq=False)
class BackfillTask:
    """Fills the index of the next generation from the serving one, until the next one serves."""

    context: IndexContext
    ownership: GenerationOwnership
    pipeline: ImagePipeline
    sink: Sink
    stack: ExitStack
    _source: int | None = field(default=None, init=False)
    _target_offsets: dict[Partition, int] = field(default_factory=dict, init=False)
    """Offsets up to which the topics must be read first: their events bring items with their pictures."""

    def step(self) -> None:
        """Do one small step between batches; a step that raised Unavailable is tried again next time."""
        try:
            serving = self.ownership.register.read().serving.number
            if serving == self.ownership.number:
                return
            if serving != self._source:
                self._open_source(serving)
            self._calibrator.idle()  # embeds the null pictures: no query worker searches here yet
            if self._target_offsets and has_reached(self._target_offsets, self.context.index):
                self._target_offsets = {}
            if not self._target_offsets:
                self._backfill.step()
        except Unavailable as error:  # must not make the loop repeat a finished batch
            structlog.get_logger().debug("backfill step postponed", reason=str(error))

    def _open_source(self, serving: int) -> None:
        source = connect(self.context.settings, serving)
        self.stack.callback(source.close)
        self._target_offsets = target_offsets(source, self.context.kafka)
        self._calibrator = make_calibrator(self.context, ITEM_SYNC_POINTS)
        enrichers = enrichers_of(self.context.index, self._calibrator)
        items = ItemIndexer(self.pipeline, self.context.index, enrichers, OutcomePublisher(self.sink))
        self._backfill, self._source = Backfill(source, self.context.index, self.pipeline, items), serving
