"""Are duplicates distinguished from pictures that are only similar? `python -m tests.evaluation.duplicates DATA`

Real pictures are changed as pictures are that are used again, and looked for among all of their set; and each set
is gone through for duplicates that it has itself. DATA is the folder that `make evaluate` takes.
"""

import csv
import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from consumers.indexing.duplicates import CANDIDATES, MIN_SCORE, WEIGHTS, verdict_of
from consumers.quality.evaluation.embedding_store import open_embedding_store
from consumers.quality.evaluation.setup import progress_on
from consumers.scoring.look_parts import LookParts
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.array_types import Floats
from infra.config.settings import read_settings
from infra.encoder import open_encoder
from infra.images.decode import DecodeLimits
from tests.evaluation.variants import VARIANTS, variants_of

ICONS = "grocery icons"
SETS = {
    "fashion": ("fashion", "products.csv", "articleType"),
    ICONS: ("grocery", "labels.csv", "label"),
    "grocery photos": ("grocery", "labels.csv", "label"),
    "clothing": ("clothing", "labels.csv", "label"),
}
"""Folder, table and column of labels: tiny studio pictures, studio pictures of about 200 pixels, and photos."""
MOST_OF_A_SET, QUERIES = 15_000, 100
PAIRS_DRAWN, SIDE = 60, 110
"""Pairs on the sheet, and how large each picture is there, in pixels."""


@dataclass(frozen=True)
class LookArrays:
    """Pictures as the index would hold them: looks [n, size], hashes uint64 [n, 2], and whether of a studio."""

    looks: Floats
    hashes: NDArray[np.uint64]
    studio: NDArray[np.bool_]


@dataclass(frozen=True)
class Kind:
    """One set: its pictures, their labels and looks; and for each variant the looks of the queries."""

    name: str
    paths: Sequence[Path]
    labels: Sequence[str]
    looks_of_kind: LookArrays
    queries: Sequence[int]
    variants: Mapping[str, LookArrays]


@dataclass(frozen=True)
class Pair:
    """Two pictures of a set, the distance of their hashes, and the score of their looks."""

    one: int
    other: int
    bits: int
    score: float


@dataclass(frozen=True)
class Found:
    """Shares of the queries: called near duplicates of the right picture, of another, or similar to it."""

    near: float
    wrong: float
    similar: float


def read_set(data: Path, name: str) -> list[tuple[Path, str]]:
    """Pictures and labels in a random order that is always the same."""
    folder, table, label = SETS[name]
    with (data / folder / table).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if folder == "grocery":
        rows = [row for row in rows if (row["split"] == "catalog") == (name == ICONS)]
    found = [(data / folder / row["image"], row[label]) for row in rows]
    random.Random(0).shuffle(found)
    return found


def stacked(looks: Sequence[Look]) -> LookArrays:
    """Looks as arrays."""
    hashes = np.array([tuple(look.phash) for look in looks], np.uint64)
    return LookArrays(np.stack([look.vector for look in looks]), hashes, np.array([look.studio for look in looks]))


