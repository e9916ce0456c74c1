"""Logs: a constant sentence plus fields, to standard error; readable on a terminal, one JSON object a line elsewhere.

Never a URL that holds a secret, never a body.
"""

import logging
import os
import sys
from contextlib import suppress
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


class _UnfailingLogger(structlog.PrintLogger):
    """Standard error may be a file on a full disk, or a pipe that nobody reads: no reason to stop working."""

    def __init__(self, *_: object) -> None:
        super().__init__(sys.stderr)

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            super().msg(message)

    debug = info = warning = error = critical = exception = log = msg


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
        # Plain: structlog's own choice shows local variables, secrets among them.
        final: list[Processor] = [
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        final = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_UnfailingLogger,
        cache_logger_on_first_use=True,
    )
    door = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
    )
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(door)
    logging.basicConfig(level=logging.WARNING, handlers=[to_stderr], force=True)
