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
REPORTED_OTHERWISE = ("librdkafka",)
"""Loggers whose errors are shown only at the level debug. librdkafka logs the same error at each attempt. It also
passes the error to callbacks, so the heartbeat and `lookstream health` show it with its remedy
(infra/kafka/problems.py)."""


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
    # Libraries log much that users cannot act on: only their errors are shown.
    is_debug = logs.level == "debug"
    logging.basicConfig(level=logging.DEBUG if is_debug else logging.ERROR, handlers=[_LibraryHandler()])
    for name in () if is_debug else REPORTED_OTHERWISE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _LibraryHandler(logging.Handler):
    """Passes the records of the standard library's loggers to structlog, which masks and renders them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record under the name of its logger, with its trace."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the arguments do not fit the message
            message = str(record.msg)
        level = max(logging.DEBUG, min(record.levelno // 10 * 10, logging.CRITICAL))  # structlog knows five levels
        structlog.get_logger().log(level, message, logger=record.name, exc_info=record.exc_info)


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
    def mask(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: redact_all(value, redact) for name, value in line.items()}

    return mask
