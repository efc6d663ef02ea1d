"""Generations: the indexes of one system, each filled by an encoder of its own, of which one serves.

    reindex begins      1 serves     2 is filled beside it; live events go into both
    it cuts over        1            2 serves, from a moment on that all workers know beforehand
    drop                             2 serves

Both get every event. Which of them tells what became of an event, and answers for its failure, depends on nothing
but the event's time: so each event is told of by one of them, whichever is ahead.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from schemas.failures import Unavailable

FIRST = 1
FILE = "generations.json"


class Generation(NamedTuple):
    """An index and whose vectors it holds."""

    number: int
    encoder: str
    """As LOOKSTREAM_ENCODER names it."""


class GenerationSwitch(NamedTuple):
    """From a moment on (seconds since 1970) a generation serves."""

    moment: float
    number: int


@dataclass(frozen=True)
class Generations:
    """One or two generations, and which of them served since when, oldest first."""

    known: tuple[Generation, ...]
    switches: tuple[GenerationSwitch, ...]

    @property
    def serving(self) -> Generation:
        """The one that answers searches."""
        return self.of(self.switches[-1].number)

    @property
    def other(self) -> Generation | None:
        """The one beside it, if there is one."""
        return next((one for one in self.known if one != self.serving), None)

    def of(self, number: int) -> Generation:
        """The generation of this number; raises KeyError when it is not known (any more)."""
        for one in self.known:
            if one.number == number:
                return one
        raise KeyError(number)

    def tells(self, number: int, moment: float) -> bool:
        """Whether this generation tells what became of events of that moment (seconds since 1970)."""
        told_by = next((s.number for s in reversed(self.switches) if s.moment <= moment), self.switches[0].number)
        return told_by == number

    def begun(self, encoder: str) -> "Generations":
        """With another generation beside the one that serves."""
        number = max(one.number for one in self.known) + 1
        return replace(self, known=(self.serving, Generation(number, encoder)))

    def switched(self, moment: float) -> "Generations":
        """With the other one serving from this moment on; raises ValueError when there is none."""
        if self.other is None:
            raise ValueError("there is no other generation to switch to")
        return replace(self, switches=(*self.switches, GenerationSwitch(moment, self.other.number)))

    def dropped(self) -> "Generations":
        """With the one that serves alone."""
        return Generations((self.serving,), (GenerationSwitch(0.0, self.serving.number),))


class GenerationRegister(Protocol):
    """Where the generations of a system are written down."""

    def read(self) -> Generations:
        """As they stand. Quick, for it is asked for every event. Raises Unavailable when that cannot be told."""

    def write(self, generations: Generations) -> None:
        """Replace what is written down; raises Unavailable when that cannot be done."""

    def forget(self, number: int) -> None:
        """Remove what an index that is not written down any more has left; raises Unavailable."""


class FileGenerationRegister:
    """A Register in a data folder. `encoder` is whose the first index is."""

    def __init__(self, folder: Path, encoder: str) -> None:
        self._path = folder / FILE
        self._first = first_alone(encoder)
        self._seen: tuple[int, Generations] | None = None

    def read(self) -> Generations:
        """The generations as they stand now; the file is read only when it has changed."""
        try:
            changed = self._path.stat().st_mtime_ns
            if self._seen is None or self._seen[0] != changed:
                self._seen = changed, parsed(self._path.read_text())
        except FileNotFoundError:
            return self._first
        return self._seen[1]

    def write(self, generations: Generations) -> None:
        """Replace what is written down, in one step that survives a power loss."""
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            file.write(written(generations))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def forget(self, number: int) -> None:
        """Nothing to do: `lookstream up` removes the folder of an index once its process has ended."""


def chosen(register: GenerationRegister, number: int | None) -> int:
    """This generation, or the one that serves; raises Unavailable when it is not there any more."""
    generations = register.read()
    if number is None:
        return generations.serving.number
    try:
        return generations.of(number).number
    except KeyError:
        raise Unavailable(f"there is no index {number}: see `lookstream reindex status`") from None


def index_folder(data: Path, number: int) -> Path:
    """Where the embedded index of a generation lies."""
    return data / ("index" if number == FIRST else f"index-{number}")


def named(name: str, number: int) -> str:
    """The name of a part of a generation: those of the first have plain names."""
    return name if number == FIRST else f"{name}-{number}"


def first_alone(encoder: str) -> Generations:
    """What there is before anything was written down: the first generation, by this encoder."""
    return Generations((Generation(FIRST, encoder),), (GenerationSwitch(0.0, FIRST),))


def written(generations: Generations) -> str:
    """Generations as text."""
    return json.dumps(asdict(generations))


def parsed(text: str) -> Generations:
    """Generations from their text."""
    found = json.loads(text)
    known = tuple(Generation(*one) for one in found["known"])
    return Generations(known, tuple(GenerationSwitch(*one) for one in found["switches"]))
