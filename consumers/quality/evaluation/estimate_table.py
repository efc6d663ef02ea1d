"""Estimate table: how estimates with their intervals are printed, and the tables that hold them."""

from rich.table import Table

from consumers.quality.evaluation.bootstrap import Estimate


def format_estimate(estimate: Estimate) -> str:
    """An estimate as `.503 [.446, .561]`."""
    return _without_zeros(f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")


def format_difference(estimate: Estimate) -> str:
    """A difference as `+.020 [-.010, +.050]`."""
    return _without_zeros(f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]")


def _without_zeros(text: str) -> str:
    return text.replace("0.", ".")


def estimate_table(title: str, *columns: str, caption: str | None = None) -> Table:
    """A table whose first column, the names, does not wrap; in the other columns, intervals may."""
    table = Table(title=title, caption=caption)
    for n, column in enumerate(columns):
        table.add_column(column, no_wrap=n == 0, overflow="fold")
    return table
