"""Search options: arguments and options of the search command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from producers.cli_options import Restricted, TenantOption


@dataclass(frozen=True)
class SearchOptions:
    """Options of `search`."""

    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE|URL|item:ID...",
            help="What to search by: pictures of one thing, their addresses, or items; next to pictures, items are "
            "further examples that hits should resemble. Not needed with --text.",
            show_default=False,
        ),
    ] = None
    text: Annotated[
        str | None,
        typer.Option(
            help="Words that describe what to find, alone or beside a picture or an item: 'navy men's shirt under "
            "30', 'but in red', 'cheaper', 'without stripes'.",
            show_default=False,
        ),
    ] = None
    ignore_word: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Leave out this word of --text.", show_default=False),
    ] = None
    plain_word: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="Match this word of --text to titles, tags and attributes only: it is no filter.",
            show_default=False,
        ),
    ] = None
    variations: Annotated[
        bool,
        typer.Option(
            "--variations",
            help="List by what similar items differ from item:ID: colours, prices, patterns and more.",
        ),
    ] = False
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Search by this part, in fractions of the picture.", show_default=False
        ),
    ] = None
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Return this many items at most.")] = 10
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What hits must satisfy, as category=Shoes, colour=red, price=10..50, in_stock=true or "
            "created=2026-01-01..; values of one name are alternatives.",
            show_default=False,
        ),
    ] = None
    any: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Hits must satisfy one of these at least; as --filter.", show_default=False
        ),
    ] = None
    not_: Annotated[
        list[str] | None,
        typer.Option(
            "--not", metavar="NAME=VALUE", help="Hits must satisfy none of these; as --filter.", show_default=False
        ),
    ] = None
    unlike: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="An item that hits should not resemble.", show_default=False),
    ] = None
    offset: Annotated[
        int, typer.Option(min=0, max=900, help="Skip this many of the best hits, for another page.")
    ] = 0
    collapse: Annotated[
        Literal["item", "duplicates", "brand", "creator"],
        typer.Option(help="Return at most --group-size hits of each."),
    ] = "item"
    group_size: Annotated[
        int, typer.Option(min=1, max=10, help="Maximum number of hits of each --collapse group.")
    ] = 1
    diversity: Annotated[
        float,
        typer.Option(min=0, max=1, help="0: the best hits; towards 1: hits that differ more from each other."),
    ] = 0
    boost: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Boosts that raise scores, each by at most 0.2: recency=0.1 with half_life_days=30, in_stock=0.1, "
            "or price=0.1 with near_price=20, price_spread=5 and currency=EUR.",
            show_default=False,
        ),
    ] = None
    objects: Annotated[
        bool, typer.Option("--objects", help="Search by each thing in the picture too, if it has several.")
    ] = False
    understand: Annotated[
        bool,
        typer.Option(
            "--understand",
            help="Narrow to the likely category (for exact and colour: the colour) when that is sure.",
        ),
    ] = False
    explain: Annotated[bool, typer.Option("--explain", help="Show the parts of each score.")] = False
    intent: Annotated[
        Literal["exact", "similar", "style", "colour"],
        typer.Option(help="Preset of the weights of object, style and colour."),
    ] = "similar"
    metric: Annotated[
        Literal["collection", "default"],
        typer.Option(help="Compare as the collection has learnt from its own categories, or as all do at first."),
    ] = "collection"
    min_score: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Minimum score of a hit.", show_default=False)
    ] = None
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Minimum confidence of a hit.")] = 0
    best_effort: Annotated[
        bool, typer.Option("--best-effort", help="Show the nearest items even if none is similar.")
    ] = False
    restricted: Restricted = False
    tenant: TenantOption = "default"
    deadline: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for the answer.")] = 5
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False
    sheet: Annotated[
        Path | None, typer.Option(help="Write query and hits to this PNG file.", show_default=False)
    ] = None
    show_matches: Annotated[
        Path | None, typer.Option(help="Draw where hits agree to this PNG file.", show_default=False)
    ] = None
