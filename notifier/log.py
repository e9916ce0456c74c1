"""Logs: a constant sentence plus fields, to standard error; readable on a terminal, one JSON object a line elsewhere.

Never a URL that holds a secret, never a body.
"""

import logging
import os
import sys
from enum import StrEnum

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


class LogFormat(StrEnum):
    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _drop_absent(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    return {key: value for key, value in fields.items() if value is not None}


def configure(style: LogFormat, level: LogLevel) -> None:
    """Sets up logging for the process. Libraries' own warnings pass through the same door."""
    readable = style is LogFormat.CONSOLE or (style is LogFormat.AUTO and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _drop_absent,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if readable:
        colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        final: list[Processor] = [structlog.dev.ConsoleRenderer(colors=colors)]
    else:
        final = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )
