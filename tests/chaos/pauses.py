"""How long searches pause while workers depart and arrive, and how long they may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.answer_log import AnswerLog
from tests.chaos.fleet import ENDED, HARD, Move
from tests.chaos.scenario import Report

POLITE_SECONDS = 2.0
"""After a polite departure, and in any rebalance, the next answer of each partition comes within this."""
DETECTED_SECONDS = 2.0
"""After a hard departure it comes within the session timeout and this."""
NOTED_SECONDS = 0.5
"""Shorter pauses are not listed."""


@dataclass(frozen=True)
class Pause:
    """A time in which no answer of a partition came."""

    partition: int
    start: float
    """When the answer before it came, in seconds since 1970."""
    end: float
    limit: float
    """When it must be over."""
    departures: tuple[Move, ...]
    """Those whose effect may last until then: that a worker is gone may not have been noticed yet."""

    @property
    def seconds(self) -> float:
        """How long it is, from its departure on where there is just one in it."""
        return self.end - max([self.start, *(move.at for move in self.departures if len(self.departures) == 1)])

    @property
    def is_late(self) -> bool:
        """Whether it lasts for longer than promised."""
        return self.end > self.limit


def pauses_of(log: AnswerLog, moves: Sequence[Move], session_seconds: float) -> list[Pause]:
    """The pauses between a partition's first answer and the last search that is sent, the longest first."""
    limits = {ENDED: POLITE_SECONDS, **dict.fromkeys(HARD, session_seconds + DETECTED_SECONDS)}
    departures = sorted((move for move in moves if move.what in limits), key=lambda move: move.at)
    last_sent = max(log.sent.values(), default=0.0)
    found = [
        _pause(partition, start, end, departures, limits)
        for partition in range(log.partitions)
        for start, end in pairwise(log.answer_times(partition))
        if start < last_sent and end - start >= NOTED_SECONDS
    ]
    return sorted(found, key=lambda pause: pause.seconds, reverse=True)


def _pause(
    partition: int, start: float, end: float, departures: Sequence[Move], limits: Mapping[str, float]
) -> Pause:
    """A pause with its limit: departures that overlap are noticed one after the other.

    Before the group has noticed that a worker is gone it can give its partitions to nobody, and may give it more.
    A worker that departs while the group waits for another to rejoin has its whole session from the end of that
    wait on (Kafka 4.4, GroupMetadataManager: the session timers of all members are set when the join phase ends).
    """
    concerned = tuple(move for move in departures if move.at < end and move.at + limits[move.what] > start)
    limit = 0.0
    for move in concerned:
        limit = max(limit, move.at) + limits[move.what]
    return Pause(partition, start, end, max(limit, start + POLITE_SECONDS), concerned)


def judge_pauses(report: Report, pauses: Sequence[Pause], *, is_timed: bool) -> None:
    """Note how long searches paused and, if that is judged, whether they did for longer than promised."""
    for what in (ENDED, *HARD):
        alone = [pause for pause in pauses if [move.what for move in pause.departures] == [what]]
        _note(report, f"one worker {what}", alone)
    _note(report, "departures that overlap", [pause for pause in pauses if len(pause.departures) > 1])
    _note(report, "arrivals alone", [pause for pause in pauses if not pause.departures])
    late = [pause for pause in pauses if pause.is_late]
    report.figures["pauses that were too long"] = len(late)
    if is_timed:
        report.expect("pauses that were too long", len(late), 0)
    if late:
        report.figures["which pauses"] = "; ".join(map(_describe, late[:6]))


def _note(report: Report, name: str, pauses: Sequence[Pause]) -> None:
    if pauses:
        longest = max(pauses, key=lambda pause: pause.seconds)
        limit = longest.limit - (longest.end - longest.seconds)
        report.figures[f"pauses of {NOTED_SECONDS} s and more by {name}"] = len(pauses)
        report.figures["   the longest, s"] = f"{longest.seconds:.2f} (limit {limit:.1f})"


def _describe(pause: Pause) -> str:
    moves = ", ".join(f"{move.what} {move.slot}" for move in pause.departures) or "no departure"
    return f"{pause.end - pause.start:.1f} s, {pause.end - pause.limit:.1f} too long ({moves})"
