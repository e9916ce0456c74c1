"""The one writer: what is asked for while a commit is under way shares the next one.

A caller gets its answer after the commit. Cancelling a caller does not cancel the transaction that carries its rows.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import takewhile

import structlog
from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError

from notifier.model.errors import DatabaseUnusable, SeatLost, StoreError, StoreUnavailable
from notifier.store.database import Database
from notifier.store.seat import Counters, Seat
from notifier.store.sql.parts import Group, Values
from notifier.store.thread import ConnectionThread

log = structlog.get_logger(__name__)


MOST_INTENTS = 2_000  # intents in one transaction: bounds how long a commit can take


@dataclass(slots=True)
class _Intent:
    groups: Sequence[Group]
    life: object
    """Of the seat, when it was asked for: a caller who was cancelled with that life must not write in the next."""
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """Serialises writes on one connection; `order` is the order of statements within a transaction."""

    def __init__(self, thread: ConnectionThread, database: Database, seat: Seat, order: Sequence[Executable]) -> None:
        self.thread = thread
        """For what else is to be done on the connection, between two transactions."""
        self._database = database
        self._seat = seat
        self._rank = {id(statement): rank for rank, statement in enumerate(order)}
        self._waiting: list[_Intent] = []
        self._asked = asyncio.Event()
        self._works = asyncio.Event()
        self._works.set()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._wrote_at = asyncio.get_running_loop().time()

    def start(self) -> None:
        """Starts the loop; `close` ends it after what was asked for before."""
        self._task = asyncio.create_task(self._run(), name="store writer")

    async def close(self) -> None:
        """Writes what still waits, then ends."""
        self._seat.hurry()
        self._closing = True
        self._asked.set()
        if self._task is not None:
            await self._task

    @property
    def works(self) -> bool:
        """Whether the last write succeeded, and the next may: else nothing may be sent whose outcome must be kept."""
        return self._works.is_set() and self._seat.trusted

    @property
    def idle(self) -> timedelta:
        """How long ago the last write succeeded."""
        return timedelta(seconds=asyncio.get_running_loop().time() - self._wrote_at)

    async def write(self, *groups: Group) -> None:
        """Commits the rows of all groups, or none. Raises StoreUnavailable (try again) or DatabaseUnusable (stop)."""
        if self._closing:
            raise StoreUnavailable(f"{self._database}: closed")
        asked = [(statement, rows) for statement, rows in groups if rows]
        if asked:
            await self._ask(asked)

    async def flush(self) -> None:
        """Waits until all that was asked for before is written, whatever became of who asked. Raises as `write`."""
        await self._ask([])

    async def _ask(self, groups: Sequence[Group]) -> None:
        intent = _Intent(groups, self._seat.life)
        self._waiting.append(intent)
        self._asked.set()
        await intent.done

    async def hurry(self) -> None:
        """From now on no write waits long for another process' lock: the process is about to end."""
        self._seat.hurry()  # first: what it ends may be what the thread does
        await self.thread.run(self._database.hurry)

    async def changes_from_outside(self) -> Counters:
        """What others have written, as numbers that move with it. Raises StoreUnavailable."""
        try:
            return await self.thread.run(self._seat.changes)
        except DBAPIError as error:
            raise self._database.explain(error) or error from error

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            await self._asked.wait()
            self._asked.clear()
            while self._waiting:
                await self._commit(self._next())

    def _next(self) -> list[_Intent]:
        """What is written together: of one life."""
        life = self._waiting[0].life
        batch = list(takewhile(lambda intent: intent.life is life, self._waiting[:MOST_INTENTS]))
        del self._waiting[: len(batch)]
        return batch

    async def _commit(self, batch: list[_Intent]) -> None:
        error = await self._attempt(batch)
        if error is not None and not isinstance(error, StoreError) and len(batch) > 1:
            for intent in batch:  # one of them is a bug of ours: it alone must fail
                await self._commit([intent])
            return
        self._report(error)
        for intent in batch:
            if intent.done.done():  # its caller was cancelled
                continue
            if error is None:
                intent.done.set_result(None)
            else:
                intent.done.set_exception(error)

    async def _attempt(self, batch: list[_Intent]) -> Exception | None:
        merged: dict[int, tuple[Executable, list[Values]]] = {}
        for intent in batch:
            for statement, rows in intent.groups:
                merged.setdefault(self._rank[id(statement)], (statement, []))[1].extend(rows)
        try:
            groups = [merged[rank] for rank in sorted(merged)]
            await self.thread.run(partial(self._seat.transact, groups, batch[0].life))
        except DBAPIError as error:
            return self._database.explain(error) or error
        except Exception as error:  # noqa: BLE001 - a value that the database can't hold, say: its caller must hear of it
            return error
        return None

    def _report(self, error: Exception | None) -> None:
        if error is None:
            self._wrote_at = asyncio.get_running_loop().time()
        if error is None and not self._works.is_set():
            self._works.set()
            log.info("database can be written again", database=str(self._database))
        elif isinstance(error, StoreError) and not isinstance(error, SeatLost) and self._works.is_set():
            self._works.clear()
            if isinstance(error, DatabaseUnusable):
                log.critical("database is unusable", error=str(error))
            else:
                log.error("database can't be written; nothing is lost, trying again", error=str(error))
