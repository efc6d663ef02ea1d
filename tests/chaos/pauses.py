"""How long searches pause while workers depart and arrive, and how long they may."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.answer_log import AnswerLog
from tests.chaos.fleet import ENDED, HARD, POLITE_SECONDS, Move, effect_seconds
from tests.chaos.scenario import Report

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
    moves: tuple[Move, ...]
    """Those whose effect may last until then."""

    @property
    def seconds(self) -> float:
        """How long it is, from its move on where there is just one in it."""
        return self.end - max([self.start, *(move.at for move in self.moves if len(self.moves) == 1)])

    @property
    def is_late(self) -> bool:
        """Whether it lasts for longer than promised."""
        return self.end > self.limit


def pauses_of(log: AnswerLog, moves: Sequence[Move], session_seconds: float) -> list[Pause]:
    """The pauses between a partition's first answer and the last search that is sent, the longest first."""
    last_sent = max(log.sent.values(), default=0.0)
    found = [
        _pause(partition, start, end, moves, session_seconds)
        for partition in range(log.partitions)
        for start, end in pairwise(log.answer_times(partition))
        if start < last_sent and end - start >= NOTED_SECONDS
    ]
    return sorted(found, key=lambda pause: pause.seconds, reverse=True)


def _pause(partition: int, start: float, end: float, moves: Sequence[Move], session_seconds: float) -> Pause:
    """A pause with its limit: the effects of moves that overlap come one after the other.

    Before the group has noticed that a worker is gone it can give its partitions to nobody, and may give it more.
    A worker that departs while the group waits for another to rejoin has its whole session from the end of that
    wait on (Kafka 4.4, GroupMetadataManager: the session timers of all members are set when the join phase ends).
    """
    concerned, limit = list[Move](), 0.0
    for move in sorted(moves, key=lambda move: move.at):
        effect = effect_seconds(move.what, session_seconds)
        if move.at < end and move.at + effect > start:
            concerned.append(move)
            limit = max(limit, move.at) + effect
    return Pause(partition, start, end, max(limit, start + POLITE_SECONDS), tuple(concerned))


def judge_pauses(report: Report, pauses: Sequence[Pause], *, is_timed: bool) -> None:
    """Note how long searches paused and, if that is judged, whether they did for longer than promised."""
    for what in (ENDED, *HARD):
        _note(
            report, f"alone: {what}", [pause for pause in pauses if [move.what for move in pause.moves] == [what]]
        )
    _note(report, "moves that overlap", [pause for pause in pauses if len(pause.moves) > 1])
    _note(report, "no departure", [pause for pause in pauses if not any(map(_is_departure, pause.moves))])
    late = [pause for pause in pauses if pause.is_late]
    report.figures["pauses that were too long"] = len(late)
    if is_timed:
        report.expect("pauses that were too long", len(late), 0)
    if late:
        report.figures["which pauses"] = "; ".join(map(_describe, late[:6]))


def _is_departure(move: Move) -> bool:
    return move.what in (ENDED, *HARD)


def _note(report: Report, name: str, pauses: Sequence[Pause]) -> None:
    if pauses:
        longest = max(pauses, key=lambda pause: pause.seconds)
        limit = longest.limit - (longest.end - longest.seconds)
        report.figures[f"longest pause, {name}"] = f"{longest.seconds:.2f} s of {limit:.1f}"
        report.figures[f"pauses of {NOTED_SECONDS} s and more, {name}"] = len(pauses)


def _describe(pause: Pause) -> str:
    moves = ", ".join(f"{move.what} {move.slot}" for move in pause.moves) or "no move"
    return f"{pause.end - pause.start:.1f} s, {pause.end - pause.limit:.1f} too long ({moves})"
