"""The simulation of the event path: it agrees with exact results of queueing theory, and with measurements."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.simulation import ServiceModel, simulate

GAPS = st.lists(st.floats(0, 0.5), min_size=1, max_size=60)
SERVICES = st.builds(
    ServiceModel,
    workers=st.integers(1, 4),
    batch=st.integers(1, 16),
    wait=st.floats(0, 0.2),
    fixed=st.floats(0, 0.3),
    each=st.floats(0.001, 0.2),
)


def test_one_record_takes_the_wait_and_its_work() -> None:
    course = simulate([3.0], ServiceModel(1, 64, 0.05, 0.1, 0.2))
    assert course.took.tolist() == pytest.approx([0.35])


def test_a_full_batch_does_not_wait() -> None:
    course = simulate([0.0, 0.0], ServiceModel(1, 2, 5.0, 0.1, 0.2))
    assert course.took.tolist() == pytest.approx([0.5, 0.5])


def test_what_comes_all_at_once_is_done_batch_after_batch() -> None:
    course = simulate(np.zeros(128), ServiceModel(1, 64, 0.05, 0.0, 0.1))
    assert sorted(set(np.round(course.took, 3))) == [6.4, 12.8]
    assert course.longest_line == 128


def test_two_workers_do_it_in_half_the_time() -> None:
    course = simulate(np.zeros(128), ServiceModel(2, 64, 0.0, 0.0, 0.1))
    assert course.took.max() == pytest.approx(6.4)


def test_more_than_can_be_done_makes_a_line_that_grows_and_less_does_not() -> None:
    service = ServiceModel(1, 16, 0.0, 0.0, 0.1)  # ten a second
    over, under = (simulate(np.arange(0, 60, 1 / rate), service) for rate in (12, 8))
    assert over.took[-50:].mean() > 4 * over.took[:50].mean()
    assert under.took[-50:].mean() < 2 * under.took[:50].mean()
    assert over.longest_line == pytest.approx(2 * 60, abs=20)


@given(GAPS, SERVICES)
def test_nothing_is_done_before_it_came_and_no_worker_does_more_than_it_can(
    gaps: list[float], service: ServiceModel
) -> None:
    came = np.cumsum(gaps)
    course = simulate(came, service)
    assert (course.took >= service.fixed + service.each - 1e-9).all()
    assert 1 <= course.longest_line <= len(came)
    busy = course.done.max() - came[0]
    assert busy * service.workers >= len(came) * service.each - 1e-9
