"""Command line basics: errors without traces, options as dataclasses, and a console on standard error."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from infra.config.errors import BadInput, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

Options = TypeVar("Options")

FAILED, MISUSED, UNFINISHED, INTERRUPTED = 1, 2, 3, 130
"""Exit codes: failure; wrong usage; not all outcomes arrived in time; Ctrl-C (128 + SIGINT)."""


def error_console() -> "Console":
    """A console on standard error, for all output except the result itself."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def printable(text: str) -> str:
    """`text` on one line without control characters, so that foreign text cannot control the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def format_count(count: int, singular: str, plural: str) -> str:
    """A count with its noun, as `1 row` or `2 rows`."""
    return f"{count} {singular if count == 1 else plural}"


def print_error(message: str) -> None:
    """Print an error as one line on standard error, with secrets masked."""
    from infra.observability.redaction import redact_known

    sys.stderr.write(f"error: {printable(redact_known(message))}\n")


@contextmanager
def report_errors(*additional: type[Exception]) -> Iterator[None]:
    """Report errors that users can resolve as one sentence and an exit code, without a trace.

    These are BadInput (exit 2), and SettingsError, Failure, Unavailable, Fault and the `additional` types (exit 1).
    Any other exception is a bug and keeps its trace, with secrets masked. Also works as a decorator.
    """
    from infra.observability.redaction import guard_crash, redact_known
    from schemas.failures import Failure, Fault, Unavailable

    expected: tuple[type[Exception], ...] = (SettingsError, Failure, Unavailable, Fault, *additional)
    guard_crash(redact_known)
    try:
        yield
    except BadInput as error:
        print_error(str(error))
        sys.exit(MISUSED)
    except expected as error:
        print_error(str(error))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        print_error("stopped by Ctrl-C")
        sys.exit(INTERRUPTED)


def command_options(options: Callable[..., Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Convert `run(options)` to a typer command whose parameters are the fields of the dataclass `options`.

    Errors are reported as by plain_errors.
    """

    def decorate(run: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(run)
        def command(**values: object) -> None:
            with report_errors():
                run(options(**values))

        # typer reads the options from the signature; inspect prefers this attribute.
        command.__dict__["__signature__"] = inspect.signature(options)
        return command

    return decorate
