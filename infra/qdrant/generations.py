"""Generations: the indexes of one system, each with its own encoder, one of which serves searches.

    reindex begins      1 serves     2 is filled in parallel; live events go into both
    cutover             1            2 serves, from a time that all workers know in advance
    drop                             2 serves

Both generations process every event. The event's time alone decides which one reports its outcome and handles its
failure, so exactly one generation reports each event, no matter which is ahead.
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
    """An index and the encoder of its vectors."""

    number: int
    encoder: str
    """Encoder name, as in LOOKSTREAM_ENCODER."""


class GenerationSwitch(NamedTuple):
    """The time (seconds since 1970) from which a generation serves."""

    moment: float
    number: int


@dataclass(frozen=True)
class Generations:
    """One or two generations, and the history of which one served from when, oldest first."""

    known: tuple[Generation, ...]
    switches: tuple[GenerationSwitch, ...]

    @property
    def serving(self) -> Generation:
        """The generation that answers searches."""
        return self.of(self.switches[-1].number)

    @property
    def other(self) -> Generation | None:
        """The generation that does not serve, if there is one."""
        return next((one for one in self.known if one != self.serving), None)

    def of(self, number: int) -> Generation:
        """Return the generation with this number; raises KeyError if it does not exist (any more)."""
        for one in self.known:
            if one.number == number:
                return one
        raise KeyError(number)

    def reports_outcomes(self, number: int, moment: float) -> bool:
        """Whether this generation reports the outcome of events of that time (seconds since 1970)."""
        reporter = next((s.number for s in reversed(self.switches) if s.moment <= moment), self.switches[0].number)
        return reporter == number

    def with_new(self, encoder: str) -> "Generations":
        """Return a copy with a new generation in addition to the serving one."""
        number = max(one.number for one in self.known) + 1
        return replace(self, known=(self.serving, Generation(number, encoder)))

    def with_switch(self, moment: float) -> "Generations":
        """Return a copy in which the other generation serves from this time; raises ValueError if there is none."""
        if self.other is None:
            raise ValueError("there is no other generation to switch to")
        return replace(self, switches=(*self.switches, GenerationSwitch(moment, self.other.number)))

    def serving_only(self) -> "Generations":
        """Return a copy with only the serving generation."""
        return Generations((self.serving,), (GenerationSwitch(0.0, self.serving.number),))


class GenerationRegister(Protocol):
    """Persistent record of the generations of a system."""

    def read(self) -> Generations:
        """Return the current generations; raises Unavailable. Must be fast, since it is called for every event."""

    def write(self, generations: Generations) -> None:
        """Replace the stored generations; raises Unavailable."""

    def delete_index(self, number: int) -> None:
        """Delete the data of an index that is no longer in the register; raises Unavailable."""


class FileGenerationRegister:
    """A GenerationRegister in a data folder. `encoder` is the encoder of the first index."""

    def __init__(self, folder: Path, encoder: str) -> None:
        self._path = folder / FILE
        self._first = initial_generations(encoder)
        self._cached: tuple[int, Generations] | None = None

    def read(self) -> Generations:
        """Return the current generations; the file is read only if it has changed."""
        try:
            modified = self._path.stat().st_mtime_ns
            if self._cached is None or self._cached[0] != modified:
                self._cached = modified, from_json(self._path.read_text())
        except FileNotFoundError:
            return self._first
        return self._cached[1]

    def write(self, generations: Generations) -> None:
        """Replace the stored generations atomically and durably (safe against power loss)."""
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            file.write(to_json(generations))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def delete_index(self, number: int) -> None:
        """Do nothing: `lookstream up` deletes the folder of an index after its process has ended."""


def resolve_generation(register: GenerationRegister, number: int | None) -> int:
    """Return this number, or that of the serving generation for None; raises Unavailable if it does not exist."""
    generations = register.read()
    if number is None:
        return generations.serving.number
    try:
        return generations.of(number).number
    except KeyError:
        raise Unavailable(f"there is no index {number}: see `lookstream reindex status`") from None


def index_folder(data: Path, number: int) -> Path:
    """Return the folder of the embedded index of a generation."""
    return data / ("index" if number == FIRST else f"index-{number}")


def component_name(name: str, number: int) -> str:
    """Return the name of a component of a generation: unchanged for the first one, `name-number` for later ones."""
    return name if number == FIRST else f"{name}-{number}"


def initial_generations(encoder: str) -> Generations:
    """Return the generations before the first write: the first generation only, with this encoder."""
    return Generations((Generation(FIRST, encoder),), (GenerationSwitch(0.0, FIRST),))


def to_json(generations: Generations) -> str:
    """Encode generations as JSON."""
    return json.dumps(asdict(generations))


def from_json(text: str) -> Generations:
    """Decode generations from JSON."""
    fields = json.loads(text)
    known = tuple(Generation(*one) for one in fields["known"])
    return Generations(known, tuple(GenerationSwitch(*one) for one in fields["switches"]))
