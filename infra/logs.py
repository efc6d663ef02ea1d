"""Logging: structlog, as lines for people or JSON for machines, to standard error."""

import logging
import sys

import structlog

from infra.settings import Logs

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(logs: Logs, part: str) -> None:
    """Set up logging for this process; every line names the `part` of the system that wrote it."""
    renderer = (
        structlog.processors.JSONRenderer()
        if logs.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[logs.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(part=part)
    # librdkafka and the like say what a person can do nothing about: their errors alone are shown.
    logging.basicConfig(level=logging.CRITICAL if logs.level != "debug" else logging.DEBUG, stream=sys.stderr)
