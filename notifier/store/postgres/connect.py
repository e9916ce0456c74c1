"""How PostgreSQL is connected to, and what its errors mean to us. By psycopg alone: SQLAlchemy takes long to load.

The time-outs are for a line that is cut without a word: whatever waits then is told within ten seconds. A URL that says
otherwise is obeyed.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.adapt import Buffer
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg.types.string import StrDumper, TextLoader

from notifier.model.errors import DatabaseUnusable, StoreError, StoreUnavailable
from notifier.watchlist.database import ServerUrl

Connection = psycopg.Connection[TupleRow]

OLDEST: Final = 15  # the oldest version that PostgreSQL's makers and we test
DEFAULTS: Final[Mapping[str, object]] = {
    "connect_timeout": 5,  # seconds, for each host of the URL
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 8_000,  # milliseconds
    "target_session_attrs": "read-write",  # of several hosts the one that takes writes
    "application_name": "census-notifier",
}
OURS: Final[Mapping[str, object]] = {"client_encoding": "UTF8"}  # whatever the URL says: another can't write all text
MOST_OF_TEXT: Final = 300
_REFUSAL: Final = re.compile(
    r"FATAL: +(?:password authentication failed|no pg_hba\.conf entry|(?:role|database) .* does not exist)"
)

FOR_NOW: Final = {  # by SQLSTATE, or the first that it begins with: www.postgresql.org/docs/15/errcodes-appendix.html
    "08": "the connection broke",
    "25006": "the server takes no writes; it may be a standby",
    "40": "two transactions met",
    "53100": "the server's disk is full",
    "53": "the server has no room for it",
    "55P03": "another transaction holds a lock",
    "57014": "the server took too long",
    "57P01": "the server is being shut down",
    "57P02": "the server crashed",
    "57P03": "the server is starting",
    "57P05": "the server closed a connection that was idle",
    "25P03": "the server closed a transaction that was idle",
    "58": "the server's disk failed",
}
_POOLER: Final = (
    "a pooler by transaction stands in between that keeps no prepared statements; "
    "it has to pool by session, or be PgBouncer 1.21 or newer with max_prepared_statements"
)
FOR_GOOD: Final = {
    "26000": _POOLER,
    "28": "the server refuses this user",
    "3D000": "there is no such database",
    "42P05": _POOLER,
    "42P01": "a table is missing; it was changed by somebody else",
    "42703": "a column is missing; it was changed by somebody else",
    "42501": "the user lacks a right",
    "XX001": "the database is damaged; restore a backup",
    "XX002": "an index is damaged; REINDEX it",
}

# PostgreSQL's text has no NUL, and what Census sends may. What replaces it must not say something else: it is compared
# with what Census says next time. So the two code points that are written otherwise come back as they were.
_MARK: Final = "\ue000"
_NUL: Final = _MARK + "0"
_ITSELF: Final = _MARK + "1"


class _Dumper(StrDumper):
    def dump(self, obj: str) -> Buffer | None:
        if "\0" in obj or _MARK in obj:
            obj = obj.replace(_MARK, _ITSELF).replace("\0", _NUL)
        return super().dump(obj)


class _Loader(TextLoader):
    def load(self, data: Buffer) -> str | bytes:
        text = super().load(data)
        if isinstance(text, str) and _MARK in text:
            return text.replace(_NUL, "\0").replace(_ITSELF, _MARK)
        return text


def connect(place: ServerUrl) -> Connection:
    """A connection that is in no transaction. Raises psycopg.Error, and DatabaseUnusable where the URL is wrong."""
    try:
        asked: dict[str, Any] = {**DEFAULTS, **conninfo_to_dict(place.url), **OURS}
        connection = psycopg.connect(**asked)
    except psycopg.ProgrammingError:  # whose text shows what it stumbled over
        raise DatabaseUnusable(f"{place}: PostgreSQL's libpq can't read the URL of `database`") from None
    connection.adapters.register_dumper(str, _Dumper)
    connection.adapters.register_loader("text", _Loader)
    connection.adapters.register_loader("varchar", _Loader)
    return connection


def explain(place: ServerUrl, error: BaseException, *, opening: bool = False) -> StoreError | None:
    """Our error for one of psycopg's, or of SQLAlchemy's for it; None where the fault is in our SQL."""
    error = getattr(error, "orig", None) or error
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or ""
    said = f"{place}: {_reason(place, error, state)}"
    if any(state.startswith(known) for known in FOR_GOOD):
        return DatabaseUnusable(said)
    is_cut = not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if is_cut or any(state.startswith(known) for known in FOR_NOW):
        return DatabaseUnusable(said) if opening else StoreUnavailable(said)
    return DatabaseUnusable(said) if opening else None


def is_over(error: BaseException) -> bool:
    """Whether the connection is of no use after this error, though it may still be there."""
    return isinstance(error, psycopg.Error) and error.sqlstate in ("25006", "57P01", "57P02", "57P03", "57P05", "25P03")


def is_refusal(error: BaseException) -> bool:
    """Whether a server said that it does not let this user in, or has no such database; where it speaks English.

    libpq gives no SQLSTATE to who was not let in."""
    return _REFUSAL.search(str(error)) is not None


def _reason(place: ServerUrl, error: psycopg.Error, state: str) -> str:
    """Ours, and the server's own sentence: without its details, which show rows."""
    known = {**FOR_NOW, **FOR_GOOD}
    ours = next((known[each] for each in sorted(known, key=len, reverse=True) if state.startswith(each)), None)
    said = _without_passwords(place, error.diag.message_primary or str(error))
    theirs = " ".join(said.split())[:MOST_OF_TEXT]
    return f"{ours} ({state}: {theirs})" if ours and state else theirs


def _without_passwords(place: ServerUrl, text: str) -> str:
    """Whoever is taken for the server may say what it was told."""
    try:
        asked = conninfo_to_dict(place.url)
    except psycopg.ProgrammingError:  # nobody was told anything
        return text
    for name in ("password", "sslpassword"):
        if secret := asked.get(name):
            text = text.replace(str(secret), "***")
    return text
