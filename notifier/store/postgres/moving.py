"""A PostgreSQL server as one end of a move, by psycopg alone. All that it needs of the server holds for a transaction:
behind a pooler too."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import Table

from notifier.model.errors import DatabaseUnusable
from notifier.store.postgres import connect as border
from notifier.store.postgres.migration import check_current, state_of
from notifier.store.sql.moving import BATCH, OF_ALL, OF_SERVERS, Batches, columns_of, number_of
from notifier.store.sql.revision import refuse_others
from notifier.watchlist.database import ServerUrl

PATIENCE: Final = 3.0  # seconds: until the server has noticed that an earlier move was killed
PAUSE: Final = 0.1
# A move that is frozen, or whose line was cut, holds nobody up for longer. What it waits for is never long: it reads
# its rows from elsewhere by batches.
_LIMITS: Final = (
    "SET LOCAL idle_in_transaction_session_timeout = '60s'",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL lock_timeout = '10s'",
    "SET LOCAL synchronous_commit = on",
)
# Whoever wants a place, or orders something, waits until the move is over.
_CLOSE: Final = "LOCK TABLE replicas, deliveries IN EXCLUSIVE MODE"
_CLAIM: Final = "SELECT pg_try_advisory_xact_lock(hashtext('notifier moves'), hashtext(current_schema()))"
# Within 15 s, five times as long as a living one is silent.
_ALIVE: Final = (
    "SELECT name FROM replicas WHERE seen_at > (extract(epoch FROM clock_timestamp()) - 15) * 1000000 ORDER BY name"
)
_WAITING: Final = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND relation IN ('replicas'::regclass, 'deliveries'::regclass)"
)


class PostgresRows:
    """What is in the database, in one transaction."""

    tables: Sequence[Table] = (*OF_ALL, *OF_SERVERS)

    def __init__(self, place: ServerUrl, connection: border.Connection) -> None:
        self._place = place
        self._connection = connection

    def count(self, table: Table) -> int:
        return int(self._one(SQL("SELECT count(*) FROM {}").format(Identifier(table.name))))

    def rows(self, table: Table) -> Batches:
        query = SQL("SELECT {} FROM {}").format(_columns(table), Identifier(table.name))
        with (
            _errors(self._place),
            self._connection.cursor("moved") as cursor,
        ):  # a named one is the server's: rows come as they are wanted
            cursor.execute(query)
            while rows := cursor.fetchmany(BATCH):
                yield rows

    def add(self, table: Table, batches: Batches) -> None:
        into = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table.name), _columns(table))
        with self._connection.cursor() as cursor, cursor.copy(into) as copy:
            for rows in batches:
                for row in rows:
                    copy.write_row(row)
        # Else the first worker's reads are planned for an empty table.
        self._connection.execute(SQL("ANALYZE {}").format(Identifier(table.name)))

    def last_number(self, table: Table) -> int:
        column = number_of(table)
        if column is None:
            return 0
        given = self._one("SELECT pg_get_serial_sequence(quote_ident(%s), %s)", table.name, column.name)
        query = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {}"
        last = self._one(SQL(query).format(SQL(given)))
        largest = self._one(SQL("SELECT max({}) FROM {}").format(Identifier(column.name), Identifier(table.name)))
        return max(int(last), int(largest or 0))

    def count_on_from(self, table: Table, number: int) -> None:
        """Not by setval, which no end of the transaction takes back."""
        column = number_of(table)
        if column is not None:
            again = SQL("ALTER TABLE {} ALTER COLUMN {} RESTART WITH {}")
            self._connection.execute(again.format(Identifier(table.name), Identifier(column.name), number + 1))

    def is_wanted(self) -> bool:
        return int(self._one(_WAITING)) > 0

    def make_room(self) -> None:
        """Whoever died, or froze, as it began to work on the empty database has no place when it comes back."""
        for left in ("replicas", "parts", "in_force"):
            self._connection.execute(SQL("DELETE FROM {}").format(Identifier(left)))

    def commit(self) -> None:
        self._connection.commit()

    def _one(self, query: LiteralString | Composed, *given: object) -> Any:
        with _errors(self._place):
            (value,) = self._connection.execute(query, given or None).fetchone() or (None,)
        return value


def _columns(table: Table) -> Composed:
    return SQL(", ").join(map(Identifier, columns_of(table)))


class PostgresEnd:
    """See `End`, which says what is what."""

    def __init__(self, place: ServerUrl) -> None:
        self._place = place

    def __str__(self) -> str:
        return str(self._place)

    def is_at(self, other: object) -> bool:
        """By its URL; two that lead to one database are found out by a lock."""
        return isinstance(other, PostgresEnd) and self._place == other._place

    def check_source(self, *, keep: bool) -> None:
        with self._connected() as connection:
            state, revision = state_of(connection)
        refuse_others(self, state, revision)
        if revision is None:
            raise DatabaseUnusable(f"{self}: there is no database to move; `--from` must name the one to leave")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Before anything is touched; in the transaction it is looked at again, behind a lock."""
        with self._connected() as connection:
            state, revision = state_of(connection)
            refuse_others(self, state, revision)
            if revision is not None:
                self._refuse_living(connection)
        yield

    @contextmanager
    def source(self) -> Iterator[PostgresRows]:
        with self._connected() as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._limit(connection)
            connection.execute(_CLOSE)  # before the first look, which the transaction keeps to
            self._claim(connection)
            self._refuse_living(connection)
            check_current(self._place, connection)
            yield PostgresRows(self._place, connection)
            connection.rollback()

    @contextmanager
    def target(self) -> Iterator[PostgresRows]:
        with self._connected() as connection:
            self._limit(connection)
            self._claim(connection)
            connection.execute(_CLOSE)
            self._refuse_living(connection)
            check_current(self._place, connection)
            yield PostgresRows(self._place, connection)
            connection.rollback()

    def put_away(self) -> str:
        return self.advice()

    def advice(self) -> str:
        return (
            f"{self} is as it was: drop that database, or give it another name (ALTER DATABASE … RENAME TO …), "
            "for a worker that goes on with it tells everything a second time"
        )

    def _limit(self, connection: border.Connection) -> None:
        for limit in _LIMITS:
            connection.execute(limit)

    def _claim(self, connection: border.Connection) -> None:
        give_up = time.monotonic() + PATIENCE
        while connection.execute(_CLAIM).fetchone() != (True,):
            if time.monotonic() > give_up:
                raise DatabaseUnusable(
                    f"{self} is the very database that `--from` names, or is being moved already; nothing was changed"
                )
            time.sleep(PAUSE)

    def _refuse_living(self, connection: border.Connection) -> None:
        names = [str(name) for (name,) in connection.execute(_ALIVE)]
        if names:
            raise DatabaseUnusable(
                f"{self} is in use by the replica {', '.join(names)}; stop all of them before anything is moved "
                "(one that was killed counts for 15 seconds)"
            )

    @contextmanager
    def _connected(self) -> Iterator[border.Connection]:
        with _errors(self._place), border.connect(self._place) as connection:
            yield connection


@contextmanager
def _errors(place: ServerUrl) -> Iterator[None]:
    """Around each read too: behind what is read here may stand another server, whose fault it is not."""
    try:
        yield
    except psycopg.Error as error:
        raise border.explain(place, error, opening=True) or error from error
