"""Demo report: print tables, and write demo.json and the contact sheet demo.png."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from producers.contact_sheet import SheetRow, draw_sheet
from producers.demo.catalogue import Catalogue
from producers.demo.figures import DemoFigures, LatencySpread, complaints
from producers.demo.questions import FilterTrial, PhotoAnswer
from schemas.results import Hit

SHEET_ROWS = 9
"""Maximum number of searches on the contact sheet; each thing in a photo has a further row."""


def print_report(console: Console, figures: DemoFigures) -> None:
    """Print the figures as tables, and then the complaints or a line of success."""
    console.print(_ingest_table(figures), _search_table(figures), _promise_table(figures))
    failures = complaints(figures)
    for complaint in failures:
        console.print(f"[bold red]✗[/] {complaint}")
    if not failures:
        console.print("[bold green]✓[/] all checks passed")


def _table(title: str, figures: Sequence[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, min_width=72)
    for name, value in figures:
        table.add_row(name, value)
    return table


def _ingest_table(figures: DemoFigures) -> Table:
    ingest = figures.ingested
    return _table(
        "From event to searchable",
        [
            (
                "items",
                f"{ingest.products} products and {ingest.posts} posts, {len(ingest.missing)} of them missing",
            ),
            ("bulk", f"{ingest.images_per_second:.1f} images/s over {ingest.seconds:.1f} s"),
            ("one event, until it is searchable", _spread(ingest.event_to_searchable)),
        ],
    )


def _search_table(figures: DemoFigures) -> Table:
    first, times = figures.first_hits, figures.searched
    return _table(
        f"{first.queries} searches with casual photos",
        [
            ("first hit is the right kind", _share(first.kind, first.queries)),
            ("... the right colour", _share(first.colour, first.queries)),
            ("... the right kind and colour", f"[bold]{_share(first.both, first.queries)}[/]"),
            ("... the same product", _share(first.product, first.queries)),
            ("from request to answer", _spread(times.client)),
            ("   waiting in Kafka", _spread(times.queued)),
            ("   getting the picture", _spread(times.fetched)),
            ("   decoding it", _spread(times.decoded)),
            ("   encoding it", _spread(times.encoded)),
            ("   searching the index", _spread(times.searched)),
        ],
    )


def _promise_table(figures: DemoFigures) -> Table:
    marks = {True: "[green]✓[/]", False: "[red]✗[/]"}
    return _table("What must hold", [(f"{marks[p.kept]} {p.what}", p.detail) for p in figures.promises])


def _spread(times: LatencySpread) -> str:
    return f"p50 {times.p50:.0f} ms, p95 {times.p95:.0f} ms" if times.count else "not measured"


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.1%})" if total else "none asked"


def write_json(path: Path, figures: DemoFigures) -> None:
    """Write the figures with machine and versions, so that runs can be compared."""
    path.write_text(json.dumps(figures.as_json(), indent=2) + "\n", encoding="utf-8")


def write_sheet(
    path: Path, catalogue: Catalogue, photos: Sequence[PhotoAnswer], trials: Sequence[FilterTrial]
) -> None:
    """Draw queries and hits side by side: as many photo searches as fit, then the searches with filters."""
    photo_rows = max(1, SHEET_ROWS - len(trials))
    pictures = _pictures(catalogue)
    rows = [
        (f"{a.product.colour} {a.product.kind}", a)
        for a in photos[:: max(1, len(photos) // photo_rows)][:photo_rows]
    ]
    rows += [(trial.caption, trial.answer) for trial in trials]
    draw_sheet([row for caption, answer in rows for row in _rows(pictures, caption, answer)]).save(path)


def _pictures(catalogue: Catalogue) -> dict[str, Path]:
    """Path of each item's full-size picture, because the index stores only a thumbnail."""
    products = {product.id: catalogue.folder / product.image for product in catalogue.products}
    return products | {post.id: catalogue.folder / post.image for post in catalogue.posts}


def _rows(pictures: Mapping[str, Path], caption: str, answer: PhotoAnswer) -> list[SheetRow]:
    """The row of a search, and one for each thing in its photo."""
    row = SheetRow(caption, answer.picture, [_with_picture(pictures, hit) for hit in answer.result.hits])
    things = [
        replace(
            row,
            caption=f"{caption}: thing {number}",
            hits=[_with_picture(pictures, hit) for hit in region.hits],
            crop=region.box,
        )
        for number, region in enumerate(answer.result.regions, 1)
    ]
    return [row, *things]


def _with_picture(pictures: Mapping[str, Path], hit: Hit) -> Hit:
    path = pictures.get(hit.item_id)
    return hit if path is None else hit.model_copy(update={"thumbnail": path.read_bytes()})
