"""A crowd: a hundred thousand points that look like some pictures, each picture many times with noise."""

import base64
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consumers.points.look_payload import look_payload
from consumers.points.payload import ItemState
from consumers.scoring.look_parts import LookParts
from consumers.vision.embedder import Look
from infra.array_types import Floats
from infra.qdrant.contract import Index, Point
from infra.qdrant.point_ids import point_id
from schemas.failures import Failure
from schemas.items import item_key

NOISE = 0.35
"""Length of the noise added to each part, which is of unit length: two copies of a picture have a cosine of .89."""
TENANT = "crowd"
TENTH, HUNDREDTH, THOUSANDTH = "tenth", "hundredth", "thousandth"
SHARES = {TENTH: 0.1, HUNDREDTH: 0.01, THOUSANDTH: 0.001}
"""Tags, each given by lot to a share of the points."""
BATCH = 256
KIND = "articleType"
THUMBNAIL = base64.b64encode(bytes(2_400)).decode()
"""As long as the thumbnails are that the index keeps: half of them are between 2.0 and 2.8 kB."""

Labelled = Sequence[tuple[bytes, str]]
"""Pictures, and what kind of thing each shows."""
LookAt = Callable[[Sequence[bytes]], Sequence[Look | Failure]]


@dataclass(frozen=True)
class Seen:
    """The pictures that the crowd is made of, as the encoder saw them."""

    looks: Sequence[Look]
    kinds: Sequence[str]
    parts: LookParts
    fingerprint: str


@dataclass(frozen=True)
class Crowd:
    """Vectors [n, size], what kind of thing each shows, and its tags."""

    vectors: Floats
    kinds: Sequence[str]
    tags: Sequence[tuple[str, ...]]
    sources: Sequence[Look]

    def point(self, number: int) -> Point:
        """A point as the index worker would have written it."""
        item, kind, tags = f"c{number}", self.kinds[number], list(self.tags[number])
        facts: dict[str, object] = {"title": f"{kind} {number}", "category": kind, "category_source": "given"}
        facts |= {"price": number % 97 + 0.5, "currency": "EUR", "brand": f"brand {number % 211}"}
        facts |= {"in_stock": "true", "tags": tags}
        state = ItemState(1, live=True, digest=f"{number:064x}", facts=facts)
        about = {"item": item_key(TENANT, item), "item_id": item, "tenant": TENANT, "n": 0, "version": 1}
        look = look_payload(self.sources[number]) | {"thumbnail": THUMBNAIL}
        payload = state.payload() | look | about | {"source": "catalog"}
        return Point(point_id(TENANT, item, 0), payload, self.vectors[number])

    def write(self, index: Index, first: int, end: int, progress: Callable[[int], None]) -> None:
        """Put the points from `first` on, up to `end`, into an index."""
        for start in range(first, end, BATCH):
            numbers = range(start, min(start + BATCH, end))
            index.upsert([self.point(number) for number in numbers])
            progress(len(numbers))


def read_labelled(folder: Path, limit: int) -> Labelled:
    """The pictures named in products.csv, with their kinds; every so many of them, up to a limit."""
    with (folder / "products.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        ((folder / row["image"]).read_bytes(), row[KIND]) for row in rows[:: max(1, len(rows) // limit)][:limit]
    ]


def see(labelled: Labelled, look_at: LookAt) -> Iterator[tuple[Look, str]]:
    """Each picture's look and kind; a picture that cannot be used is left out."""
    for first in range(0, len(labelled), 16):
        few = labelled[first : first + 16]
        for look, (_, kind) in zip(look_at([data for data, _ in few]), few, strict=True):
            if isinstance(look, Look):
                yield look, kind


def make_crowd(seen: Seen, points: int, chance: np.random.Generator) -> Crowd:
    """So many points: the pictures in turn, each time with other noise."""
    turns = [number % len(seen.looks) for number in range(points)]
    vectors = np.stack([noisy(seen.looks[turn].vector, seen.parts, chance) for turn in turns])
    lots = {tag: chance.random(points) < share for tag, share in SHARES.items()}
    tags = [tuple(tag for tag, lot in lots.items() if lot[number]) for number in range(points)]
    return Crowd(vectors, [seen.kinds[turn] for turn in turns], tags, [seen.looks[turn] for turn in turns])


def noisy(look: Floats, parts: LookParts, chance: np.random.Generator) -> Floats:
    """A look with noise on each part, all parts of unit length again."""
    noise = parts.normalise(chance.standard_normal(len(look)).astype(np.float32))
    return parts.normalise(look + NOISE * noise)