def bits_between(one: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """uint8 [n]: in how many bits the nearest two hashes differ."""
    apart: NDArray[np.uint8] = np.bitwise_count(one[:, None, None] ^ others[None, :, :]).min(axis=(0, 2))
    return apart


def judge(kind: Kind, variant: LookArrays, parts: LookParts) -> Found:
    """The result of one variant's queries among all pictures of their set, with the candidates of the index."""
    near = wrong = similar = 0
    for at, place in enumerate(kind.queries):
        found = verdicts(kind.looks_of_kind, variant, at, parts)[:CANDIDATES]
        called = [pair for pair, verdict in found if verdict == "near"]
        if called:
            near, wrong = near + (called[0].other == place), wrong + (called[0].other != place)
        else:
            similar += any(pair.other == place and verdict == "similar" for pair, verdict in found)
    count = len(kind.queries)
    return Found(near / count, wrong / count, similar / count)


def verdicts(
    known: LookArrays, query_looks: LookArrays, at: int, parts: LookParts
) -> list[tuple[Pair, str | None]]:
    """The verdict for one picture and each other with a sufficient score, the best first."""
    scores = known.looks @ parts.apply_weights(query_looks.looks[at], WEIGHTS)
    close = np.flatnonzero(scores >= MIN_SCORE)
    close = close[np.argsort(-scores[close])]
    bits = bits_between(query_looks.hashes[at], known.hashes[close])
    pairs = [
        Pair(at, int(place), int(apart), float(scores[place])) for place, apart in zip(close, bits, strict=True)
    ]
    return [
        (pair, verdict_of(pair.bits, pair.score, same_bytes=False, studio=bool(studio and query_looks.studio[at])))
        for pair, studio in zip(pairs, known.studio[close], strict=True)
    ]


def near_pairs(kind: Kind, parts: LookParts) -> list[Pair]:
    """The pairs within the set that are called near duplicates."""
    found = []
    for at in range(1, len(kind.paths)):
        before = LookArrays(
            kind.looks_of_kind.looks[:at], kind.looks_of_kind.hashes[:at], kind.looks_of_kind.studio[:at]
        )
        found += [pair for pair, verdict in verdicts(before, kind.looks_of_kind, at, parts) if verdict == "near"]
    return found


def draw_pairs(kind: Kind, pairs: Sequence[Pair]) -> Image.Image:
    """A sheet of some pairs, six to a row, to be judged by eye."""
    chosen = random.Random(0).sample(pairs, min(PAIRS_DRAWN, len(pairs)))
    sheet = Image.new("RGB", (6 * (2 * SIDE + 16), (len(chosen) + 5) // 6 * (SIDE + 8)), "white")
    for n, pair in enumerate(chosen):
        for side, place in enumerate((pair.one, pair.other)):
            with Image.open(kind.paths[place]) as opened:
                small = opened.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            sheet.paste(small, (n % 6 * (2 * SIDE + 16) + side * (SIDE + 2), n // 6 * (SIDE + 8)))
    return sheet


def look_at_sets(data: Path, names: Sequence[str], queries: int, most: int) -> tuple[list[Kind], LookParts]:
    """Every set as the encoder of the settings sees it."""
    settings, console = read_settings(), Console(highlight=False)
    limits = DecodeLimits(settings.images.max_bytes, settings.images.max_pixels, thumbnail=0)
    with ThreadPoolExecutor() as pool:
        encoder = open_encoder(settings.encoder, settings.torch)
        embedder = ImageEmbedder(encoder, make_colour_extractor(), limits, pool)
        parts, kinds = LookParts(encoder.object_size, encoder.style_size), []
        with open_embedding_store(settings.data / "looks", embedder) as store:

            def see(pictures: Sequence[bytes], what: str) -> list[Look]:
                batches = [pictures[n : n + 16] for n in range(0, len(pictures), 16)]
                tracked = progress_on(console)(batches, what, len(batches))
                return [look for batch in tracked for look in store.embed(batch) if isinstance(look, Look)]

            for name in names:
                rows = read_set(data, name)[:most]
                looks = see([path.read_bytes() for path, _ in rows], name)
                chosen = range(min(queries, len(rows)))
                changed = [variants_of(rows[place][0].read_bytes()) for place in chosen]
                variants = {
                    variant: stacked(see([each[variant] for each in changed], f"{name}, {variant}"))
                    for variant in VARIANTS
                }
                paths, labels = zip(*rows, strict=True)
                kinds.append(Kind(name, paths, labels, stacked(looks), chosen, variants))
    return kinds, parts


def _alike(kind: Kind, pairs: Sequence[Pair]) -> float:
    same = [kind.labels[pair.one] == kind.labels[pair.other] for pair in pairs]
    return float(np.mean(same)) if same else 1.0


def main(
    data: Annotated[Path, typer.Argument(help="Folder with grocery, clothing and fashion", exists=True)],
    queries: Annotated[int, typer.Option(help="Pictures of each set that are changed")] = QUERIES,
    most: Annotated[int, typer.Option(help="Pictures of each set at most")] = MOST_OF_A_SET,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here")] = None,
    sheets: Annotated[Path | None, typer.Option(help="Folder for sheets of each set's own pairs")] = None,
) -> None:
    """Measure, and print tables."""
    console = Console(highlight=False, width=150)
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
    kinds, parts = look_at_sets(data, list(SETS), queries, most)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    table = Table(title="called near duplicates of the right picture / of another / similar to the right one")
    for head in ("variant", *(f"{kind.name} ({len(kind.paths)})" for kind in kinds)):
        table.add_column(head)
    for variant in VARIANTS:
        found = {kind.name: judge(kind, kind.variants[variant], parts) for kind in kinds}
        figures[variant] = {name: asdict(one) for name, one in found.items()}
        table.add_row(variant, *(f"{o.near:.2f} / {o.wrong:.2f} / {o.similar:.2f}" for o in found.values()))
    console.print(table)
    for kind in kinds:
        pairs = near_pairs(kind, parts)
        pictures = len({place for pair in pairs for place in (pair.one, pair.other)})
        figures.setdefault("own pairs", {})[kind.name] = {"pairs": len(pairs), "one label": _alike(kind, pairs)}
        console.print(
            f"{kind.name}: {len(pairs)} pairs of {pictures} pictures, {_alike(kind, pairs):.3f} of one label"
        )
        if sheets is not None and pairs:
            draw_pairs(kind, pairs).save(sheets / f"duplicates-{kind.name.replace(' ', '-')}.png")
    if report is not None:
        report.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
