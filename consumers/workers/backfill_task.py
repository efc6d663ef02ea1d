"""Backfill: copies items from the serving generation into the next; and which of the two answers for an event."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.backfill import Backfill
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.judges import enrichers_of
from consumers.points.progress import goal_of, has_come_to
from consumers.runtime.ports import Sink
from consumers.runtime.retry_headers import origin_of
from consumers.scoring.calibrator import WHENEVER
from consumers.workers.resources import IndexContext, confidence_of
from infra.config.settings import Settings
from infra.kafka import Partition, Record
from infra.qdrant.connect import connect, generations_of
from infra.qdrant.generations import Generation, GenerationRegister, chosen
from schemas.failures import Unavailable


@dataclass(frozen=True)
class GenerationOwnership:
    """The events for which the worker of this generation answers: those of the times at which its index serves.

    Both generations handle every event; each event must come to one outcome. So success and failure go by one and
    the same time, that of the record with which the event came: a retry is a record of its own, with a time that
    may lie on the other side of a cut-over, and `ce_time` is whatever a producer wrote there.
    """

    register: GenerationRegister
    number: int

    def reports_outcomes(self, time: datetime) -> bool:
        """Whether it publishes what became of an event of this time, `Event.time`."""
        return self.register.read().tells(self.number, time.timestamp())

    def owns_failures(self, record: Record) -> bool:
        """Whether it sends this record on when it fails, to a retry or dead-letter topic."""
        origin = origin_of(record, datetime.now(UTC))
        return self.register.read().tells(self.number, origin.timestamp_ms / 1000)

    @property
    def generation(self) -> Generation:
        """Its generation as it is written down; raises Unavailable when it is not there any more."""
        return self.register.read().of(chosen(self.register, self.number))


def ownership_of(settings: Settings, number: int | None) -> GenerationOwnership:
    """The events for which the worker of a generation answers, or that of the one that serves now."""
    register = generations_of(settings)
    return GenerationOwnership(register, chosen(register, number))


@dataclass(eq=False)
class BackfillTask:
    """Fills the shop's index from the one that serves, for as long as it does not serve itself."""

    context: IndexContext
    ownership: GenerationOwnership
    sight: ImagePipeline
    sink: Sink
    stack: ExitStack
    _source: int | None = field(default=None, init=False)
    _goal: dict[Partition, int] = field(default_factory=dict, init=False)
    """How far the topics must have been read first: what they hold comes with its pictures."""

    def step(self) -> None:
        """A small step between batches. What is away is tried again at the next one."""
        try:
            serving = self.ownership.register.read().serving.number
            if serving == self.ownership.number:
                return
            if serving != self._source:
                self._begin(serving)
            self._confidence.idle()  # the null pictures: nobody else looks at them while nobody searches here
            if self._goal and has_come_to(self._goal, self.context.index):
                self._goal = {}
            if not self._goal:
                self._refill.step()
        except Unavailable as away:  # a batch that is done must not be done again for this
            structlog.get_logger().debug("cannot fill", why=str(away))

    def _begin(self, serving: int) -> None:
        source = connect(self.context.settings, serving)
        self.stack.callback(source.close)
        self._goal = goal_of(source, self.context.kafka)
        self._confidence = confidence_of(self.context, WHENEVER)
        judges = enrichers_of(self.context.index, self._confidence)
        items = ItemIndexer(self.sight, self.context.index, judges, self.sink)
        self._refill, self._source = Backfill(source, self.context.index, self.sight, items), serving
