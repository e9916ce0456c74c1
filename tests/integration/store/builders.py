"""What the tests of the store build: values, looks at a file past the store, and processes that end too early."""

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import aiosqlite

from notifier.model.delivery import DeliveryState, PendingDelivery, ReceiverState, Settlement
from notifier.model.event import Addressee, Event, EventType, Observation
from notifier.model.identity import Id
from notifier.model.run import Snapshot, Watched
from notifier.model.sync import Mark
from notifier.store.sql import delivering as statements
from notifier.store.sql.rows import receiver_row
from notifier.store.store import Store
from notifier.store.writer import Writer
from notifier.watchlist.database import DatabasePlace, ServerUrl

NOW = datetime(2026, 11, 23, 10, 30, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


# --- values ---


def a_snapshot(run_id: Id = 1, status: str | None = "working", **given: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "sync_id": 52,
        "watched": Watched(status=status),
        "created_at": NOW,
        "updated_at": NOW,
        "changed_at": NOW,
        "followed": False,
    }
    return Snapshot(run_id=run_id, **{**fields, **given})


def an_event(event_id: str = "evt_1", *receivers: str, **given: Any) -> Event:
    fields: dict[str, Any] = {
        "type": EventType.FAILED,
        "workspace": "main",
        "sync_id": 52,
        "run_id": 1,
        "seen_at": NOW,
        "body": b'{"type": "sync_run.failed"}',
    }
    return Event(id=event_id, addressees=tuple(map(Addressee, receivers)), **{**fields, **given})


def an_observation(*events: Event, snapshots: tuple[Snapshot, ...] = (), **given: Any) -> Observation:
    fields: dict[str, Any] = {"workspace": "main", "sync_id": 52, "label": "Leads"}
    return Observation(**{**fields, **given}, snapshots=snapshots, events=events)


async def save_receiver(store: Store, state: ReceiverState) -> None:
    """A receiver's state by itself; the worker writes it with the outcome that it comes from."""
    await store._writer.write((statements.SAVE_RECEIVER, [receiver_row(state)]))


FULL = an_observation(
    an_event("evt_1", "growth", "pipeline"),
    an_event("evt_2", "growth", "pipeline", run_id=2),
    snapshots=(a_snapshot(1), a_snapshot(2)),
    mark=Mark(2, NOW, NOW - DAY),
)
"""An observation with a mark, two snapshots, two events and four deliveries."""


def a_settlement(delivery: PendingDelivery | int, state: DeliveryState, **given: Any) -> Settlement:
    fields: dict[str, Any] = {
        "attempts": 1,
        "settled_at": NOW,
        "next_attempt_at": NOW + MINUTE if state is DeliveryState.PENDING else None,
        "first_failed_at": None,
        "aside": False,
        "last_error": None,
    }
    number = delivery if isinstance(delivery, int) else delivery.id
    return Settlement(delivery_id=number, state=state, **{**fields, **given})


# --- looks at a file, past the store ---


def nobody(workspace: str, sync_id: Id, floor: datetime) -> None:
    """Holds no marks in memory, whose floors retention would have to raise."""


def rows(place: DatabasePlace, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """By another connection than the store's."""
    if isinstance(place, ServerUrl):
        return _rows_of_server(place, query, parameters)
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        return connection.execute(query, parameters).fetchall()


def _rows_of_server(place: ServerUrl, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
    from notifier.store.postgres.connect import connect

    with connect(place) as connection:
        # An ID is text in the database, and a number here.
        given = [str(each) if type(each) is int else each for each in parameters] or None
        found = connection.execute(query.replace("?", "%s").encode(), given)
        return found.fetchall() if found.description is not None else []


def change(place: DatabasePlace, statement: str, *parameters: object) -> None:
    """A write by another connection than the store's."""
    rows(place, statement, *parameters)


def counts(place: DatabasePlace) -> dict[str, int]:
    """How many rows an observation has left in each of its tables."""
    tables = ("syncs", "snapshots", "events", "deliveries")
    return {table: rows(place, f"SELECT count(*) FROM {table}")[0][0] for table in tables}  # noqa: S608


def schema_of(path: Path) -> set[tuple[str, str, str | None]]:
    return set(rows(path, "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))


# --- behind the store's door: the only place here that knows its private names ---


def writer_of(store: Store) -> Writer:
    return store._writer


def writing_connection(store: Store) -> aiosqlite.Connection:
    return store._writer.thread._thread  # type: ignore[attr-defined, no-any-return]


def reading_connection(store: Store) -> aiosqlite.Connection:
    return store._reader._thread._thread  # type: ignore[attr-defined, no-any-return]


async def pragma(connection: aiosqlite.Connection, name: str) -> Any:
    async with connection.execute(f"PRAGMA {name}") as cursor:
        row = await cursor.fetchone()
    assert row is not None
    return row[0]


class Trace:
    """Every statement of a connection; the next COMMIT can be held back to let things happen during it."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._hold = False
        self._held = asyncio.Event()
        self._go = threading.Event()

    def hold_the_next_commit(self) -> None:
        self._hold = True
        self._held.clear()
        self._go.clear()

    async def until_held(self) -> None:
        await self._held.wait()

    def release(self) -> None:
        self._go.set()

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")

    def __call__(self, statement: str) -> None:
        """Runs in the connection's thread, before the statement does."""
        self.statements.append(statement)
        if statement == "COMMIT" and self._hold:
            self._hold = False
            self._loop.call_soon_threadsafe(self._held.set)
            self._go.wait(timeout=60)


async def traced(store: Store) -> Trace:
    """A trace of the store's writes from now on."""
    trace = Trace()
    await writing_connection(store).set_trace_callback(trace)
    return trace


async def hold_the_next_read(store: Store) -> tuple[asyncio.Event, threading.Event]:
    """The next read stops when SQLite has its statement (the first event) until it may go on (the second)."""
    loop = asyncio.get_running_loop()
    inside, go = asyncio.Event(), threading.Event()

    def stop_here(_: str) -> None:
        if not inside.is_set():
            loop.call_soon_threadsafe(inside.set)
            go.wait(timeout=60)

    await reading_connection(store).set_trace_callback(stop_here)
    return inside, go


async def cancel_a_read(store: Store) -> None:
    """Cancels a caller whose read is under way: SQLite has the statement and has not answered."""
    inside, go = await hold_the_next_read(store)
    task = asyncio.create_task(store.delivering.count_pending())
    await inside.wait()
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    go.set()
    assert isinstance(outcome, asyncio.CancelledError)


def left_of_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that are new and stay: one whose connection could not be opened needs a moment to end."""
    new = set(threading.enumerate()) - before
    for thread in new:
        thread.join(timeout=5)
    return [thread for thread in new if thread.is_alive()]


# --- other processes ---


def processes() -> ForkServerContext:
    """Processes that start fast, without what the tests' own has open, and whose end is theirs alone."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.integration.store.builders", "notifier.store.views.status", "alembic.command"]
    )
    return context


def run_to_its_end(target: Callable[..., None], *arguments: object) -> int:
    """The exit code of a process that runs the function: minus the signal's number where one ended it."""
    process = processes().Process(target=target, args=arguments)
    process.start()
    process.join(60)
    return exit_code(process)


def exit_code(process: BaseProcess) -> int:
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("the process did not end within a minute")
    code = process.exitcode
    process.close()
    return code


class DeathAt:
    """Kills its process at the n-th statement, before that runs; writes down which it was."""

    def __init__(self, number: int, note: Path) -> None:
        self._left = number
        self._note = note

    def __call__(self, statement: str) -> None:
        self._left -= 1
        if self._left == 0:
            self._note.write_text(" ".join(statement.split()))
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def meanwhile(target: Callable[..., None], *arguments: object) -> Iterator[BaseProcess]:
    """Another process runs the function with a pipe: it says when it is so far, and ends when we close our end.

    A pipe and no event: a process that was killed while it waited for an event is waited for in turn, for ever.
    """
    context = processes()
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*arguments, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.poll(60)
        ours.recv()
        yield process
    finally:
        ours.close()
        process.join(60)


def keep_locked(path: str, pipe: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        pipe.send("locked")
        pipe.poll(60)
        connection.execute("ROLLBACK")


@contextmanager
def write_lock_held(path: Path) -> Iterator[None]:
    """Another process holds the write lock meanwhile."""
    with meanwhile(keep_locked, str(path)) as process:
        yield
    assert exit_code(process) == 0
