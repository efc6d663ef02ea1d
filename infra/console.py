"""What every command shares: plain errors, options as dataclasses, and a console on standard error."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Options = TypeVar("Options")

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
"""Exit codes: it did not work; it was asked the wrong way; Ctrl-C (128 + SIGINT)."""


class BadInput(Exception):
    """What the user gave makes no sense; the message is one sentence that names the thing and the remedy."""


def error_console() -> "Console":
    """The console for everything that is not the answer itself."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def printable(text: str) -> str:
    """`text` on one line without control characters: what others wrote must not steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def counted(count: int, one: str, more: str) -> str:
    """A number with its word, as `1 row` or `2 rows`."""
    return f"{count} {one if count == 1 else more}"


def complain(message: str) -> None:
    """One line on standard error, without secrets."""
    from infra.observability.redaction import redact_known

    sys.stderr.write(f"error: {printable(redact_known(message))}\n")


@contextmanager
def plain_errors(*also: type[Exception]) -> Iterator[None]:
    """Turn the errors that people can do something about into one sentence and an exit code, without a trace.

    Those are BadInput (exit 2), SettingsError, Failure, Unavailable, Fault and the kinds in `also` (exit 1).
    Anything else is a bug of ours, and keeps its trace, without secrets. Works as a decorator too.
    """
    from infra.config.settings import SettingsError
    from infra.observability.redaction import guard_crash, redact_known
    from schemas.failures import Failure, Fault, Unavailable

    expected: tuple[type[Exception], ...] = (SettingsError, Failure, Unavailable, Fault, *also)
    guard_crash(redact_known)
    try:
        yield
    except BadInput as error:
        complain(str(error))
        sys.exit(MISUSED)
    except expected as error:
        complain(str(error))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        complain("stopped by Ctrl-C")
        sys.exit(INTERRUPTED)


def takes(options: Callable[..., Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Make `run(options)` a command for typer, whose parameters are the fields of the dataclass `options`.

    Its errors are plain (see plain_errors).
    """

    def turn(run: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(run)
        def command(**values: object) -> None:
            with plain_errors():
                run(options(**values))

        # typer reads options from the signature, and inspect takes this one for it.
        command.__dict__["__signature__"] = inspect.signature(options)
        return command

    return turn
