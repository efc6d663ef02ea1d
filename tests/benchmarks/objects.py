"""How long do searches for each thing in a photo take? `python -m tests.benchmarks.objects DATA`.

DATA is the folder that `make evaluate` takes. The photos are composites of three catalogue things. Rounds of
searches with `objects` and without take turns, in a running system with a drawn catalogue.
"""

import json
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.observability.host_info import describe_machine, installed_versions
from producers.demo.catalogue import draw_catalogue
from schemas.items import Objects
from tests.benchmarks.steady_rate import Queries, Searches, search_steadily
from tests.benchmarks.whole_path import ingest, kafka_of, run_system, tenant_of
from tests.evaluation.composites import compose, read_grounds, read_things

SEED, PHOTOS, QUALITY = 7, 40, 88
KINDS: tuple[Objects, ...] = ("none", "auto")


def draw_photos(data: Path, count: int) -> list[bytes]:
    """JPEGs of composites."""
    things, grounds = read_things(data, train=False), read_grounds(data, train=False)
    photos = []
    for number in range(count):
        out = BytesIO()
        compose(things, grounds, SEED + number).image.save(out, "JPEG", quality=QUALITY)
        photos.append(out.getvalue())
    return photos


def medians(rounds: Sequence[Searches]) -> dict[str, float]:
    """The medians of the rounds, and how many searches were sent and answered in all."""
    figures: dict[str, float] = {name: sum(getattr(one, name) for one in rounds) for name in ("sent", "answered")}
    for name in ("whole", "looked", "beyond"):
        for share in ("p50", "p95"):
            values = [float(getattr(getattr(one, name), share)) for one in rounds]
            figures[f"{name}_{share}_ms"] = round(median(values), 1)
    return figures


def main(
    data: Annotated[Path, typer.Argument(help="The folder with grocery, clothing and fashion", exists=True)],
    encoder: Annotated[str, typer.Option(help="The encoder")] = "best",
    items: Annotated[int, typer.Option(help="Items in the index", min=2)] = 120,
    rounds: Annotated[int, typer.Option(help="Rounds of each kind", min=1)] = 3,
    rate: Annotated[float, typer.Option(help="Searches a second", min=0.1)] = 5.0,
    seconds: Annotated[float, typer.Option(help="How long a round is", min=1)] = 20.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there")] = None,
) -> None:
    """Search at a steady rate, with objects and without in turn."""
    console, measured = Console(), {kind: list[Searches]() for kind in KINDS}
    with (
        tempfile.TemporaryDirectory(prefix="lookstream-objects-") as folder,
        console.status("measuring"),
        run_system(Path(folder) / "system", encoder) as system,
    ):
        ingest(system, draw_catalogue(Path(folder) / "catalogue", items, SEED), 0)
        photos = draw_photos(data, PHOTOS)
        for _ in range(rounds):
            for kind in KINDS:
                queries = Queries(photos, tenant_of(0), kind)
                found = search_steadily(kafka_of(system), queries, rate, round(rate * seconds))
                measured[kind].append(found)
    figures: dict[str, Any] = {kind: medians(found) for kind, found in measured.items()}
    figures |= {"machine": describe_machine(), "versions": installed_versions()}
    console.print_json(json.dumps(figures))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
