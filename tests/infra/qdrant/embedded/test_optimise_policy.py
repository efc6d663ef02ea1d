"""When the embedded index is optimised: by size, earlier when idle, and not repeatedly without effect."""

from dataclasses import replace

import pytest

from infra.qdrant.contract import IndexStatus
from infra.qdrant.embedded.optimise_policy import (
    IDLE_SECONDS,
    MAX_UNINDEXED,
    MIN_UNINDEXED,
    REQUESTED_RETRY_SECONDS,
    RETRY_SECONDS,
    OptimisePolicy,
)

STATUS = IndexStatus("encoder", size=384, live=20_000, unindexed=0, segments=2)
ENGINE_NEEDS = 6_667
"""Vectors of 384 numbers in 10,000 kB, and one more."""


@pytest.mark.parametrize(
    ("live", "unindexed", "due"),
    [
        (20_000, MIN_UNINDEXED - 1, False),
        (20_000, MIN_UNINDEXED, True),
        (200_000, 19_999, False),
        (200_000, 20_000, True),
        (5_000_000, MAX_UNINDEXED, True),
    ],
)
def test_a_busy_index_is_optimised_when_a_share_of_it_is_outside_the_graph(
    live: int, unindexed: int, due: bool
) -> None:
    assert OptimisePolicy().is_due(replace(STATUS, live=live, unindexed=unindexed), 0.0) is due


def test_a_busy_index_is_left_alone_while_the_engine_would_do_nothing() -> None:
    short = replace(STATUS, size=64, unindexed=MIN_UNINDEXED)
    assert not OptimisePolicy().is_due(short, 0.0)
    assert OptimisePolicy().is_due(replace(short, unindexed=40_001), 0.0)


def test_an_idle_index_is_optimised_as_soon_as_the_engine_would_do_something() -> None:
    for unindexed, due in ((ENGINE_NEEDS - 1, False), (ENGINE_NEEDS, True)):
        upkeep, status = OptimisePolicy(), replace(STATUS, unindexed=unindexed)
        assert not upkeep.is_due(status, 0.0)
        assert not upkeep.is_due(status, IDLE_SECONDS - 1)
        assert upkeep.is_due(status, IDLE_SECONDS) is due


def test_an_index_that_changes_is_not_idle() -> None:
    upkeep = OptimisePolicy()
    for second in range(0, 60, 5):
        assert not upkeep.is_due(replace(STATUS, unindexed=ENGINE_NEEDS + second), float(second))


def test_a_request_optimises_the_index_unless_it_is_being_optimised() -> None:
    requested = replace(STATUS, wanted=True)
    assert OptimisePolicy().is_due(requested, 0.0)
    assert not OptimisePolicy().is_due(replace(requested, optimising=True), 0.0)


def test_after_a_failure_it_is_left_for_a_while() -> None:
    upkeep, full = OptimisePolicy(), replace(STATUS, unindexed=MIN_UNINDEXED)
    assert upkeep.is_due(full, 0.0)
    upkeep.record_failure(0.0)
    assert not upkeep.is_due(full, RETRY_SECONDS - 1)
    assert upkeep.is_due(full, RETRY_SECONDS)


def test_after_a_failure_a_request_to_optimise_is_tried_again_soon() -> None:
    upkeep, requested = OptimisePolicy(), replace(STATUS, wanted=True)
    upkeep.record_failure(0.0)
    assert not upkeep.is_due(requested, REQUESTED_RETRY_SECONDS - 1)
    assert upkeep.is_due(requested, REQUESTED_RETRY_SECONDS)


def test_what_the_engine_does_not_optimise_is_not_tried_again_before_there_is_more() -> None:
    upkeep, full = OptimisePolicy(), replace(STATUS, unindexed=MIN_UNINDEXED)
    assert upkeep.is_due(full, 0.0)
    upkeep.record_nothing_to_do()
    assert not upkeep.is_due(full, 1_000.0)
    assert upkeep.is_due(replace(full, unindexed=MIN_UNINDEXED + 1), 1_001.0)
