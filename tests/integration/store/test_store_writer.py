"""The one writer: whole transactions, shared commits, and callers that fail or leave alone."""

import asyncio
import signal
import sqlite3
import threading
from collections.abc import Coroutine
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from notifier.model.delivery import ReceiverState
from notifier.model.errors import StoreUnavailable
from notifier.model.event import Observation
from notifier.model.sync import RunWatch, WorkspaceState
from notifier.store.sql import delivering, retention, watching, worker
from notifier.store.sql.order import WRITES
from notifier.store.sqlite.files import BUSY_TIMEOUT
from notifier.store.store import Store, open_store
from tests.databases import new_database
from tests.integration.store.builders import (
    FULL,
    NOW,
    DeathAt,
    a_snapshot,
    an_event,
    an_observation,
    cancel_a_read,
    change,
    counts,
    left_of_threads,
    rows,
    run_to_its_end,
    save_receiver,
    traced,
    writer_of,
    writing_connection,
)

NOTHING = {"syncs": 0, "snapshots": 0, "events": 0, "deliveries": 0}
ALL_OF_IT = {"syncs": 1, "snapshots": 2, "events": 2, "deliveries": 4}


async def asked(*wishes: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
    """Starts the writes, each as far as it comes without a commit."""
    tasks = [asyncio.create_task(wish) for wish in wishes]
    await asyncio.sleep(0)
    return tasks


# --- all or none ---


@pytest.mark.asyncio
async def test_an_observation_is_one_transaction(store: Store, database: Path) -> None:
    trace = await traced(store)
    await store.watching.record(FULL)
    assert counts(database) == ALL_OF_IT
    assert trace.commits == 1


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(an_event("evt_2", "growth", type=None), id="an event without a type"),
        pytest.param(an_event("evt_1", "growth"), id="two events of one ID"),
        pytest.param(an_event("evt_2", "growth", "growth"), id="one receiver twice"),
        pytest.param(an_event("evt_2", "growth", seen_at=None), id="deliveries without a clock"),
    ],
)
@pytest.mark.asyncio
async def test_an_observation_with_one_impossible_row_leaves_nothing(store: Store, database: Path, broken: Any) -> None:
    with pytest.raises(IntegrityError):
        await store.watching.record(
            an_observation(*FULL.events[:1], broken, snapshots=FULL.snapshots, mark=FULL.mark),
        )
    assert counts(database) == NOTHING
    await store.watching.record(FULL)
    assert counts(database) == ALL_OF_IT


@pytest.mark.asyncio
async def test_an_impossible_snapshot_takes_its_events_with_it(store: Store, database: Path) -> None:
    with pytest.raises(IntegrityError):
        await store.watching.record(
            an_observation(*FULL.events, snapshots=(a_snapshot(1, changed_at=None),), mark=FULL.mark)
        )
    assert counts(database) == NOTHING


def record_and_die(path: str, number: int, note: str) -> None:
    """Runs in a process of its own."""

    async def record() -> None:
        async with open_store(Path(path)) as store:
            death = DeathAt(number, Path(note))
            await writing_connection(store).set_trace_callback(death)
            await store.watching.record(FULL)

    asyncio.run(record())


def test_a_worker_killed_at_any_statement_has_recorded_all_or_nothing(tmp_path: Path) -> None:
    note = tmp_path / "statement"
    killed: list[str] = []
    for number in count(1):
        path = tmp_path / f"killed_{number}.db"
        new_database(path)
        ended = run_to_its_end(record_and_die, str(path), number, str(note))
        if ended == 0:  # there are fewer statements than that
            assert counts(path) == ALL_OF_IT
            break
        assert ended == -signal.SIGKILL
        killed.append(note.read_text())
        assert counts(path) == NOTHING, killed[-1]
    kinds = [statement.split(" (")[0] for statement in killed]
    assert kinds[0] == "BEGIN IMMEDIATE"
    assert kinds[-1] == "COMMIT"
    assert kinds.count("INSERT INTO deliveries") == 4
    assert {"INSERT INTO syncs", "INSERT INTO snapshots", "INSERT INTO events"} < set(kinds)


