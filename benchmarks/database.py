"""What a PostgreSQL server has done for one database, from outside: CPU, transactions, rows, and who has which part."""

import time
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Final, Self

import psycopg

from benchmarks.processes import cpu_of
from tests.postgres.server import ROLE, OwnPostgres, name_of

REPLICAS_OWN: Final = ("replicas", "parts", "counters", "in_force", "hints", "listings")
"""Tables that hold what only replicas have of each other, and a file has no place for."""
_DONE: Final = """
SELECT
    (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
    (SELECT coalesce(sum(written + beats), 0) FROM replicas),
    (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE relname <> ALL(%(own)s)),
    (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE relname = ANY(%(own)s)),
    pg_current_wal_lsn() - '0/0'
"""
_SHARES: Final = """
SELECT replicas.id, count(parts.name) FROM replicas LEFT JOIN parts ON parts.owner = replicas.id GROUP BY replicas.id
"""


@dataclass(frozen=True, slots=True)
class Done:
    """So far, or between two looks."""

    at: float
    """Seconds of the monotonic clock."""
    cpu: float
    """Seconds, of the server's processes that workers are connected to; not of those that tidy up now and then."""
    transactions: float
    """Committed, also those that only read."""
    writes: float
    """Those that wrote; of workers that have their places now."""
    rows: float
    """Written to the tables that a file has too."""
    own_rows: float
    """Written to those that only replicas have."""
    wal: float
    """Bytes of its log."""

    def since(self, before: Self) -> Self:
        """The same between two looks."""
        return type(self)(*(getattr(self, each.name) - getattr(before, each.name) for each in fields(self)))


_CONNECTED: Final = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = %s"


class Database:
    """A database on a server of one's own. What workers did counts a second later: the server adds it up so often."""

    def __init__(self, server: OwnPostgres, url: str) -> None:
        self.url = url
        self._admin: psycopg.Connection = server.admin(name_of(url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.close()

    def done(self) -> Done:
        """What was done so far."""
        found = self._admin.execute(_DONE, {"own": list(REPLICAS_OWN)}).fetchone()
        assert found is not None
        return Done(time.monotonic(), self._cpu(), *map(float, found))

    def shares(self) -> list[int]:
        """How many parts each worker that has a place has, the most first; nothing while a part has nobody."""
        if self._admin.execute("SELECT FROM parts WHERE owner IS NULL").fetchone():
            return []
        return sorted((int(count) for _, count in self._admin.execute(_SHARES).fetchall()), reverse=True)

    def _cpu(self) -> float:
        """Workers keep their connections, and each is a process."""
        return sum(cpu_of(pid) for (pid,) in self._admin.execute(_CONNECTED, [ROLE]).fetchall())
