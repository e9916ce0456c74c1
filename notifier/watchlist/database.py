"""Which database a watchlist may name. Apart from the other values: who only looks into the database needs no more."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from notifier.watchlist.scalars import CONTROL

DEFAULT_DATABASE: Final = "sqlite:///notifier.db"
_SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = ("postgresql://", "postgres://")
# What libpq takes for user and password, hosts with their ports, and the database's name; its options follow.
_SERVER: Final = re.compile(r"(?:(?P<user>[^@/]*)@)?(?P<hosts>[^@/]*)(?P<name>/[^@/]*)?")
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORTS: Final = re.compile(r"(?:(?:\[[^\]]*\]|[^:,\[\]]*)(?::\d+)?(?:,|$))*")


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A PostgreSQL server and a database on it, as libpq reads it. Its text is without what may be secret."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        scheme, _, rest = self.url.partition("://")
        found = _SERVER.fullmatch(rest.partition("?")[0])
        return f"{scheme}://{found['hosts']}{found['name'] or '/'}" if found else f"{scheme}://"


DatabasePlace = Path | ServerUrl
"""SQLite's file, or a PostgreSQL server."""


def database_url(value: str) -> str:
    """The same, where it names a file of SQLite or a PostgreSQL server. Raises ValueError with what it must be."""
    if value.startswith(_POSTGRESQL):
        return _server(value)
    path = value.removeprefix(_SQLITE)
    if not value.startswith(_SQLITE):
        raise ValueError(
            "must start with sqlite:///, as in sqlite:///notifier.db, or with postgresql://, "
            "as in postgresql://user:password@host:5432/name; no other database is supported"
        )
    if not path.strip("/") or path.endswith("/") or path == ":memory:" or path.startswith("file:"):
        raise ValueError("must name a file, for example sqlite:///notifier.db")
    if CONTROL.search(path) or "?" in path:
        raise ValueError("must be sqlite:/// and a file's path, without options")
    return value


def _server(value: str) -> str:
    rest, _, options = value.partition("://")[2].partition("?")
    if CONTROL.search(value) or " " in value:
        raise ValueError("must have no space and no control character; write %20 for a space")
    found = _SERVER.fullmatch(rest)
    if found is None or "@" in options:
        raise ValueError(
            "must be postgresql://user:password@host:5432/name; "
            "in the user and the password write %40 for @, %2F for /, %3F for ?"
        )
    if _PERCENT.search(value):
        raise ValueError("must have two hexadecimal digits after each %; write %25 for % itself")
    if not _PORTS.fullmatch(found["hosts"]):
        raise ValueError("must have a number for each port, as in postgresql://user:password@host:5432/name")
    return value


def database_place(url: str) -> DatabasePlace:
    """The file behind `sqlite:///relative` or `sqlite:////absolute`, or the server of the URL."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else ServerUrl(url)
