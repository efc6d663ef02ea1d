"""The tour: draw a shop, start the system, put everything in, search it, and say what happened."""

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
    Ask,
    PhotoAnswer,
    count_first_hits,
    is_found,
    sample,
    search_by_photo,
    time_searches,
    try_filters,
    try_nothing,
)
from producers.demo.report import print_report, write_json, write_sheet
from producers.demo.system import run_command, running_system

SEED = 7
LATE_PRODUCTS = 12
"""Products that come one at a time after the bulk, to time a single event."""


@dataclass(frozen=True)
class TourOptions:
    """What the user wants of the tour."""

    products: int
    queries: int
    keep_up: bool
    out: Path


@dataclass(frozen=True)
class DemoTour:
    """A tour under way."""

    settings: Settings
    plan: TourOptions
    console: Console

    def say(self, command: str) -> None:
        """Show a command before it runs."""
        self.console.print(f"[bold cyan]$[/] {command}", soft_wrap=True)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Progress]:
        """A bar for a step that takes long."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bar:
            bar.add_task(what, total=total)
            yield bar


def run_tour(settings: Settings, plan: TourOptions, console: Console) -> bool:
    """Run the whole demo and report; whether all went well.

    Writes demo.png and demo.json into `plan.out`. Raises BadInput or Unavailable when it cannot go on.
    """
    fewest = len(KINDS) + LATE_PRODUCTS
    if not fewest <= plan.products <= MAX_PRODUCTS:
        raise BadInput(f"--products {plan.products}: give {fewest} to {MAX_PRODUCTS}")
    if not 1 <= plan.queries <= plan.products:
        raise BadInput(f"--queries {plan.queries}: give 1 to {plan.products}, as many as there are products")
    tour = DemoTour(settings, plan, console)
    plan.out.mkdir(parents=True, exist_ok=True)
    catalogue = _draw(tour)
    log = settings.data / "demo" / "up.log"
    with running_system(settings, log, tour.say, keep=plan.keep_up) as started:
        figures = _go_through(tour, catalogue)
    print_report(console, figures)
    console.print(f"wrote {plan.out / 'demo.png'} and {plan.out / 'demo.json'}")
    if started is not None and plan.keep_up:
        console.print(f"the page: `lookstream open --tenant {TENANT}`")
        console.print(f"the system stays up: stop it with `kill {started}`; its messages go to {log}")
    return not complaints(figures)


def _draw(tour: DemoTour) -> Catalogue:
    with tour.progress("drawing products", tour.plan.products) as bar:
        folder = tour.settings.data / "demo"
        return draw_catalogue(folder, tour.plan.products, SEED, lambda: bar.advance(bar.task_ids[0]))


def _go_through(tour: DemoTour, catalogue: Catalogue) -> DemoFigures:
    """All that needs the system up."""
    kafka = resolve_kafka_settings(tour.settings)
    check_broker(kafka)
    arrivals = open_arrivals(kafka)
    try:
        ingested = _ingest(tour, kafka, catalogue, arrivals)
        with closing(SearchClient(kafka)) as client:
            return _search(tour, catalogue, arrivals, ingested, client.search)
    finally:
        arrivals.close()


def _ingest(tour: DemoTour, kafka: KafkaSettings, catalogue: Catalogue, arrivals: Arrivals) -> IngestFigures:
    products = [product.id for product in catalogue.products]
    bulk, late = products[:-LATE_PRODUCTS], products[-LATE_PRODUCTS:]
    posts = [post.id for post in catalogue.posts]
    place = ["--image-root", str(catalogue.folder), "--tenant", TENANT]
    run_command(["ingest", "catalog", str(catalogue.products_file), *place, "--limit", str(len(bulk))], tour.say)
    run_command(["ingest", "social", str(catalogue.posts_file), *place], tour.say)
    with tour.console.status("waiting until everything can be found"):
        arrivals.await_items([*bulk, *posts])
        send_one_by_one(kafka, catalogue, len(bulk), arrivals)
    done = arrivals.indexed(bulk)
    seconds = bulk_seconds(done)
    return IngestFigures(
        products=len(products),
        posts=len(posts),
        seconds=round(seconds, 2),
        images_per_second=round(sum(outcome.images for outcome in done) / seconds, 1) if seconds else 0.0,
        missing=arrivals.missing([*products, *posts]),
        # The first of them also opens the connection to Kafka.
        event_to_searchable=spread(latencies(arrivals.indexed(late[1:]))),
    )


def _search(
    tour: DemoTour, catalogue: Catalogue, arrivals: Arrivals, ingested: IngestFigures, ask: Ask
) -> DemoFigures:
    photos = _ask_photos(tour, catalogue, ask)
    trials = [*try_filters(ask, catalogue), try_nothing(ask, catalogue)]
    deletion = _delete_one(tour, catalogue, arrivals, ask)
    figures = DemoFigures(
        ingested=ingested,
        first_hits=count_first_hits(photos),
        searched=time_searches(photos),
        promises=(*(trial.promise for trial in trials), deletion),
        encoder=photos[0].result.encoder,
    )
    write_sheet(tour.plan.out / "demo.png", catalogue, photos, trials)
    write_json(tour.plan.out / "demo.json", figures)
    return figures


def _ask_photos(tour: DemoTour, catalogue: Catalogue, ask: Ask) -> list[PhotoAnswer]:
    asked = sample(catalogue, tour.plan.queries)
    search_by_photo(ask, catalogue, asked[0])  # connections open and code loads once, which is no search's time
    with tour.progress("searching with photos", len(asked)) as bar:
        answers = []
        for product in asked:
            answers.append(search_by_photo(ask, catalogue, product))
            bar.advance(bar.task_ids[0])
        return answers


def _delete_one(tour: DemoTour, catalogue: Catalogue, arrivals: Arrivals, ask: Ask) -> PromiseCheck:
    """A product that was found must not be found any more once it is deleted."""
    gone: DemoProduct = catalogue.products[-1]
    before = is_found(ask, catalogue, gone)
    arrivals.forget(gone.id)
    run_command(["delete", gone.id, "--tenant", TENANT], tour.say)
    arrivals.await_items([gone.id])
    after = is_found(ask, catalogue, gone)
    words = {True: "found", False: "not found"}
    return PromiseCheck("a deleted product", before and not after, f"{words[before]} before, {words[after]} after")
