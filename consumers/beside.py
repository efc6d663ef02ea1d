"""Beside: what the index worker of a generation leaves to that of the other one, and how it catches up with it."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

import structlog

from consumers.confidence import WHENEVER
from consumers.freshness import goal_of, has_come_to
from consumers.index import IndexItems
from consumers.judges import judges_of
from consumers.refill import Refill
from consumers.shop import Shop, confidence_of, generations_of
from consumers.sight import Sight
from consumers.worker import Sink
from infra.generations import Generation, Register
from infra.kafka import Record
from infra.qdrant.connect import connect
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
        """Its generation as it is written down; raises KeyError when it was dropped."""
        return self.register.read().of(self.number)


def mine_of(settings: Settings, number: int | None) -> Mine:
    """What is for the worker of a generation, or of the one that serves now, to tell."""
    register = generations_of(settings)
    return Mine(register, number or register.read().serving.number)


def nothing() -> None:
    """For workers whose index serves: there is none to catch up with."""


def filling(shop: Shop, mine: Mine, sight: Sight, sink: Sink, stack: ExitStack) -> Callable[[], None]:
    """A step of filling the shop's index from the one that serves; nothing to do when it serves itself.

    What the topics hold comes first, since it comes with its pictures.
    """
    serving = mine.register.read().serving
    if serving.number == mine.number:
        return nothing
    source = connect(shop.settings, serving.number)
    stack.callback(source.close)
    confidence = confidence_of(shop, WHENEVER)
    items = IndexItems(sight, shop.index, judges_of(shop.index, confidence), sink)
    refill = Refill(source, shop.index, sight, items)

    goal = goal_of(source, shop.kafka)
    topics_first = [True]

    def step() -> None:
        try:
            confidence.idle()  # the null pictures: nobody else looks at them while the index is not searched
            if topics_first and has_come_to(goal, shop.index, shop.kafka):
                topics_first.clear()
            if not topics_first:
                refill.step()
        except Unavailable as away:  # a batch that is done must not be done again for this
            structlog.get_logger().debug("cannot fill", why=str(away))

    return step
