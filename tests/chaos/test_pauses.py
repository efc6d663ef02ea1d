"""The check of pauses: which are late, and the limit for two moves together."""

import pytest

from tests.chaos.answer_log import Answer, AnswerLog
from tests.chaos.fleet import ENDED, KILLED, STOPPED, Move
from tests.chaos.pauses import Pause, judge_pauses, pauses_of
from tests.chaos.scenario import Report

SESSION_SECONDS = 6.0


def longest_pause(seconds: float, *moves: Move) -> Pause:
    """The one pause of a log whose answers come every tenth of a second, but for so many seconds from 100.0 on."""
    times = [time for time in (90 + n / 10 for n in range(600)) if not 100.0 < time < 100.0 + seconds]
    log = AnswerLog(1, {f"q{n}": 90 + n / 10 for n in range(600)})
    log.answers = {f"q{n}": [Answer("ok", time)] for n, time in enumerate(times)}
    [pause] = pauses_of(log, moves, SESSION_SECONDS)
    return pause


@pytest.mark.parametrize(("what", "limit"), [(ENDED, 2.0), (KILLED, 8.0), (STOPPED, 8.0)])
def test_a_pause_is_late_when_the_time_of_its_departure_is_over(what: str, limit: float) -> None:
    move = Move(what, "q0", 100.0)
    assert not longest_pause(limit - 0.1, move).is_late
    assert longest_pause(limit + 0.2, move).is_late


def test_a_pause_is_late_when_nobody_departed() -> None:
    assert longest_pause(2.2).is_late


def test_departures_that_overlap_are_noticed_one_after_the_other() -> None:
    killed, stopped = Move(KILLED, "q0", 100.0), Move(STOPPED, "q1", 104.0)
    assert not longest_pause(15.9, killed, stopped).is_late
    assert longest_pause(16.2, killed, stopped).is_late


def test_a_departure_whose_time_is_over_allows_nothing() -> None:
    assert longest_pause(2.2, Move(KILLED, "q0", 91.9)).is_late


def test_a_late_pause_breaks_the_promise_and_is_described() -> None:
    report = Report()
    judge_pauses(report, [longest_pause(9.0, Move(KILLED, "q0", 100.0))], is_timed=True)
    assert not report.holds
    assert report.figures["which pauses"] == "9.0 s, 1.0 too long (killed q0)"
