"""Imported by the nursery before it forks anything: all that the programs and the suite import, and the colours."""

import rich.progress
import rich.table
import typer

from tests.chaos import nursery, suite

WARM = (rich.progress, rich.table, typer, suite.find_scenarios(), nursery.colours())
"""Kept, so that every child finds them made."""
