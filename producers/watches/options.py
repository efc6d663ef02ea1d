"""Watch options: arguments and options of the watch commands."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from producers.cli_options import Restricted, TenantOption

JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print JSON only, one object per line.")]


@dataclass(frozen=True)
class WatchAddOptions:
    """Options of `watch add`."""

    query: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|URL|item:ID...", help="What to look for; as that of `search`.", show_default=False
        ),
    ]
    id: Annotated[
        str | None,
        typer.Option(
            help="Id of the watch; replaces one with the same id. Default: generated.", show_default=False
        ),
    ] = None
    min_confidence: Annotated[float, typer.Option(min=0.01, max=1, help="Minimum confidence of a match.")] = 0.5
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="What matches must satisfy; as that of `search`.", show_default=False
        ),
    ] = None
    any: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Matches must satisfy one of these at least.", show_default=False),
    ] = None
    not_: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="NAME=VALUE", help="Matches must satisfy none of these.", show_default=False),
    ] = None
    unlike: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="An item that matches should not resemble.", show_default=False),
    ] = None
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Look for this part, in fractions of the picture.", show_default=False
        ),
    ] = None
    intent: Annotated[
        Literal["exact", "similar", "style", "colour"],
        typer.Option(help="Preset of the weights of object, style and colour."),
    ] = "similar"
    restricted: Restricted = False
    tenant: TenantOption = "default"
    deadline: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for the look.")] = 5


@dataclass(frozen=True)
class WatchListOptions:
    """Options of `watch list`."""

    tenant: Annotated[str | None, typer.Option(help="Only watches of this tenant.", show_default=False)] = None
    json: JsonLinesOption = False


@dataclass(frozen=True)
class WatchRemoveOptions:
    """Options of `watch remove`."""

    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of the watches to remove.", show_default=False)
    ]
    tenant: TenantOption = "default"


@dataclass(frozen=True)
class WatchFollowOptions:
    """Options of `watch follow`."""

    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="Ids of the watches; default: all.", show_default=False),
    ] = None
    tenant: TenantOption = "default"
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest stored match, not with the next one.")
    ] = False
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many matches.", show_default=False)] = (
        None
    )
    json: JsonLinesOption = False
