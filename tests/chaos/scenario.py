"""What a chaos test is: a promise, a run that keeps it, and a control without the safeguard, which breaks it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.brokers import KINDS, Kind

TIMED_SHARE = 0.1
NO_BROKER: tuple[Kind, ...] = ("local",)
"""A scenario without a broker runs once, with those of the local broker."""


@dataclass(frozen=True)
class Size:
    """How large a run is: `share` of the figures that the promise names (1: all of them), and its seed."""

    share: float = 1.0
    seed: int = 1

    @property
    def is_timed(self) -> bool:
        """Whether times and rates are checked: those of a small run among other tests mean nothing."""
        return self.share >= TIMED_SHARE

    def of(self, full: int, least: int = 1) -> int:
        """This share of a full figure, `least` at the least."""
        return max(least, round(full * self.share))


@dataclass
class Report:
    """The result of a run: broken promises, and figures for people."""

    broken: list[str] = field(default_factory=list)
    """A sentence for each promise that was not kept; empty when all were."""
    error: str = ""
    """The error that ended the run early; it does not count as a control's broken promise."""
    figures: dict[str, float | int | str] = field(default_factory=dict)
    seconds: float = 0.0

    def expect(self, what: str, value: object, required: object) -> None:
        """Note a figure, and that it must be exactly this."""
        self.figures[what] = value if isinstance(value, int | float | str) else str(value)
        if value != required:
            self.broken.append(f"{what}: {value}, not {required}")

    def expect_at_most(self, what: str, value: float, limit: float) -> None:
        """Note a figure, and that it must not be above this."""
        self.figures[what] = value
        if not value <= limit:
            self.broken.append(f"{what}: {value}, above {limit}")

    def expect_at_least(self, what: str, value: float, least: float) -> None:
        """Note a figure, and that it must not be below this."""
        self.figures[what] = value
        if not value >= least:
            self.broken.append(f"{what}: {value}, below {least}")

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.broken

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure how long the run takes, in seconds."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds = round(time.monotonic() - started, 1)


Run = Callable[[Path, Size], Report]
"""A run in an empty folder of its own; it leaves no process behind."""


@dataclass(frozen=True)
class Scenario:
    """One chaos test."""

    name: str
    promise: str
    """What is promised, in one sentence with its figures."""
    run: Run
    control: Run
    """The same without the safeguard: its report must have something broken."""
    short: float | None = None
    """The share of the figures with which tests run it; none: only `make chaos` does."""
    brokers: tuple[Kind, ...] = KINDS
    """The kinds of brokers on which it runs."""
