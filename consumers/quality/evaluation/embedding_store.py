"""Embedding store: caches the looks of pictures on disk (SQLite), so that an encoder encodes each picture once."""

import base64
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions, ImageEmbedder
from consumers.vision.keypoints import NO_KEYPOINTS, QUERY_KEYPOINTS, STORED_KEYPOINTS, unpack_keypoints
from consumers.vision.look import Look
from consumers.vision.look_vector import look_code_version
from consumers.vision.perceptual_hash import parse_hash
from schemas.failures import Failure
from schemas.results import Swatch
from schemas.searches import Crop

TABLE = """CREATE TABLE IF NOT EXISTS looks (
    recipe TEXT, picture TEXT, vector BLOB, facts TEXT, PRIMARY KEY (recipe, picture)
) WITHOUT ROWID"""

LOCK_TIMEOUT_SECONDS = 60.0
"""How long to wait for another run that writes to the same file."""


def cache_key(encoder: str) -> str:
    """A key for everything that determines a cached look: the encoder, the embedding code, and this file."""
    file_hash = sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    return f"{encoder} {look_code_version()} {file_hash}"


@dataclass
class EmbeddingStore:
    """An embedder with a cache of its looks; for use by one thread."""

    embedder: ImageEmbedder
    database: sqlite3.Connection
    cache_key: str
    requested: int = 0
    """Pictures that were requested."""
    cache_hits: int = 0
    """Those of them that were in the cache."""

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> list[Look | Failure]:
        """A look for each picture, or the failure that prevented it; with crops or `objects` it is not cached.

        Cached looks have their keypoints in any case: restored ones those of a query, others those of the index.
        """
        if any(crops) or options.objects != "none":
            return self.embedder.embed(pictures, crops, options)
        suffix = " restored" if options.restored else ""
        digests = [sha256(picture).hexdigest() + suffix for picture in pictures]
        cached: dict[str, Look | Failure] = dict(self._load(digests))
        self.requested, self.cache_hits = (
            self.requested + len(digests),
            self.cache_hits + sum(digest in cached for digest in digests),
        )
        missing = {
            digest: picture for digest, picture in zip(digests, pictures, strict=True) if digest not in cached
        }
        options = replace(options, keypoints=QUERY_KEYPOINTS if options.restored else STORED_KEYPOINTS)
        looks = self.embedder.embed(list(missing.values()), (), options) if missing else ()
        computed = dict(zip(missing, looks, strict=True))
        self._save({digest: look for digest, look in computed.items() if isinstance(look, Look)})
        stored = dict(self._load(missing))  # as a later run reads them: positions of keypoints are rounded
        return [(cached | computed | stored)[digest] for digest in digests]

    def _load(self, digests: Iterable[str]) -> Iterator[tuple[str, Look]]:
        for digest in set(digests):
            query = "SELECT vector, facts FROM looks WHERE recipe = ? AND picture = ?"
            row = self.database.execute(query, (self.cache_key, digest)).fetchone()
            if row is not None:
                yield digest, _parse_look(*row)

    def _save(self, looks: dict[str, Look]) -> None:
        rows = [
            (self.cache_key, digest, look.vector.tobytes(), _attributes_json(look))
            for digest, look in looks.items()
        ]
        with self.database:
            self.database.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?)", rows)


@contextmanager
def open_embedding_store(folder: Path, embedder: ImageEmbedder) -> Iterator[EmbeddingStore]:
    """An embedding store with its cache in `folder`; entries of other encoders or of older code are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "looks.sqlite", timeout=LOCK_TIMEOUT_SECONDS)) as database:
        database.execute(TABLE)
        yield EmbeddingStore(embedder, database, cache_key(embedder.encoder.fingerprint))


def _attributes_json(look: Look) -> str:
    palette = [swatch.model_dump() for swatch in look.palette]
    whole_view = b"" if look.whole_view is None else look.whole_view.astype("<f4").tobytes()
    data = [
        base64.b64encode(part).decode()
        for part in (look.thumbnail or b"", (look.keypoints or NO_KEYPOINTS).pack(), whole_view)
    ]
    return json.dumps([look.colours, palette, look.width, look.height, look.studio, str(look.phash), *data])


def _parse_look(vector: bytes, attributes: str) -> Look:
    colours, palette, width, height, studio, phash, *data = json.loads(attributes)
    thumbnail, keypoints, whole_view = map(base64.b64decode, data)
    swatches = tuple(Swatch.model_validate(swatch, strict=False) for swatch in palette)
    return Look(
        vector=np.frombuffer(vector, np.float32),
        colours=tuple(colours),
        palette=swatches,
        thumbnail=thumbnail or None,
        width=width,
        height=height,
        studio=studio,
        phash=parse_hash(phash),
        keypoints=unpack_keypoints(keypoints),
        whole_view=np.frombuffer(whole_view, np.float32) if whole_view else None,
    )
