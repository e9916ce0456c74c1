"""How values are stored, for whoever reads rows by plain SQL, and for schema.py's types.

Times are whole microseconds since 1970 in UTC: they sort, and no zone can creep in. IDs are text, a number by its
digits.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from notifier.model.identity import Id, id_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Row(Protocol):
    """A row, by the names of its columns."""

    def __getitem__(self, column: str, /) -> Any: ...


class Look(Protocol):
    """One transaction that reads, in plain SQL: SQLAlchemy takes a quarter of a second to load."""

    yes: str
    """How the database writes that a boolean is true, so that its partial indexes have the answer."""

    replicas: str
    """The statement for the workers that there are: name, version, started_at, last_seen_at, parts, a line each,
    and whether it goes by another watchlist than the one in force."""

    def rows(self, statement: str, /) -> Iterator[Row]:
        """The rows of a statement without parameters."""


def time_of(stored: int) -> datetime:
    """The time of a column that is set."""
    return EPOCH + stored * MICROSECOND


def maybe_time(stored: int | None) -> datetime | None:
    """The time of a column that may be NULL."""
    return None if stored is None else time_of(stored)


def identity_of(stored: str) -> Id:
    """The ID of a column that is set, of whatever form it is."""
    return id_of(stored) or stored


def maybe_identity(stored: str | None) -> Id | None:
    """The ID of a column that may be NULL."""
    return None if stored is None else identity_of(stored)
