"""A failure of a maintenance task does not end the worker, unless the worker itself is broken."""

import pytest

from consumers.runtime.maintenance import RETRY_SECONDS, MaintenanceTask
from schemas.failures import Fault, Unavailable


class Step:
    """Counts its calls, and raises the configured errors."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.turns = 0

    def __call__(self) -> None:
        self.turns += 1
        if self.error is not None:
            raise self.error


class Clock:
    """Says what time it is."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_step_that_fails_is_left_out_for_a_while_and_then_tried_again() -> None:
    step, clock = Step(RuntimeError("the index is damaged, for the test")), Clock()
    idle = MaintenanceTask(step, clock)
    for _ in range(3):
        idle()
    assert step.turns == 1
    clock.seconds += RETRY_SECONDS
    idle()
    assert step.turns == 2


def test_what_is_away_is_asked_for_at_the_next_turn() -> None:
    step = Step(Unavailable("away, for the test"))
    idle = MaintenanceTask(step, Clock())
    idle()
    step.error = None
    idle()
    assert step.turns == 2


def test_a_fault_of_the_worker_ends_it() -> None:
    with pytest.raises(Fault):
        MaintenanceTask(Step(Fault("it may not read what it needs, for the test")), Clock())()
