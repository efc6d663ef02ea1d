"""Measuring in interleaved rounds, so that whatever slows the machine down for a while slows every measure."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

RATE = "pictures/s"
ROUNDS = 3
WARM_UP = 0
"""The number of the round that is thrown away; those that count come after it."""


@dataclass(frozen=True)
class Figure:
    """What was measured, in `unit`, once a round."""

    what: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def cells(self) -> tuple[str, str, str]:
        """What, the median with its unit, and the range of the rounds, for people."""
        return (
            self.what,
            f"{short(self.median)} {self.unit}",
            f"{short(min(self.rounds))} to {short(max(self.rounds))}",
        )

    def __add__(self, other: "Figure") -> "Figure":
        """The rounds of both."""
        return replace(self, rounds=self.rounds + other.rounds)

    def as_json(self) -> dict[str, object]:
        """All of it, for programs."""
        return {"unit": self.unit, "median": round(self.median, 3), "rounds": [round(r, 3) for r in self.rounds]}


def short(number: float) -> str:
    """A number with as many decimals as people want to read."""
    return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f}"


@dataclass(frozen=True)
class Measure:
    """One thing to measure: `take` gets the number of the round and gives its figure in `unit`."""

    what: str
    unit: str
    take: Callable[[int], float]


def interleaved(measures: Mapping[str, Measure], rounds: int = ROUNDS) -> dict[str, Figure]:
    """Each measure once a round, all of them in every round, after a round to warm up; by the same names."""
    turns = [{name: one.take(number) for name, one in measures.items()} for number in range(rounds + 1)]
    counted = turns[WARM_UP + 1 :]
    return {name: Figure(m.what, m.unit, tuple(turn[name] for turn in counted)) for name, m in measures.items()}
