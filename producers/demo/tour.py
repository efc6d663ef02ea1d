"""Demo tour: draw a catalogue, start the system, ingest and search the catalogue, and report the results."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.client.search_client import SearchClient
from infra.config.errors import BadInput
from infra.config.kafka import KafkaSettings
from infra.config.settings import Settings
from infra.kafka import check_broker
from infra.local_state import resolve_kafka_settings
from producers.demo.arrivals import TENANT, Arrivals, bulk_seconds, latencies, open_arrivals, send_one_by_one
from producers.demo.catalogue import MAX_PRODUCTS, Catalogue, DemoProduct, draw_catalogue
from producers.demo.figures import DemoFigures, IngestFigures, PromiseCheck, complaints, spread
from producers.demo.kinds import KINDS
from producers.demo.questions import (
    PhotoAnswer,
    SearchFunction,
    count_first_hits,
    is_found,
    sample,
    search_by_photo,
    time_searches,
    try_filters,
    try_nothing,
    try_street,
)
from producers.demo.report import print_report, write_json, write_sheet
from producers.demo.system import run_command, running_system

SEED = 7
SINGLE_PRODUCTS = 12
"""Products that are sent one at a time after the bulk, to measure the latency of a single event."""


@dataclass(frozen=True)
class TourOptions:
    """Options of the tour."""

    products: int
    queries: int
    keep_up: bool
    out: Path


@dataclass(frozen=True)
class DemoTour:
    """Settings, options and console of a running tour."""

    settings: Settings
    options: TourOptions
    console: Console

    def print_command(self, command: str) -> None:
        """Print a command before it runs."""
        self.console.print(f"[bold cyan]$[/] {command}", soft_wrap=True)

    @contextmanager
    def progress(self, description: str, total: int) -> Iterator[Progress]:
        """Show a progress bar for a long step."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bar:
            bar.add_task(description, total=total)
            yield bar


def run_tour(settings: Settings, options: TourOptions, console: Console) -> bool:
    """Run the demo and print its report; returns whether there were no complaints.

    Writes demo.png and demo.json into `options.out`. Raises BadInput for impossible options, and Unavailable if the
    system does not work.
    """
    min_products = len(KINDS) + SINGLE_PRODUCTS
    if not min_products <= options.products <= MAX_PRODUCTS:
        raise BadInput(f"--products {options.products}: give {min_products} to {MAX_PRODUCTS}")
    if not 1 <= options.queries <= options.products:
        raise BadInput(f"--queries {options.queries}: give 1 to {options.products}, as many as there are products")
    tour = DemoTour(settings, options, console)
    options.out.mkdir(parents=True, exist_ok=True)
    catalogue = _draw_products(tour)
    log = settings.data / "demo" / "up.log"
    with running_system(settings, log, tour.print_command, keep=options.keep_up) as process_id:
        figures = _run_steps(tour, catalogue)
    print_report(console, figures)
    console.print(f"wrote {options.out / 'demo.png'} and {options.out / 'demo.json'}")
    if process_id is not None and options.keep_up:
        console.print(f"the page: `lookstream open --tenant {TENANT}`")
        console.print(f"the system stays up: stop it with `kill {process_id}`; its messages go to {log}")
    return not complaints(figures)


def _draw_products(tour: DemoTour) -> Catalogue:
    with tour.progress("drawing products", tour.options.products) as bar:
        folder = tour.settings.data / "demo"
        return draw_catalogue(folder, tour.options.products, SEED, lambda: bar.advance(bar.task_ids[0]))


def _run_steps(tour: DemoTour, catalogue: Catalogue) -> DemoFigures:
    """Run the steps that need the running system."""
    kafka = resolve_kafka_settings(tour.settings)
    check_broker(kafka)
    arrivals = open_arrivals(kafka)
    try:
        ingested = _ingest(tour, kafka, catalogue, arrivals)
        with closing(SearchClient(kafka)) as client:
            return _run_searches(tour, catalogue, arrivals, ingested, client.search)
    finally:
        arrivals.close()


def _ingest(tour: DemoTour, kafka: KafkaSettings, catalogue: Catalogue, arrivals: Arrivals) -> IngestFigures:
    products = [product.id for product in catalogue.products]
    bulk, single = products[:-SINGLE_PRODUCTS], products[-SINGLE_PRODUCTS:]
    posts = [post.id for post in catalogue.posts]
    arguments = ["--image-root", str(catalogue.folder), "--tenant", TENANT]
    run_command(
        ["ingest", "catalog", str(catalogue.products_file), *arguments, "--limit", str(len(bulk))],
        tour.print_command,
    )
    run_command(["ingest", "social", str(catalogue.posts_file), *arguments], tour.print_command)
    with tour.console.status("waiting until everything can be found"):
        arrivals.await_items([*bulk, *posts])
        send_one_by_one(kafka, catalogue, len(bulk), arrivals)
    indexed = arrivals.indexed(bulk)
    seconds = bulk_seconds(indexed)
    return IngestFigures(
        products=len(products),
        posts=len(posts),
        seconds=round(seconds, 2),
        images_per_second=round(sum(outcome.images for outcome in indexed) / seconds, 1) if seconds else 0.0,
        missing=arrivals.missing([*products, *posts]),
        # The first of them is left out, because it also opens the connection to Kafka.
        event_to_searchable=spread(latencies(arrivals.indexed(single[1:]))),
    )


def _run_searches(
    tour: DemoTour, catalogue: Catalogue, arrivals: Arrivals, ingested: IngestFigures, search: SearchFunction
) -> DemoFigures:
    photos = _search_photos(tour, catalogue, search)
    trials = [try_street(search, catalogue), *try_filters(search, catalogue), try_nothing(search, catalogue)]
    deletion = _delete_one(tour, catalogue, arrivals, search)
    figures = DemoFigures(
        ingested=ingested,
        first_hits=count_first_hits(photos),
        searched=time_searches(photos),
        promises=(*(trial.promise for trial in trials), deletion),
        encoder=photos[0].result.encoder,
    )
    write_sheet(tour.options.out / "demo.png", catalogue, photos, trials)
    write_json(tour.options.out / "demo.json", figures)
    return figures


def _search_photos(tour: DemoTour, catalogue: Catalogue, search: SearchFunction) -> list[PhotoAnswer]:
    products = sample(catalogue, tour.options.queries)
    # Warm-up, not measured: the first search also opens connections and loads code.
    search_by_photo(search, catalogue, products[0])
    with tour.progress("searching with photos", len(products)) as bar:
        answers = []
        for product in products:
            answers.append(search_by_photo(search, catalogue, product))
            bar.advance(bar.task_ids[0])
        return answers


def _delete_one(tour: DemoTour, catalogue: Catalogue, arrivals: Arrivals, search: SearchFunction) -> PromiseCheck:
    """Delete a product that was found, and check that it is not found any more."""
    deleted: DemoProduct = catalogue.products[-1]
    before = is_found(search, catalogue, deleted)
    arrivals.expect_again(deleted.id)
    run_command(["delete", deleted.id, "--tenant", TENANT], tour.print_command)
    arrivals.await_items([deleted.id])
    after = is_found(search, catalogue, deleted)
    labels = {True: "found", False: "not found"}
    return PromiseCheck(
        "a deleted product", before and not after, f"{labels[before]} before, {labels[after]} after"
    )
