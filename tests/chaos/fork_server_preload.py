"""The preload of the fork server: what the programs and the suite import, and the colour table."""

import rich.progress
import rich.table
import typer

from tests.chaos import fork_server, suite

WARM = (rich.progress, rich.table, typer, suite.find_scenarios(), fork_server.colours())
"""Module-level references, so that every child finds these made."""
