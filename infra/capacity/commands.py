"""Capacity command `plan`: prints the resources that a load needs, and their cost."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options

if TYPE_CHECKING:
    from infra.capacity.constants import MeasuredConstants
    from infra.capacity.plan import CapacityPlan, CapacityTarget

app = typer.Typer()


@dataclass(frozen=True)
class PlanOptions:
    """Options of `plan`: the load, its service levels, and the inputs of the cost."""

    items: Annotated[str, typer.Option(help="Number of items, as 250000 or 1e9.")] = "1e6"
    searches: Annotated[str, typer.Option(help="Searches, as 2000/s.")] = "5/s"
    changes: Annotated[
        str | None,
        typer.Option(help="Rate of new items, as 30/s; default: each item once in 30 days.", show_default=False),
    ] = None
    pictures: Annotated[float, typer.Option(min=1, max=8, help="Pictures of an item, on average.")] = 1.0
    regions: Annotated[
        float,
        typer.Option(min=0, max=40, help="Things in the pictures of an item that are indexed too, on average."),
    ] = 0.0
    p95: Annotated[str, typer.Option(help="Limit of the 95th percentile of search latency, as 200ms.")] = "400ms"
    freshness: Annotated[
        str, typer.Option(help="Time within which an item is searchable after its event, as 1s.")
    ] = "1s"
    replicas: Annotated[int, typer.Option(min=1, max=10, help="Copies of each shard.")] = 2
    measured: Annotated[
        list[Path] | None,
        typer.Option(help="A bench-load.json of `make bench`: your machine's constants.", show_default=False),
    ] = None
    prices: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the monthly costs of a node, a disk_gb and a worker.", show_default=False
        ),
    ] = None
    budget: Annotated[
        float | None,
        typer.Option(min=0, help="Maximum monthly cost by --prices; a higher one is an error.", show_default=False),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False


@app.command()
@command_options(PlanOptions)
def plan(options: PlanOptions) -> None:
    """Plan the capacity: memory, disk, nodes and shards of the index, workers, partitions, and warnings."""
    import json
    import sys

    from infra.capacity.constants import read_measured
    from infra.capacity.plan import make_plan

    if options.budget is not None and options.prices is None:
        raise BadInput("--budget: give --prices too, a file of what a node, a disk_gb and a worker cost a month")
    target, measured = _capacity_target(options), read_measured(options.measured or [])
    capacity_plan = make_plan(target, measured)
    cost_report = _cost_report(options, capacity_plan, target, measured)
    if options.json:
        sys.stdout.write(json.dumps(asdict(capacity_plan) | cost_report) + "\n")
    else:
        _print_plan(capacity_plan, target, cost_report)
    if options.budget is not None and cost_report["cost"] > options.budget:
        sys.exit(FAILED)


def _cost_report(
    options: PlanOptions, capacity_plan: "CapacityPlan", target: "CapacityTarget", measured: "MeasuredConstants"
) -> dict[str, float]:
    """Monthly cost, and the number of items that the budget allows; empty without prices."""
    from infra.capacity.costs import costs_of, items_within, read_prices

    if options.prices is None:
        return {}
    prices = read_prices(options.prices)
    cost_report = {"cost": costs_of(capacity_plan, prices).total}
    if options.budget is not None:
        cost_report |= {
            "budget": options.budget,
            "items_within": items_within(options.budget, target, measured, prices),
        }
    return cost_report


def _capacity_target(options: PlanOptions) -> "CapacityTarget":
    from infra.capacity.plan import MONTH_SECONDS, CapacityTarget

    items = _number("--items", options.items, "")
    changes = items / MONTH_SECONDS if options.changes is None else _number("--changes", options.changes, "/s")
    return CapacityTarget(
        items=items,
        searches=_number("--searches", options.searches, "/s"),
        changes=changes,
        pictures=options.pictures,
        regions=options.regions,
        p95_ms=_milliseconds("--p95", options.p95),
        freshness_s=_milliseconds("--freshness", options.freshness) / 1000,
        replicas=options.replicas,
    )


def _number(option: str, text: str, unit: str) -> float:
    try:
        value = float(text.removesuffix(unit).replace("_", ""))
    except ValueError:
        value = -1.0
    if not 0 < value < 1e13:
        raise BadInput(f"{option} {text} is no number above 0, as 1e6{unit}")
    return value


def _milliseconds(option: str, text: str) -> float:
    if text.endswith("ms"):
        return _number(option, text, "ms")
    if text.endswith("s"):
        return _number(option, text, "s") * 1000
    raise BadInput(f"{option} {text} has no unit: write 200ms, or 1s")


def _print_plan(plan: "CapacityPlan", target: "CapacityTarget", cost_report: Mapping[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, table = Console(highlight=False), Table("what", "how much")
    engine = "embedded, on one machine" if plan.embedded else f"{plan.nodes} nodes, {plan.shards} shards"
    rows = {
        "points": f"{plan.points:,.0f}",
        "index": engine + ("" if plan.embedded else f", each {plan.copies} times"),
        "memory of the index": f"{plan.memory_gb:,.1f} GB in all",
        "of it, for searches by words": f"{plan.words_memory_gb:,.1f} GB",
        "disk of the index": f"{plan.disk_gb:,.1f} GB in all",
        "cores of the index, for searches": f"{plan.engine_cores:,.1f}",
        "a search by words, in each shard": f"{plan.words_ms:,.0f} ms, if one tenant has all items",
        "query workers, of two cores": f"{plan.query_workers:,}",
        "index workers, of two cores": f"{plan.index_workers:,} for {target.changes:,.1f} new items a second",
        "partitions of catalog.items": f"{plan.item_partitions:,}",
        "partitions of search.requests": f"{plan.request_partitions:,}",
    }
    if "cost" in cost_report:
        rows["costs a month, without Kafka"] = f"{cost_report['cost']:,.0f}"
    if "budget" in cost_report:
        rows["items that the budget holds"] = f"{cost_report['items_within']:,.0f}"
    for label, value in rows.items():
        table.add_row(label, value)
    console.print(table)
    for warning in plan.warnings:
        console.print(f"mind: {warning}", markup=False)