def record_and_die_after(path: str) -> None:
    """Runs in a process of its own: it ends as soon as `record` has returned, with nothing closed."""

    async def record() -> None:
        async with open_store(Path(path)) as store:
            await store.watching.record(FULL)
            signal.raise_signal(signal.SIGKILL)

    asyncio.run(record())


def test_what_record_has_answered_survives_the_death_of_the_worker(database: Path) -> None:
    assert run_to_its_end(record_and_die_after, str(database)) == -signal.SIGKILL
    assert counts(database) == ALL_OF_IT


# --- shared commits ---


@pytest.mark.asyncio
async def test_what_is_asked_for_during_a_commit_shares_the_next_one(store: Store, database: Path) -> None:
    trace = await traced(store)
    trace.hold_the_next_commit()
    first = await asked(store.save_worker("1", NOW, NOW))
    await trace.until_held()
    others = await asked(*(store.watching.save_run_watch("main", run, None, None, None) for run in range(50)))
    assert not any(task.done() for task in first + others)
    trace.release()
    await asyncio.gather(*first, *others)
    assert trace.commits == 2
    assert rows(database, "SELECT count(*) FROM run_watches") == [(50,)]


@pytest.mark.asyncio
async def test_nobody_is_answered_before_the_commit(store: Store, database: Path) -> None:
    trace = await traced(store)
    trace.hold_the_next_commit()
    (task,) = await asked(store.watching.record(FULL))
    await trace.until_held()
    assert not task.done()
    assert counts(database) == NOTHING
    trace.release()
    await task
    assert counts(database) == ALL_OF_IT


