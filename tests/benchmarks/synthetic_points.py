"""Synthetic points: the vectors of some pictures, each many times with noise; 100,000 by default."""

import base64
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consumers.points.look_payload import look_payload
from consumers.points.payload import ItemState
from consumers.scoring.look_parts import LookParts
from consumers.vision.look import Look
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
"""Tags, each given to a random share of the points."""
BATCH = 256
KIND = "articleType"
THUMBNAIL = base64.b64encode(bytes(2_400)).decode()
"""As long as the thumbnails in the index: half of those are between 2.0 and 2.8 kB."""

Labelled = Sequence[tuple[bytes, str]]
"""Pictures, and what kind of thing each shows."""
LookAt = Callable[[Sequence[bytes]], Sequence[Look | Failure]]


@dataclass(frozen=True)
class EncodedPictures:
    """The encoded pictures that the points are made from."""

    looks: Sequence[Look]
    kinds: Sequence[str]
    parts: LookParts
    fingerprint: str


@dataclass(frozen=True)
class SyntheticPoints:
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
    """At most `limit` of the pictures named in products.csv, evenly chosen, with their kinds."""
    with (folder / "products.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        ((folder / row["image"]).read_bytes(), row[KIND]) for row in rows[:: max(1, len(rows) // limit)][:limit]
    ]


def encode_labelled(labelled: Labelled, look_at: LookAt) -> Iterator[tuple[Look, str]]:
    """Each picture's look and kind; a picture that cannot be used is left out."""
    for first in range(0, len(labelled), 16):
        few = labelled[first : first + 16]
        for look, (_, kind) in zip(look_at([data for data, _ in few]), few, strict=True):
            if isinstance(look, Look):
                yield look, kind


def make_synthetic_points(encoded: EncodedPictures, points: int, rng: np.random.Generator) -> SyntheticPoints:
    """Make so many points from the pictures in turn, each with its own noise."""
    turns = [number % len(encoded.looks) for number in range(points)]
    vectors = np.stack([noisy(encoded.looks[turn].vector, encoded.parts, rng) for turn in turns])
    lots = {tag: rng.random(points) < share for tag, share in SHARES.items()}
    tags = [tuple(tag for tag, lot in lots.items() if lot[number]) for number in range(points)]
    return SyntheticPoints(
        vectors, [encoded.kinds[turn] for turn in turns], tags, [encoded.looks[turn] for turn in turns]
    )


def noisy(look: Floats, parts: LookParts, rng: np.random.Generator) -> Floats:
    """A look with noise on each part, all parts of unit length again."""
    noise = parts.normalise(rng.standard_normal(len(look)).astype(np.float32))
    return parts.normalise(look + NOISE * noise)
