"""Moves all that a database holds into an empty one, of whatever engine the two are: all or nothing.

There is one transaction of the target. A move that is killed before its end left the target empty and the source as it
was. One that is killed behind it, before the source was put away, is ended by the next: the two hold the same then.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Table

from notifier.model.errors import DatabaseUnusable, StoreError
from notifier.store.database import database_at
from notifier.store.sql.moving import Batches, digest_of
from notifier.watchlist.database import DatabasePlace


class Rows(Protocol):
    """What a database holds, in a transaction that is rolled back unless `commit` ends it."""

    @property
    def tables(self) -> Sequence[Table]:
        """What there is to move, in the order of the foreign keys."""

    def count(self, table: Table) -> int:
        """The number of its rows."""

    def rows(self, table: Table) -> Batches:
        """All of its rows, in no order."""

    def add(self, table: Table, batches: Batches) -> None:
        """Rows of another database."""

    def last_number(self, table: Table) -> int:
        """The last number that the database gave a row of it, or the largest there is; 0 for none."""

    def count_on_from(self, table: Table, number: int) -> None:
        """The next row's number is beyond that one."""

    def is_wanted(self) -> bool:
        """Whether someone waits for the transaction's end, to go on as if nothing had been moved."""

    def make_room(self) -> None:
        """Removes what workers that are gone left beside the tables."""

    def commit(self) -> None:
        """Keeps what was added."""


class End(Protocol):
    """One end of a move. Its text holds no secret. All that may fail raises StoreError, with the remedy."""

    def is_at(self, other: object) -> bool:
        """Whether the other is the same database."""

    def check_source(self, *, keep: bool) -> None:
        """Before anything is touched: that there is something to move, and that it can be put away."""

    def alone(self) -> AbstractContextManager[None]:
        """Meanwhile no worker is there, or none as far as can be seen from outside a transaction."""

    def source(self) -> AbstractContextManager[Rows]:
        """Nobody can write meanwhile."""

    def target(self) -> AbstractContextManager[Rows]:
        """Nobody can write meanwhile."""

    def put_away(self) -> str:
        """That no worker goes on with it by mistake; what people should know of it."""

    def advice(self) -> str:
        """What is left to do for whom it was not put away."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move."""

    rows: Mapping[str, int]
    """By table."""
    was_there: bool
    """An earlier move had come as far as that."""
    left: str
    """What became of the source, for people."""


def move(source: DatabasePlace, target: DatabasePlace, *, keep: bool) -> Moved:
    """Moves all of one database into the other, which is empty. `keep`: the source stays where it is.

    Raises StoreError."""
    old, new = _end(source), _end(target)
    if old.is_at(new):
        raise DatabaseUnusable(f"{old} is the very database that the watchlist names; `--from` must name another")
    old.check_source(keep=keep)
    with ExitStack() as stack:
        stack.enter_context(old.alone())
        stack.enter_context(new.alone())
        if _is_current(target) and not _is_current(source):  # else a move that can't be would leave the source newer
            with new.target() as here:
                _refuse_filled(old, new, here)
        database_at(source).migrate()
        database_at(target).migrate()
        with old.source() as from_there, new.target() as here:
            counts, was_there = _moved(old, from_there, new, here)
        return Moved(counts, was_there, old.advice() if keep else _put_away(old, new))


def _end(place: DatabasePlace) -> End:
    database_at(place)  # says what is not installed
    if isinstance(place, Path):
        from notifier.store.sqlite.moving import SqliteEnd

        return SqliteEnd(place)
    from notifier.store.postgres.moving import PostgresEnd

    return PostgresEnd(place)


def _is_current(place: DatabasePlace) -> bool:
    """Of this version's schema, and so with whatever a move that had come to its end brought."""
    try:
        database_at(place).check_current()
    except DatabaseUnusable:
        return False
    return True


def _refuse_filled(old: End, new: End, target: Rows) -> None:
    """Raises DatabaseUnusable where the target holds anything."""
    if any(map(target.count, target.tables)):
        raise DatabaseUnusable(
            f"{new} is not empty, and what it holds is not what {old} holds; `database` must name an empty one "
            "(if all was moved there before, and workers went on there since, put the old one away by hand)"
        )


def _moved(old: End, source: Rows, new: End, target: Rows) -> tuple[dict[str, int], bool]:
    tables = [table for table in source.tables if table in target.tables]
    counts = {table.name: source.count(table) for table in tables}
    if any(map(target.count, target.tables)):
        if not all(_hold_the_same(table, source, target) for table in tables):
            _refuse_filled(old, new, target)
        return counts, True
    target.make_room()
    for table in tables:
        target.add(table, source.rows(table))
        if number := source.last_number(table):
            target.count_on_from(table, number)
    arrived = {table.name: target.count(table) for table in tables}
    if arrived != counts:
        raise DatabaseUnusable(f"{new}: not all rows of {old} arrived ({arrived}, not {counts}); nothing was moved")
    if source.is_wanted():
        raise DatabaseUnusable(
            f"{old} is wanted by a worker or a command that came meanwhile; nothing was moved: stop it, and begin anew"
        )
    target.commit()
    return counts, False


def _hold_the_same(table: Table, one: Rows, other: Rows) -> bool:
    return one.count(table) == other.count(table) and digest_of(one.rows(table)) == digest_of(other.rows(table))


def _put_away(old: End, new: End) -> str:
    try:
        return old.put_away()
    except StoreError as error:
        raise DatabaseUnusable(
            f"{new} holds all of {old} now, but {error}; see to that, and say the same once more before a worker starts"
        ) from error
