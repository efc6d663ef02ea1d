"""Command options: arguments and options of the ingest, delete, facets and search commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

File = Annotated[Path, typer.Argument(metavar="FILE", help="The feed to read.", show_default=False)]
TenantOption = Annotated[str, typer.Option(help="Owner of the items; searches never cross it.")]
RowLimit = Annotated[int | None, typer.Option(min=0, help="Read this many rows at most.", show_default=False)]
Restricted = Annotated[bool, typer.Option("--restricted", help="Include items that moderation labels restrict.")]
ImageRootOption = Annotated[
    str | None,
    typer.Option(
        help="Base of relative picture paths: a folder, whose pictures go to the content store, or into the events "
        "if there is none; or a name of LOOKSTREAM_IMAGES_ROOTS, of which only paths are sent.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class OutcomeOptions:
    """Options of the commands that send item events: the wait for outcomes, and the report."""

    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until each event has its outcome, and show what they are.")
    ] = False
    wait_timeout: Annotated[
        float,
        typer.Option(
            min=0.1, max=86_400, help="Seconds without any outcome after which --wait ends, with exit code 3."
        ),
    ] = 900
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a line for each row to this file, with its outcome (--wait) or the reason why it was not "
            "sent: JSON lines, or CSV if the name ends in .csv.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FeedOptions(OutcomeOptions):
    """Options of the commands that read a feed of items."""

    image_root: ImageRootOption = None
    check: Annotated[
        bool, typer.Option("--check", help="Send nothing: read the feed, and show what would be sent.")
    ] = False
    check_pictures: Annotated[
        bool,
        typer.Option(
            "--check-pictures",
            help="As --check, and fetch and decode one picture of one item in a hundred, as workers do.",
        ),
    ] = False

    @property
    def is_check(self) -> bool:
        """Whether nothing is sent."""
        return self.check or self.check_pictures


@dataclass(frozen=True)
class CatalogOptions(FeedOptions):
    """Options of `ingest catalog`."""

    file: File
    map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN", help="Column of a field, if its name differs from Google's.", show_default=False
        ),
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(help="Encoding of the file, as windows-1252, if it is read wrongly.", show_default=False),
    ] = None
    delimiter: Annotated[
        str | None,
        typer.Option(
            help="What separates the cells of a table (a character, or `tab`), if it is read wrongly.",
            show_default=False,
        ),
    ] = None
    currency: Annotated[
        str | None, typer.Option(help="ISO 4217 code for prices without a currency.", show_default=False)
    ] = None
    limit: RowLimit = None
    tenant: TenantOption = "default"


@dataclass(frozen=True)
class SocialOptions(FeedOptions):
    """Options of `ingest social`."""

    file: File
    limit: RowLimit = None
    tenant: TenantOption = "default"


@dataclass(frozen=True)
class DeleteOptions(OutcomeOptions):
    """Options of `delete`."""

    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Ids of the items.", show_default=False)]
    tenant: TenantOption = "default"
    source: Annotated[Literal["catalog", "social"], typer.Option(help="Source of the items.")] = "catalog"
    revision: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Revision of the deletions, by default the present time in microseconds: for items whose events "
            "have revisions of another kind.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class FacetsOptions:
    """Options of `facets`."""

    facet: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD",
            help="Count by category, colours, brand, creator, source, tags, in_stock or currency; default: the "
            "first three and source.",
            show_default=False,
        ),
    ] = None
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Filters for the counted items; as those of `search`.", show_default=False
        ),
    ] = None
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of values of each field.")] = 20
    restricted: Restricted = False
    tenant: TenantOption = "default"
    deadline: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for the answer.")] = 5
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False


@dataclass(frozen=True)
class SearchOptions:
    """Options of `search`."""

    query: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|URL|item:ID...",
            help="What to search by: pictures of one thing, their addresses, or items; next to pictures, items are "
            "further examples that hits should resemble.",
            show_default=False,
        ),
    ]
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
        bool, typer.Option("--understand", help="Narrow to the likely category or colour when that is sure.")
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
