"""Logging: structlog output to standard error, as text or JSON, with secrets masked."""

import logging
import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from infra.config.observability import LogSettings
from infra.observability.redaction import Redact, guard_crash, guard_threads, redact_all

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(logs: LogSettings, part: str, redact: Redact) -> None:
    """Configure logging for this process; every line names the `part` of the system that wrote it.

    `redact` (redaction.py) masks every line, including those of libraries, and the trace of a crash.
    """
    colours = sys.stderr.isatty() or "FORCE_COLOR" in os.environ  # set by `lookstream up` for its children
    renderer = (
        structlog.processors.JSONRenderer()
        if logs.format == "json"
        else structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            _part_processor(part),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _masking_processor(redact),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[logs.level]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=False,
    )
    guard_crash(redact)
    guard_threads(redact)
    # Libraries such as librdkafka log much that users cannot act on: only critical records are shown.
    level = logging.CRITICAL if logs.level != "debug" else logging.DEBUG
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_masking_filter(redact))
    logging.basicConfig(level=level, handlers=[handler])


class _Stderr:
    """Standard error; a line that cannot be written, as on a full disk, is dropped without an error."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _part_processor(part: str) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    """A structlog processor that adds the part to the lines of all threads."""

    def name(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line.setdefault("part", part)
        return line

    return name


def _masking_processor(redact: Redact) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    """A structlog processor that redacts all values of a line."""

    def mask(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: redact_all(value, redact) for name, value in line.items()}

    return mask


def _masking_filter(redact: Redact) -> Callable[[logging.LogRecord], bool]:
    """A filter for the standard library's logging that redacts messages of libraries and their traces."""

    def mask(record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True

    return mask
