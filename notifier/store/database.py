"""Which database there is, for those who do not care which: a file of SQLite, or a PostgreSQL server.

What an engine needs is loaded when it is asked for, and no sooner: who looks at a file of SQLite pays for that alone.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from notifier.model.errors import DatabaseUnusable, StoreError
from notifier.store.seat import Introduction, Seat
from notifier.store.sql.stored import Look
from notifier.watchlist.database import DatabasePlace

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from notifier.store.thread import ConnectionThread

Role = Literal["reader", "command"]


class Database(Protocol):
    """Where the state is kept, by its engine. Its text holds no secret."""

    # --- for who only looks, or orders something ---

    def check_current(self) -> None:
        """Raises DatabaseUnusable unless the schema is this version's."""

    def look(self) -> AbstractContextManager[Look]:
        """One transaction that reads, in plain SQL. Raises DatabaseUnusable where there is nothing to look at."""

    def open(self, role: Role) -> "AbstractContextManager[Connection]":
        """One transaction, which reads or is a command's. Raises DatabaseUnusable where there is nothing to look at."""

    def plain(self, connection: "Connection") -> Look:
        """The same transaction as one of `open`, in plain SQL."""

    def pulse(self) -> AbstractContextManager[Callable[[], object]]:
        """A question whose answer differs once anyone has written what people see. Raises StoreError.

        It is not to be asked twice at once, but from any thread."""

    def has_worker(self) -> bool:
        """Whether a worker runs on it now. Raises DatabaseUnusable to who may not look."""

    def silence_of(self, replica: str, now: datetime) -> timedelta | None:
        """How long ago the worker gave a sign of life; None where none has run yet. On a server each has its name."""

    def has_been_made(self) -> bool:
        """Whether there may be a database: no look where a worker has yet to make it."""

    # --- for the worker ---

    look_every: timedelta
    """How often a worker asks whether others have written."""

    def reserved(self) -> AbstractContextManager[None]:
        """Meanwhile no other worker may migrate it, or use it where it bears only one. Raises AlreadyRunning."""

    def prepare(self) -> bool:
        """Creates or upgrades it, as far as nobody else can have a place there; True when that changed it. What is
        left is upgraded by the seat, before it is trusted. Raises DatabaseUnusable with the remedy."""

    def migrate(self) -> bool:
        """Creates or upgrades it, whoever works there: workers of older versions give their work away before. True
        when that changed it. Raises DatabaseUnusable with the remedy."""

    def writing(self) -> "AbstractAsyncContextManager[ConnectionThread]":
        """The connection that writes, with a thread of its own. Raises DatabaseUnusable."""

    def reading(self) -> "AbstractAsyncContextManager[ConnectionThread]":
        """A connection that reads what is committed at each statement. Raises DatabaseUnusable."""

    def explain(self, error: BaseException, *, opening: bool = False) -> StoreError | None:
        """Our error for one of the driver's, which tells whether waiting can help; None where the fault is in our SQL.

        `opening`: what would pass later is an error now, and so is the rest."""

    def hurry(self, connection: "Connection") -> None:
        """From now on a write of this connection waits for nobody's lock for long."""

    def in_use(self) -> AbstractContextManager[None]:
        """Meanwhile this process, the worker, has it open."""

    def is_in_place(self) -> bool:
        """Whether it is still the one that `in_use` found."""

    def seat(self, introduction: Introduction) -> Seat:
        """The place of a worker at it."""


def database_at(place: DatabasePlace) -> Database:
    """The database of a watchlist. Raises DatabaseUnusable where what it needs is not installed."""
    if isinstance(place, Path):
        from notifier.store.sqlite.database import SqliteDatabase

        return SqliteDatabase(place)
    try:
        from notifier.store.postgres.database import PostgresDatabase
    except ImportError as error:
        remedy = f"{place} needs more than is installed: pip install 'census-notifier[postgresql]' ({error})"
        raise DatabaseUnusable(remedy) from None
    return PostgresDatabase(place)
