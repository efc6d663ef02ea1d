"""Looks that are kept on disk: a picture that an encoder has seen once is not encoded again."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from consumers.vision.embedder import ImageEmbedder, Look, code_of_looks
from consumers.vision.perceptual_hash import hash_in
from schemas.failures import Failure
from schemas.results import Swatch
from schemas.searches import Crop

TABLE = """CREATE TABLE IF NOT EXISTS looks (
    recipe TEXT, picture TEXT, vector BLOB, facts TEXT, PRIMARY KEY (recipe, picture)
) WITHOUT ROWID"""

PATIENCE_SECONDS = 60.0
"""How long to wait for another run that writes to the same file."""


def recipe(encoder: str) -> str:
    """A name for all that shapes a kept look: the encoder, the code that looks, and this file."""
    own = sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    return f"{encoder} {code_of_looks()} {own}"


@dataclass
class EmbeddingStore:
    """Looks at pictures as its eyes do, but at no picture twice; for one thread."""

    eyes: ImageEmbedder
    store: sqlite3.Connection
    recipe: str
    seen: int = 0
    """Pictures that were asked for."""
    kept: int = 0
    """Those of them that were known already."""

    def look_at(self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = ()) -> list[Look | Failure]:
        """A look, or why there is none, for each picture; crops are looked at afresh."""
        if any(crops):
            return self.eyes.look_at(pictures, crops)
        names = [sha256(picture).hexdigest() for picture in pictures]
        known: dict[str, Look | Failure] = dict(self._known(names))
        self.seen, self.kept = self.seen + len(names), self.kept + sum(name in known for name in names)
        missing = {name: picture for name, picture in zip(names, pictures, strict=True) if name not in known}
        fresh = dict(zip(missing, self.eyes.look_at(list(missing.values())), strict=True)) if missing else {}
        self._keep({name: look for name, look in fresh.items() if isinstance(look, Look)})
        return [(known | fresh)[name] for name in names]

    def _known(self, names: Sequence[str]) -> Iterator[tuple[str, Look]]:
        for name in set(names):
            query = "SELECT vector, facts FROM looks WHERE recipe = ? AND picture = ?"
            row = self.store.execute(query, (self.recipe, name)).fetchone()
            if row is not None:
                yield name, _unpacked(*row)

    def _keep(self, looks: dict[str, Look]) -> None:
        rows = [(self.recipe, name, look.vector.tobytes(), _facts(look)) for name, look in looks.items()]
        with self.store:
            self.store.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?)", rows)


@contextmanager
def open_embedding_store(folder: Path, eyes: ImageEmbedder) -> Iterator[EmbeddingStore]:
    """The looks kept in a folder; those of other encoders and of older code lie there too, untouched."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "looks.sqlite", timeout=PATIENCE_SECONDS)) as store:
        store.execute(TABLE)
        yield EmbeddingStore(eyes, store, recipe(eyes.encoder.fingerprint))


def _facts(look: Look) -> str:
    palette = [swatch.model_dump() for swatch in look.palette]
    return json.dumps([look.colours, palette, look.width, look.height, look.studio, str(look.phash)])


def _unpacked(vector: bytes, facts: str) -> Look:
    colours, palette, width, height, studio, phash = json.loads(facts)
    swatches = tuple(Swatch.model_validate(swatch, strict=False) for swatch in palette)
    numbers, size = np.frombuffer(vector, np.float32), (width, height)
    return Look(numbers, tuple(colours), swatches, None, *size, studio=studio, phash=hash_in(phash))
