"""Errors in user input: settings, and the input of commands."""

from schemas.failures import Fault


class SettingsError(Fault):
    """A setting that is not valid; the message names the variable and the remedy."""


class BadInput(Exception):
    """Input of a command that is not valid; the message is one sentence that names it and the remedy."""
