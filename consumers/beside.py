"""Beside: what the index worker of a generation leaves to that of the other one, and how it catches up with it."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from consumers.confidence import WHENEVER
from consumers.freshness import goal_of, has_come_to
from consumers.index import IndexItems
from consumers.judges import judges_of
from consumers.refill import Refill
from consumers.runtime.ports import Sink
from consumers.shop import Shop, confidence_of
from consumers.sight import Sight
from infra.generations import Generation, Register, chosen
from infra.kafka import Partition, Record
from infra.qdrant.connect import connect, generations_of
from infra.settings import Settings
from schemas.failures import Unavailable


@dataclass(frozen=True)
class Mine:
    """What is for the worker of this generation to tell: the events of the times at which its index serves."""

    register: Register
    number: int

    def tells(self, moment: datetime) -> bool:
        """Whether it tells what became of an event of this time."""
        return self.register.read().tells(self.number, moment.timestamp())

    def settles(self, record: Record) -> bool:
        """Whether it sends this record on when it fails."""
        return self.register.read().tells(self.number, record.timestamp_ms / 1000)

    @property
    def generation(self) -> Generation:
        """Its generation as it is written down; raises Unavailable when it is not there any more."""
        return self.register.read().of(chosen(self.register, self.number))


def mine_of(settings: Settings, number: int | None) -> Mine:
    """What is for the worker of a generation, or of the one that serves now, to tell."""
    register = generations_of(settings)
    return Mine(register, chosen(register, number))


@dataclass(eq=False)
class Filling:
    """Fills the shop's index from the one that serves, for as long as it does not serve itself."""

    shop: Shop
    mine: Mine
    sight: Sight
    sink: Sink
    stack: ExitStack
    _source: int | None = field(default=None, init=False)
    _goal: dict[Partition, int] = field(default_factory=dict, init=False)
    """How far the topics must have been read first: what they hold comes with its pictures."""

    def step(self) -> None:
        """A small step between batches. What is away is tried again at the next one."""
        try:
            serving = self.mine.register.read().serving.number
            if serving == self.mine.number:
                return
            if serving != self._source:
                self._begin(serving)
            self._confidence.idle()  # the null pictures: nobody else looks at them while nobody searches here
            if self._goal and has_come_to(self._goal, self.shop.index):
                self._goal = {}
            if not self._goal:
                self._refill.step()
        except Unavailable as away:  # a batch that is done must not be done again for this
            structlog.get_logger().debug("cannot fill", why=str(away))

    def _begin(self, serving: int) -> None:
        source = connect(self.shop.settings, serving)
        self.stack.callback(source.close)
        self._goal = goal_of(source, self.shop.kafka)
        self._confidence = confidence_of(self.shop, WHENEVER)
        judges = judges_of(self.shop.index, self._confidence)
        items = IndexItems(self.sight, self.shop.index, judges, self.sink)
        self._refill, self._source = Refill(source, self.shop.index, self.sight, items), serving
