"""PostgreSQL by SQLAlchemy: engines by role, and a thread whose connection is made anew when it broke."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, ExceptionContext, NullPool, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles

from notifier.store.postgres.connect import connect, explain, is_over
from notifier.watchlist.database import ServerUrl

T = TypeVar("T")

Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "AUTOCOMMIT"]


@compiles(OnConflictDoUpdate, "postgresql")
def _do_update(clause: Any, compiler: Any, **given: Any) -> str:
    """The statements are written with SQLite's `insert`: the clause is the same, word by word, in both."""
    clause.constraint_target = None  # which SQLite's has not
    written: str = compiler.visit_on_conflict_do_update(clause, **given)
    return written


@compiles(OnConflictDoNothing, "postgresql")
def _do_nothing(clause: Any, compiler: Any, **given: Any) -> str:
    clause.constraint_target = None
    written: str = compiler.visit_on_conflict_do_nothing(clause, **given)
    return written


@cache
def engine_for_looks(place: ServerUrl, isolation: Isolation) -> Engine:
    """An engine for connections of a moment. There is one in a process: the first connection of each asks much."""
    return _engine(place, isolation, poolclass=NullPool)


def engine_for_thread(place: ServerUrl, isolation: Isolation) -> Engine:
    """An engine that keeps one connection, and makes another when that broke."""
    return _engine(place, isolation, poolclass=QueuePool, pool_size=1, max_overflow=0)


def _engine(place: ServerUrl, isolation: Isolation, **pool: Any) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=partial(connect, place),
        isolation_level=isolation,
        use_native_hstore=False,
        **pool,
    )

    @event.listens_for(engine, "handle_error")
    def _handle_error(context: ExceptionContext) -> None:
        if is_over(context.original_exception):
            context.is_disconnect = True

    return engine


@contextmanager
def as_store_errors(place: ServerUrl, *, opening: bool = False) -> Iterator[None]:
    """Turns PostgreSQL's errors inside into ours. `opening`: what would pass later is an error now."""
    try:
        yield
    except DBAPIError as error:
        ours = explain(place, error, opening=opening)
        if ours is None:
            raise
        raise ours from error


class PostgresThread:
    """A connection that only its thread uses. Made by `own_thread`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postgresql")

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, or raises, in the thread; it runs to its end whatever becomes of the caller."""
        doing = asyncio.get_running_loop().run_in_executor(self._threads, self._with_connection, work)
        doing.add_done_callback(_seen)
        return await asyncio.shield(doing)

    async def close(self) -> None:
        """Closes the connection, and ends the thread, after what was asked for before."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._engine.dispose)
        self._threads.shutdown(wait=False)

    def _with_connection(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return work(connection)


def _connected(connection: Connection) -> None:
    """Nothing: to be there is enough."""


def _seen(doing: "asyncio.Future[Any]") -> None:
    """Whose caller was cancelled has an error that nobody waits for."""
    if not doing.cancelled():
        doing.exception()


@asynccontextmanager
async def lazy_thread(engine: Engine) -> AsyncIterator[PostgresThread]:
    """A new thread, which connects when there is something to do: that raises what connecting raises."""
    thread = PostgresThread(engine)
    try:
        yield thread
    finally:
        await thread.close()


@asynccontextmanager
async def own_thread(engine: Engine) -> AsyncIterator[PostgresThread]:
    """Connects in a new thread. Raises what connecting raises."""
    async with lazy_thread(engine) as thread:
        await thread.run(_connected)
        yield thread
