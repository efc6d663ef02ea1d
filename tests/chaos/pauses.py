"""How long searches pause after workers depart or arrive, and how long they may."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.answer_log import AnswerLog
from tests.chaos.fleet import ENDED, HARD, Move
from tests.chaos.scenario import Report

POLITE_SECONDS = 2.0
"""After a polite departure the next answer of each partition comes within this."""
DETECTED_SECONDS = 2.0
"""After a hard one within the session timeout and this."""


@dataclass(frozen=True)
class Pause:
    """The time from a move to the next answer, of the partition that waits longest."""

    move: Move
    seconds: float
    limit: float
    """How long it may take."""
    alone: bool
    """Whether no other departure's time overlaps: the pause is this move's own."""


def pauses_of(log: AnswerLog, moves: Sequence[Move], session_seconds: float) -> list[Pause]:
    """The pause after each move.

    While the group has not yet noticed that a worker is gone, it cannot give anybody's partitions away, or it gives
    them to the one that is gone. So departures whose times overlap are judged together: by the end of the last one.
    """
    limits = {ENDED: POLITE_SECONDS, **dict.fromkeys(HARD, session_seconds + DETECTED_SECONDS)}
    departures = [(move.at, move.at + limits[move.what]) for move in moves if move.what in limits]
    return [pause for move in moves if (pause := _pause(log, move, departures, limits)) is not None]


def _pause(
    log: AnswerLog, move: Move, departures: Sequence[tuple[float, float]], limits: dict[str, float]
) -> Pause | None:
    last_sent = max(log.sent.values(), default=0.0)
    if move.at > last_sent - 1:
        return None  # nothing was asked any more
    found = [log.next_answer(partition, move.at) for partition in range(log.partitions)]
    end = max((at for at in found if at is not None), default=move.at)
    seconds = float("inf") if None in found else end - move.at
    own_end = move.at + limits.get(move.what, POLITE_SECONDS)
    others = [window for window in departures if window[0] != move.at]
    alone = not any(start < own_end and move.at < stop for start, stop in others)
    return Pause(move, seconds, _merged_end(move.at, own_end, others) - move.at, alone)


def _merged_end(start: float, end: float, others: Sequence[tuple[float, float]]) -> float:
    """When the last of the departures ends that overlap with this time, or with one that does."""
    for other_start, other_end in sorted(others):
        if other_start < end and other_end > start:
            end = max(end, other_end)
    return end


def judge_pauses(report: Report, pauses: Sequence[Pause], *, is_timed: bool) -> None:
    """Note how long each kind of move made searches wait and, if that is judged, whether any did for too long."""
    late = [pause for pause in pauses if pause.move.what in (ENDED, *HARD) and pause.seconds > pause.limit]
    for what, those in _by_kind(pauses):
        own = [pause.seconds for pause in those if pause.alone]
        report.figures[f"longest pause after: {what}, s"] = round(max(pause.seconds for pause in those), 2)
        if own:
            report.figures[f"   of these alone: {len(own)} x {what}, longest, s"] = round(max(own), 2)
    report.figures["pauses after departures that were too long"] = len(late)
    if is_timed:
        report.expect("pauses after departures that were too long", len(late), 0)
    if late:
        report.figures["which pauses"] = "; ".join(
            f"{pause.move.what} {pause.seconds:.1f} s of {pause.limit:.1f}" for pause in late[:6]
        )


def _by_kind(pauses: Sequence[Pause]) -> Iterator[tuple[str, list[Pause]]]:
    for what in dict.fromkeys(pause.move.what for pause in pauses):
        yield what, [pause for pause in pauses if pause.move.what == what]
