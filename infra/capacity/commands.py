"""The command that says what a load needs: `plan`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options

if TYPE_CHECKING:
    from infra.capacity.measured import MeasuredConstants
    from infra.capacity.plan import CapacityPlan, CapacityTarget

app = typer.Typer()


@dataclass(frozen=True)
class PlanOptions:
    """What the load is, and what is promised of it."""

    items: Annotated[str, typer.Option(help="How many items, as 250000 or 1e9.")] = "1e6"
    searches: Annotated[str, typer.Option(help="Searches, as 2000/s.")] = "5/s"
    changes: Annotated[
        str | None, typer.Option(help="Items that are new, as 30/s; else each once in 30 days.", show_default=False)
    ] = None
    pictures: Annotated[float, typer.Option(min=1, max=8, help="Pictures of an item, on average.")] = 1.0
    p95: Annotated[str, typer.Option(help="Most that 95 of 100 searches may take, as 200ms.")] = "400ms"
    freshness: Annotated[str, typer.Option(help="When an item must be found after its event, as 1s.")] = "1s"
    replicas: Annotated[int, typer.Option(min=1, max=10, help="Copies of each shard.")] = 2
    measured: Annotated[
        list[Path] | None,
        typer.Option(help="A bench-load.json of `make bench`: your machine's constants.", show_default=False),
    ] = None
    prices: Annotated[
        Path | None,
        typer.Option(help="TOML file of what a node, a disk_gb and a worker cost a month.", show_default=False),
    ] = None
    budget: Annotated[
        float | None,
        typer.Option(min=0, help="What it may cost a month, by --prices; above that it fails.", show_default=False),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False


@app.command()
@command_options(PlanOptions)
def plan(options: PlanOptions) -> None:
    """Say what a load needs: the index's memory, disk, nodes and shards, workers, partitions, and what to mind."""
    import json
    import sys

    from infra.capacity.measured import read_measured
    from infra.capacity.plan import make_plan

    if options.budget is not None and options.prices is None:
        raise BadInput("--budget: give --prices too, a file of what a node, a disk_gb and a worker cost a month")
    wanted, measured = _wanted(options), read_measured(options.measured or [])
    made = make_plan(wanted, measured)
    bill = _bill(options, made, wanted, measured)
    if options.json:
        sys.stdout.write(json.dumps(asdict(made) | bill) + "\n")
    else:
        _show(made, wanted, bill)
    if options.budget is not None and bill["cost"] > options.budget:
        sys.exit(FAILED)


def _bill(
    options: PlanOptions, made: "CapacityPlan", wanted: "CapacityTarget", measured: "MeasuredConstants"
) -> dict[str, float]:
    """What it costs a month, and how many items the budget holds; nothing without prices."""
    from infra.capacity.costs import costs_of, items_within, read_prices

    if options.prices is None:
        return {}
    prices = read_prices(options.prices)
    bill = {"cost": costs_of(made, prices).total}
    if options.budget is not None:
        bill |= {"budget": options.budget, "items_within": items_within(options.budget, wanted, measured, prices)}
    return bill


def _wanted(options: PlanOptions) -> "CapacityTarget":
    from infra.capacity.plan import MONTH_SECONDS, CapacityTarget

    items = _number("--items", options.items, "")
    changes = items / MONTH_SECONDS if options.changes is None else _number("--changes", options.changes, "/s")
    return CapacityTarget(
        items=items,
        searches=_number("--searches", options.searches, "/s"),
        changes=changes,
        pictures=options.pictures,
        p95_ms=_milliseconds("--p95", options.p95),
        freshness_s=_milliseconds("--freshness", options.freshness) / 1000,
        replicas=options.replicas,
    )


def _number(option: str, text: str, unit: str) -> float:
    try:
        found = float(text.removesuffix(unit).replace("_", ""))
    except ValueError:
        found = -1.0
    if not 0 < found < 1e13:
        raise BadInput(f"{option} {text} is no number above 0, as 1e6{unit}")
    return found


def _milliseconds(option: str, text: str) -> float:
    if text.endswith("ms"):
        return _number(option, text, "ms")
    if text.endswith("s"):
        return _number(option, text, "s") * 1000
    raise BadInput(f"{option} {text} has no unit: write 200ms, or 1s")


def _show(plan: "CapacityPlan", wanted: "CapacityTarget", bill: Mapping[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, table = Console(highlight=False), Table("what", "how much")
    engine = "embedded, on one machine" if plan.embedded else f"{plan.nodes} nodes, {plan.shards} shards"
    rows = {
        "points": f"{plan.points:,.0f}",
        "index": engine + ("" if plan.embedded else f", each {plan.copies} times"),
        "memory of the index": f"{plan.memory_gb:,.1f} GB in all",
        "disk of the index": f"{plan.disk_gb:,.1f} GB in all",
        "cores of the index, for searches": f"{plan.engine_cores:,.1f}",
        "query workers, of two cores": f"{plan.query_workers:,}",
        "index workers, of two cores": f"{plan.index_workers:,} for {wanted.changes:,.1f} new items a second",
        "partitions of catalog.items": f"{plan.item_partitions:,}",
        "partitions of search.requests": f"{plan.request_partitions:,}",
    }
    if "cost" in bill:
        rows["costs a month, without Kafka"] = f"{bill['cost']:,.0f}"
    if "budget" in bill:
        rows["items that the budget holds"] = f"{bill['items_within']:,.0f}"
    for what, much in rows.items():
        table.add_row(what, much)
    console.print(table)
    for warning in plan.warnings:
        console.print(f"mind: {warning}", markup=False)
