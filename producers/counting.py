"""Facet counts on the command line: build the request and print the result."""

import uuid

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.config.errors import BadInput
from infra.console import printable
from schemas.envelope import describe
from schemas.facets import FacetsRequest, FacetsResult


def make_facets_request(**fields: object) -> FacetsRequest:
    """A facets request with a new id; fields that are None are omitted. Raises BadInput."""
    present = {name: value for name, value in fields.items() if value is not None}
    try:
        return FacetsRequest.model_validate({"request_id": str(uuid.uuid4()), **present})
    except ValidationError as error:
        raise BadInput(f"these counts make no sense: {describe(error)}") from None


def show_counts(result: FacetsResult, console: Console | None = None) -> None:
    """Print the counts as a table, or the error."""
    console = console or Console(highlight=False)
    if result.status != "ok":
        console.print(printable(f"{result.status}: {result.message or ''}"), markup=False, soft_wrap=True)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("field")
    table.add_column("value", overflow="fold")
    table.add_column("items", justify="right")
    for name, counts in result.counts.items():
        for count in counts:
            table.add_row(name, escape(printable(count.value)), str(count.count))
    console.print(table)
