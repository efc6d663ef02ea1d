"""A handler made of functions, for the tests of the loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumers.runtime.ports import HandlerDefaults
from infra.kafka import Record
from schemas.envelope import Event
from schemas.failures import Failure

Handle = Callable[[Sequence[Event]], Mapping[str, Failure]]
Select = Callable[[Sequence[Event]], set[str]]


@dataclass(frozen=True)
class FunctionHandler(HandlerDefaults):
    """Calls `work` for each batch, and the others in place of the defaults."""

    work: Handle
    when_idle: Callable[[], None] | None = None
    find_done: Callable[[Record], bool] | None = None
    find_expired: Select | None = None
    find_deferred: Select | None = None
    get_ready: Callable[[Sequence[Event]], None] | None = None

    @property
    def prepares(self) -> bool:
        return self.get_ready is not None

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        return self.work(events)

    def handle_expired(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        return self.work(events)

    def idle(self) -> None:
        if self.when_idle is not None:
            self.when_idle()

    def already_processed(self, record: Record) -> bool:
        return self.find_done is not None and self.find_done(record)

    def expired_ids(self, events: Sequence[Event]) -> set[str]:
        return set() if self.find_expired is None else self.find_expired(events)

    def deferred_ids(self, events: Sequence[Event]) -> set[str]:
        return set() if self.find_deferred is None else self.find_deferred(events)

    def prepare(self, events: Sequence[Event]) -> None:
        if self.get_ready is not None:
            self.get_ready(events)
