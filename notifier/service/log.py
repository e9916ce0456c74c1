"""Logs: a constant sentence plus fields, to standard error; readable on a terminal, one JSON object a line elsewhere.

Never a URL that holds a secret, never a body. A reader that stands still stops nobody: see outlet.py.
"""

import logging
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from notifier.service.stderr import OUTLET, line
from notifier.store.seat import replica_name
from notifier.watchlist.database import DatabasePlace, ServerUrl

_EVERYWHERE: Final[dict[str, str]] = {}
"""The fields that all lines of the process have, from whichever of its threads: a context variable would be in some."""


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


def _add_everywhere(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    return {**fields, **_EVERYWHERE}


def name_replica(place: DatabasePlace, env: Mapping[str, str]) -> None:
    """From now on each line says which replica speaks, where there may be several: at a server."""
    if isinstance(place, ServerUrl):
        _EVERYWHERE["replica"] = replica_name(env)


class _OutletLogger:
    """structlog's way to the outlet."""

    def __init__(self, *_: object) -> None:
        """One for each name; there is one outlet."""

    def msg(self, message: str) -> None:
        OUTLET.put(line(message))

    debug = info = warning = error = critical = exception = log = msg


class _OutletHandler(logging.Handler):
    """The standard library's way to the same outlet."""

    def emit(self, record: logging.LogRecord) -> None:
        OUTLET.put(line(self.format(record)))


def configure(style: LogFormat, level: LogLevel) -> None:
    """Sets up logging for the process. Libraries' own warnings pass through the same door."""
    _EVERYWHERE.clear()
    readable = style is LogFormat.CONSOLE or (style is LogFormat.AUTO and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _drop_absent,
        _add_everywhere,
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
        logger_factory=_OutletLogger,
        cache_logger_on_first_use=True,
    )
    door = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
    )
    libraries = _OutletHandler()
    libraries.setFormatter(door)
    logging.basicConfig(level=logging.WARNING, handlers=[libraries], force=True)

    def dropped(lines: int) -> bytes:
        fields: Any = {"event": "log lines were dropped: their reader stood still", "lines": lines}
        for processor in (*shared, *final):
            fields = processor(None, "warning", fields)
        return line(str(fields))

    OUTLET.notice = dropped