@pytest.mark.asyncio
async def test_one_transaction_takes_a_bounded_number_of_wishes(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.store.writer.MOST_INTENTS", 4)
    trace = await traced(store)
    await asyncio.gather(
        *await asked(*(store.watching.save_run_watch("main", run, None, None, None) for run in range(10)))
    )
    assert trace.commits == 3
    assert rows(database, "SELECT count(*) FROM run_watches") == [(10,)]


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_of_two_writes_of_one_row_in_one_commit_the_later_wins(store: Store) -> None:
    trace = await traced(store)
    older, newer = WorkspaceState("main", ok=False), WorkspaceState("main", ok=True, last_polled_at=NOW)
    await asyncio.gather(*await asked(store.watching.save_workspace(older), store.watching.save_workspace(newer)))
    assert trace.commits == 1
    assert await store.watching.workspaces() == {"main": newer}


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_nothing_to_write_is_no_transaction(store: Store) -> None:
    trace = await traced(store)
    await store.watching.save_listed("main", [])
    await store.watching.forget_syncs("main", [])
    await store.watching.drop_run_watches("main", [])
    await store.watching.record(an_observation())
    assert trace.statements == []


@pytest.mark.asyncio
async def test_parents_are_written_before_their_children_whoever_asked_first(store: Store, database: Path) -> None:
    event = {"id": "evt_1", "type": "t", "workspace": "main", "sync_id": 52, "run_id": 1, "seen_at": NOW, "body": b"{}"}
    delivery = {
        "event_id": "evt_1",
        "event_type": "t",
        "receiver": "growth",
        "workspace": "main",
        "sync_id": 52,
        "state": "pending",
        "created_at": NOW,
        "clock_started_at": NOW,
    }
    trace = await traced(store)
    writer = writer_of(store)
    await asyncio.gather(
        *await asked(
            writer.write((watching.ADD_DELIVERY, [delivery])),
            writer.write((watching.ADD_EVENT, [event])),
        )
    )
    assert trace.commits == 1
    assert rows(database, "SELECT event_id FROM deliveries") == [("evt_1",)]


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_the_order_of_statements_is_that_of_the_list_not_of_the_wishes(store: Store) -> None:
    await store.watching.record(FULL)
    trace = await traced(store)
    await asyncio.gather(
        *await asked(
            save_receiver(store, ReceiverState("growth")),
            store.watching.record(
                an_observation(an_event("evt_9", "growth"), snapshots=(a_snapshot(9),), mark=FULL.mark)
            ),
            store.save_worker("1", NOW, NOW),
        )
    )
    tables = [statement.split()[2] for statement in trace.statements if statement.startswith("INSERT")]
    assert tables == ["worker", "syncs", "snapshots", "events", "deliveries", "receivers"]


def test_every_statement_that_writes_has_its_place_in_the_order() -> None:
    assert len({id(statement) for statement in WRITES}) == len(WRITES)
    statements = {
        name: value for module in (worker, watching, delivering, retention) for name, value in vars(module).items()
    }
    # SQLAlchemy's own flag for INSERT, UPDATE and DELETE
    writing = {name for name, value in statements.items() if name.isupper() and getattr(value, "is_dml", False) is True}
    placed = {name for name in writing if any(statements[name] is statement for statement in WRITES)}
    assert placed == writing
    assert {"ADD_EVENT", "ADD_DELIVERY", "SETTLE", "MOVE_MARK"} < writing


# --- a wish that can't be fulfilled ---

IMPOSSIBLE: list[Any] = [
    pytest.param(an_observation(an_event("evt_1")), IntegrityError, id="an event that is there"),
    pytest.param(
        an_observation(snapshots=(a_snapshot(7, records_sent=2**63),)),
        (OverflowError, DataError),
        id="a number too large for the database",
    ),
    pytest.param(
        an_observation(snapshots=(a_snapshot(7, status="\ud800"),)), UnicodeEncodeError, id="half a character"
    ),
    pytest.param(
        an_observation(snapshots=(a_snapshot(7, changed_at=datetime(2026, 1, 1)),)),  # noqa: DTZ001
        SQLAlchemyError,
        id="a time without a zone",
    ),
    pytest.param(an_observation(snapshots=(a_snapshot(7, created_at=object()),)), SQLAlchemyError, id="no time at all"),
]


@pytest.mark.parametrize(("impossible", "error"), IMPOSSIBLE)
@pytest.mark.asyncio
async def test_an_impossible_wish_in_a_shared_commit_fails_alone(
    store: Store, impossible: Observation, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    await store.watching.record(an_observation(an_event("evt_1")))
    tasks = await asked(
        store.watching.save_run_watch("main", 1, None, None, None),
        store.watching.record(impossible),
        store.watching.save_run_watch("main", 2, None, None, None),
    )
    async with asyncio.timeout(30):  # a writer that died would leave its callers waiting for ever
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[0] is None
    assert isinstance(outcomes[1], error)
    assert outcomes[2] is None
    assert (await store.watching.run_watches("main")).keys() == {1, 2}


@pytest.mark.parametrize(("impossible", "error"), IMPOSSIBLE)
@pytest.mark.asyncio
async def test_an_impossible_wish_does_not_stop_the_writer(
    store: Store, database: Path, impossible: Observation, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    await store.watching.record(an_observation(an_event("evt_1")))
    async with asyncio.timeout(30):
        with pytest.raises(error):
            await store.watching.record(impossible)
        assert store.works  # a bug of ours says nothing of the database
        await store.save_worker("1", NOW, NOW)
    assert rows(database, "SELECT version FROM worker") == [("1",)]


# --- callers that are cancelled ---


@pytest.mark.asyncio
async def test_cancelling_a_caller_does_not_cancel_its_transaction(store: Store, database: Path) -> None:
    trace = await traced(store)
    trace.hold_the_next_commit()
    (task,) = await asked(store.watching.record(FULL))
    await trace.until_held()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    trace.release()
    await store.save_worker("1", NOW, NOW)
    assert counts(database) == ALL_OF_IT
    assert rows(database, "SELECT version FROM worker") == [("1",)]


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_a_caller_that_is_cancelled_in_the_queue_leaves_the_others_alone(store: Store) -> None:
    trace = await traced(store)
    trace.hold_the_next_commit()
    first = await asked(store.save_worker("1", NOW, NOW))
    await trace.until_held()
    waiting = await asked(*(store.watching.save_run_watch("main", run, None, None, None) for run in (1, 2, 3)))
    waiting[1].cancel()
    trace.release()
    outcomes = await asyncio.gather(*first, *waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), asyncio.CancelledError, type(None)]
    assert {1, 3} <= (await store.watching.run_watches("main")).keys()


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_a_cancelled_caller_whose_wish_was_impossible_is_not_heard_of_again(store: Store) -> None:
    await store.watching.record(FULL)
    trace = await traced(store)
    trace.hold_the_next_commit()
    first = await asked(store.save_worker("1", NOW, NOW))
    await trace.until_held()
    (doomed,) = await asked(store.watching.record(FULL))
    doomed.cancel()
    trace.release()
    outcomes = await asyncio.gather(*first, doomed, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError]
    await store.save_worker("2", NOW, NOW)


@pytest.mark.parametrize("steps", range(12))
@pytest.mark.asyncio
async def test_a_read_that_is_cancelled_on_its_way_leaves_the_next_ones_fresh(store: Store, steps: int) -> None:
    await store.watching.record(FULL)
    task = asyncio.create_task(store.delivering.pending("growth", 0, 100))
    for _ in range(steps):  # as far as it comes in so many turns of the loop
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.watching.save_run_watch("main", 94, 52, None, None)
    assert await store.watching.run_watches("main") == {94: RunWatch(52)}
    assert len(await store.delivering.pending("growth", 0, 100)) == 2


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_a_read_that_is_cancelled_while_sqlite_works_leaves_the_next_ones_fresh(store: Store) -> None:
    await store.watching.record(FULL)
    await cancel_a_read(store)
    await store.watching.save_run_watch("main", 94, 52, None, None)
    assert await store.watching.run_watches("main") == {94: RunWatch(52)}


# --- the end ---


@pytest.mark.asyncio
async def test_closing_writes_what_still_waits(database: Path) -> None:
    async with open_store(database) as store:
        trace = await traced(store)
        trace.hold_the_next_commit()
        first = await asked(store.save_worker("1", NOW, NOW))
        await trace.until_held()
        waiting = await asked(store.watching.record(FULL), store.watching.save_run_watch("main", 1, None, None, None))
        trace.release()
        assert not any(task.done() for task in waiting)
    assert [task.exception() for task in first + waiting] == [None] * 3
    assert counts(database) == ALL_OF_IT
    assert rows(database, "SELECT run_id FROM run_watches") == [("1",)]


@pytest.mark.asyncio
async def test_what_is_asked_for_after_the_end_is_refused_and_not_left_waiting(database: Path) -> None:
    async with open_store(database) as store:
        await store.save_worker("1", NOW, NOW)
    async with asyncio.timeout(30):
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.save_worker("2", NOW, NOW)
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.watching.workspaces()
    assert rows(database, "SELECT version FROM worker") == [("1",)]


async def open_and_fail(path: Path, error: BaseException) -> None:
    async with open_store(path) as store:
        await store.save_worker("1", NOW, NOW)
        await store.watching.workspaces()
        assert threading.active_count() > 1
        raise error


@pytest.mark.parametrize("error", [RuntimeError("ours"), asyncio.CancelledError(), StoreUnavailable("full")])
def test_no_thread_is_left_when_the_work_inside_fails(database: Path, error: BaseException) -> None:
    before = set(threading.enumerate())
    with pytest.raises(type(error)):
        asyncio.run(open_and_fail(database, error))
    assert left_of_threads(before) == []
    change(database, "DELETE FROM worker")  # and no lock


@pytest.mark.asyncio
async def test_no_thread_is_left_at_the_end_nor_after_a_cancelled_read(database: Path) -> None:
    before = set(threading.enumerate())
    async with open_store(database) as store:
        await cancel_a_read(store)
        assert await store.watching.workspaces() == {}
    assert left_of_threads(before) == []


@pytest.mark.asyncio
async def test_no_thread_is_left_when_opening_fails(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(Exception, match="can't be opened"):
        async with open_store(tmp_path / "missing.db"):
            pytest.fail("opened")
    assert left_of_threads(before) == []
    assert list(tmp_path.iterdir()) == []


def test_the_last_one_to_close_leaves_one_file(database: Path) -> None:
    async def work() -> None:
        async with open_store(database) as store:
            await store.watching.record(FULL)
            assert database.with_name("notifier.db-wal").stat().st_size > 0

    asyncio.run(work())
    assert [path.name for path in database.parent.iterdir()] == ["notifier.db"]
    assert counts(database) == ALL_OF_IT


def test_sqlite_waits_long_enough_for_a_command_beside_the_worker() -> None:
    assert BUSY_TIMEOUT >= 1
    assert sqlite3.threadsafety == 3  # what aiosqlite's threads rely on
