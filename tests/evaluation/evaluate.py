"""Is it good? Finds each query picture's like in the index pictures of a labelled folder: `make evaluate DATA=...`.

Queries are the val or validation pictures; they are looked up among the train pictures, and among the studio
pictures (catalog) where there are any. Prints a table, and colour agreement where the folder has colour labels.
"""

import json
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from consumers.vision.colour import make_colours
from consumers.vision.decode import Limits
from consumers.vision.look import Encoder, Eyes, Look, weighted
from infra.encoder import EncoderUnavailable, open_encoder
from infra.settings import Torch
from schemas.searches import INTENTS, Weights
from tests.evaluation.labelled import QUERY_SPLITS, Row, read_rows

CHUNK = 64

Vectors = NDArray[np.float32]
WEIGHTINGS: dict[str, Weights] = {"object alone": Weights(object=1)} | {
    str(name): weights for name, weights in INTENTS.items()
}


@dataclass(frozen=True)
class Seen:
    """A row with its look."""

    row: Row
    look: Look


@dataclass(frozen=True)
class Score:
    """Shares of queries (recall) and of hits (precision) that are right, 0 to 1."""

    index: str
    weighting: str
    queries: int
    recall_1: float
    recall_5: float
    precision_10: float
    category_1: float
    category_10: float


def look_at_all(rows: Sequence[Row], eyes: Eyes, console: Console) -> list[Seen]:
    """Every row whose picture can be used."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seen: list[Seen] = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("pictures", total=len(rows))
        for start in range(0, len(rows), CHUNK):
            few = rows[start : start + CHUNK]
            looks = eyes.look_at([row.path.read_bytes() for row in few])
            seen += [Seen(row, look) for row, look in zip(few, looks, strict=True) if isinstance(look, Look)]
            progress.advance(task, len(few))
    return seen


def score(queries: Sequence[Seen], index: Sequence[Seen], name: str, weighting: str, encoder: Encoder) -> Score:
    """How often the pictures found are of the query's label, and of its category."""
    sizes = encoder.object_size, encoder.style_size
    asked = np.stack([weighted(one.look.vector, WEIGHTINGS[weighting], *sizes) for one in queries])
    held = np.stack([one.look.vector for one in index])
    best = np.argsort(-(asked @ held.T), axis=1, kind="stable")[:, :10]
    label, category = (_right(queries, index, best, field) for field in ("label", "category"))
    return Score(
        name, weighting, len(queries), label[:, 0].mean(), label[:, :5].any(axis=1).mean(), label.mean(),
        category[:, 0].mean(), category.mean(),
    )  # fmt: skip


def _right(queries: Sequence[Seen], index: Sequence[Seen], best: NDArray[np.intp], field: str) -> NDArray[np.bool_]:
    asked, held = (np.array([getattr(one.row, field) for one in group]) for group in (queries, index))
    right: NDArray[np.bool_] = held[best] == asked[:, None]
    return right


def scores(seen: Sequence[Seen], encoder: Encoder) -> list[Score]:
    """One score for each index and weighting."""
    queries = [one for one in seen if one.row.split in QUERY_SPLITS]
    groups = {name: [one for one in seen if one.row.split == name] for name in ("train", "catalog")}
    return [
        score(queries, group, name, weighting, encoder)
        for name, group in groups.items()
        if group and queries
        for weighting in WEIGHTINGS
    ]


def colour_agreement(seen: Sequence[Seen]) -> dict[str, dict[str, float]]:
    """For each labelled colour: pictures, share where it comes first, share where it is among the names."""
    labels = sorted({one.row.colour for one in seen if one.row.colour})
    groups = {label: [one.look.colours for one in seen if one.row.colour == label] for label in labels}
    return {
        label: {
            "pictures": len(group),
            "first": sum(names[0] == label for names in group) / len(group),
            "any": sum(label in names for names in group) / len(group),
        }
        for label, group in groups.items()
    }


def show(found: Sequence[Score], colours: dict[str, dict[str, float]], console: Console) -> None:
    """Print the tables."""
    table = Table("index", "weighting", "queries", "R@1", "R@5", "P@10", "category P@1", "P@10")
    for one in found:
        name, weighting, queries, *values = asdict(one).values()
        table.add_row(name, weighting, str(queries), *(f"{value:.3f}" for value in values))
    console.print(table)
    if colours:
        table = Table("colour", "pictures", "first", "any")
        for label, shares in colours.items():
            table.add_row(label, *(f"{value:.2f}".removesuffix(".00") for value in shares.values()))
        console.print(table)


def main(
    folder: Annotated[Path, typer.Argument(help="Folder with labels.csv or products.csv")],
    encoder_name: Annotated[str, typer.Option("--encoder", help="As LOOKSTREAM_ENCODER")] = "efficientnet-lite2",
    limit: Annotated[int, typer.Option(help="Pictures to take, chosen at random; 0: all")] = 0,
    report: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Measure how well an encoder finds the like of each query picture."""
    console = Console()
    try:
        rows, encoder = read_rows(folder), open_encoder(encoder_name, Torch())
    except (FileNotFoundError, EncoderUnavailable) as error:
        console.print(str(error), style="red")
        raise typer.Exit(1) from None
    rows = random.Random(0).sample(rows, limit) if 0 < limit < len(rows) else rows
    with ThreadPoolExecutor(2) as pool:
        started = time.perf_counter()
        seen = look_at_all(rows, Eyes(encoder, make_colours(), Limits(thumbnail=0), pool), console)
    rate = len(seen) / (time.perf_counter() - started)
    found, colours = scores(seen, encoder), colour_agreement(seen)
    show(found, colours, console)
    console.print(f"{encoder.fingerprint}: {len(seen)} of {len(rows)} pictures, {rate:.0f} a second")
    if report:
        figures = {"encoder": encoder.fingerprint, "pictures": len(seen), "pictures_per_second": rate}
        figures |= {"scores": [asdict(one) for one in found], "colours": colours}
        report.write_text(json.dumps(figures, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
