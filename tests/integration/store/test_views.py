"""What commands see and change: beside a running worker, and where none runs."""

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from notifier.model.api_version import ApiVersion
from notifier.model.delivery import DeliveryState, ReceiverState
from notifier.model.errors import DatabaseUnusable
from notifier.model.event import EventType
from notifier.model.sync import Gap, ListedSync, Mark, WorkspaceState
from notifier.store.orders import Retried, retry_deliveries
from notifier.store.sql.schema import syncs
from notifier.store.store import Store, open_store
from notifier.store.views.database import open_database
from notifier.store.views.deliveries import DeliveryFilter, read_deliveries
from notifier.store.views.events import EventFilter, EventView, read_events
from notifier.store.views.overview import ReceiverView, WorkerView, WorkspaceView
from notifier.store.views.status import (
    ReplicaView,
    RunView,
    Status,
    SyncView,
    read_status,
    require_recent_worker,
)
from tests.integration.store.builders import (
    DAY,
    MINUTE,
    NOW,
    a_settlement,
    a_snapshot,
    an_event,
    an_observation,
    left_of_threads,
    rows,
    run_to_its_end,
    save_receiver,
    writing_connection,
)

PENDING, DELIVERED, DEAD = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DEAD
ALL = DeliveryFilter()
LATER = NOW + timedelta(hours=5)
BOTH = ("growth", "pipeline")


async def fill(store: Store) -> None:
    """Six deliveries: 1 delivered, 2 dead and 3 pending (aside, failed, due later) for growth; 4 to 6 for pipeline."""
    for number in range(1, 4):
        event = an_event(
            f"evt_{number}", "growth", seen_at=NOW + number * MINUTE, type=[*EventType][number], run_id=number
        )
        await store.watching.record(an_observation(event))
    for number in range(4, 7):
        event = an_event(f"evt_{number}", "pipeline", seen_at=NOW + number * MINUTE, run_id=number)
        await store.watching.record(an_observation(event))
    await store.delivering.settle(a_settlement(1, DELIVERED, attempts=1, settled_at=NOW + DAY))
    await store.delivering.settle(
        a_settlement(
            2, DEAD, attempts=7, settled_at=NOW + DAY, aside=True, first_failed_at=NOW + MINUTE, last_error="404"
        )
    )
    await store.delivering.settle(
        a_settlement(
            3,
            PENDING,
            attempts=2,
            next_attempt_at=NOW + DAY,
            first_failed_at=NOW + MINUTE,
            aside=True,
            last_error="timed out",
        )
    )
    await store.delivering.settle(a_settlement(4, DEAD, settled_at=NOW + DAY, last_error="refused"))


@pytest.fixture
def filled(database: Path) -> Path:
    """A database that a worker has left in order: no worker, no WAL."""

    async def work() -> None:
        async with open_store(database) as store:
            await fill(store)

    asyncio.run(work())
    assert not database.with_name("notifier.db-wal").exists()
    return database


# --- status ---


def test_an_empty_database_has_the_status_of_one(database: Path) -> None:
    assert read_status(database, []) == Status(None, (), (), (), ())
    assert read_deliveries(database, ALL, 10) == ()


@pytest.mark.asyncio
async def test_the_status_is_all_that_the_worker_has_stored(store: Store, database: Path) -> None:
    await fill(store)
    await store.save_worker("1.2.3", NOW, NOW + MINUTE)
    await store.watching.save_workspace(WorkspaceState("staging", False, "401", None, NOW, 1.0, None))
    await store.watching.save_workspace(WorkspaceState("main", True, None, NOW, NOW, 2.5, 31.25, api=ApiVersion.V1))
    await store.watching.record(
        an_observation(
            snapshots=(a_snapshot(7, status="failed", created_at=NOW), a_snapshot(8, created_at=NOW + MINUTE)),
            mark=Mark(8, NOW, None),
            gap=Gap(NOW, 5),
        )
    )
    await store.watching.save_listed("main", [ListedSync(51, None), ListedSync(50, "Forgotten")])
    await store.watching.forget_syncs("main", [50])
    await save_receiver(store, ReceiverState("growth", broken_since=NOW, last_error="404", probe_at=NOW))
    await save_receiver(store, ReceiverState("unlisted", last_error="500", failed_since=NOW, failing=True))
    status = await asyncio.to_thread(read_status, database, ["pipeline", "growth", "new"], "here")
    assert status == Status(
        WorkerView("1.2.3", NOW, NOW + MINUTE),
        (ReplicaView("here", "1.2.3", NOW, NOW + MINUTE, timedelta(0), ("everything",)),),
        (
            WorkspaceView("main", True, None, NOW, 2.5, 31.25, api=ApiVersion.V1),
            WorkspaceView("staging", False, "401", None, 1.0, None, api=None),
        ),
        (
            SyncView("main", 51, None, None, None, None),
            SyncView("main", 52, "Leads", RunView(8, "working", None, NOW), NOW, 5),
        ),
        (
            ReceiverView("growth", broken_since=NOW, last_error="404", pending=1, dead=1),
            ReceiverView("new"),
            ReceiverView("pipeline", pending=2, dead=1),
            ReceiverView("unlisted", failing_since=NOW, last_error="500"),
        ),
    )


@pytest.mark.asyncio
async def test_the_newest_run_is_the_one_created_last_of_its_own_sync(store: Store, database: Path) -> None:
    runs = (
        a_snapshot(9, status="completed", created_at=NOW),
        a_snapshot(1, status="failed", created_at=NOW + MINUTE, updated_at=None),
        a_snapshot(10, created_at=None),
    )
    await store.watching.record(an_observation(snapshots=runs, mark=Mark(9, NOW, None)))
    other = a_snapshot(11, sync_id=52, created_at=NOW + DAY)
    await store.watching.record(an_observation(snapshots=(other,), workspace="other"))
    [sync] = read_status(database, []).syncs
    assert sync.newest_run == RunView(1, "failed", None, None)
    assert (sync.unread_since, sync.last_error) == (None, None)


@pytest.mark.asyncio
async def test_a_sync_that_can_not_be_read_says_since_when_and_why(store: Store, database: Path) -> None:
    await store.watching.save_listed("main", [ListedSync(51, "Leads")])
    with open_database(database, "command") as connection:
        connection.execute(update(syncs).values(unread_since=NOW, last_error="HTTP 500"))
    [sync] = read_status(database, []).syncs
    assert (sync.unread_since, sync.last_error) == (NOW, "HTTP 500")


def test_a_worker_is_recent_up_to_the_longest_silence(database: Path) -> None:
    async def work() -> None:
        async with open_store(database) as store:
            await store.save_worker("1", NOW, NOW)

    with pytest.raises(DatabaseUnusable, match=r"notifier\.db: no worker has run yet"):
        require_recent_worker(database, "here", NOW, 3 * MINUTE)
    asyncio.run(work())
    require_recent_worker(database, "here", NOW + 3 * MINUTE, 3 * MINUTE)
    with pytest.raises(DatabaseUnusable, match=r"last sign of life is from 2026-11-23T10:30:00\.123456\+00:00"):
        require_recent_worker(database, "here", NOW + 3 * MINUTE + timedelta(microseconds=1), 3 * MINUTE)


# --- deliveries ---


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(ALL, [6, 5, 4, 3, 2, 1], id="all"),
        pytest.param(DeliveryFilter(state=PENDING), [6, 5, 3], id="pending"),
        pytest.param(DeliveryFilter(state=DELIVERED), [1], id="delivered"),
        pytest.param(DeliveryFilter(state=DEAD), [4, 2], id="dead"),
        pytest.param(DeliveryFilter(receiver="growth"), [3, 2, 1], id="of a receiver"),
        pytest.param(DeliveryFilter(receiver="nobody"), [], id="of nobody"),
        pytest.param(DeliveryFilter(since=NOW + 3 * MINUTE), [6, 5, 4, 3], id="since"),
        pytest.param(DeliveryFilter(since=NOW + 3 * MINUTE + timedelta(microseconds=1)), [6, 5, 4], id="just after"),
        pytest.param(DeliveryFilter(ids=[1, 5, 99]), [5, 1], id="by their IDs"),
        pytest.param(DeliveryFilter(ids=[]), [], id="by no ID"),
        pytest.param(DeliveryFilter(ids=[1, 2, 3], state=DEAD, receiver="growth", since=NOW), [2], id="by everything"),
    ],
)
def test_the_deliveries_that_fit_are_told_newest_first(filled: Path, wanted: DeliveryFilter, found: list[int]) -> None:
    assert [delivery.id for delivery in read_deliveries(filled, wanted, 100)] == found


def test_no_more_deliveries_are_told_than_asked_for(filled: Path) -> None:
    assert [delivery.id for delivery in read_deliveries(filled, ALL, 2)] == [6, 5]
    assert len(read_deliveries(filled, ALL, None)) == 6


def test_a_delivery_tells_only_the_times_that_its_state_has(filled: Path) -> None:
    delivered, dead, pending = reversed(read_deliveries(filled, DeliveryFilter(receiver="growth"), 100))
    assert (delivered.event_id, delivered.type, delivered.receiver) == ("evt_1", [*EventType][1], "growth")
    assert (delivered.state, delivered.attempts, delivered.created_at) == (DELIVERED, 1, NOW + MINUTE)
    assert (delivered.next_attempt_at, delivered.delivered_at, delivered.last_error) == (None, NOW + DAY, None)
    assert (dead.state, dead.next_attempt_at, dead.delivered_at, dead.last_error) == (DEAD, None, None, "404")
    assert (pending.state, pending.next_attempt_at, pending.delivered_at) == (PENDING, NOW + DAY, None)
    assert pending.last_error == "timed out"


# --- events ---


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(EventFilter(), [6, 5, 4, 3, 2, 1], id="all"),
        pytest.param(EventFilter(sync_id=53), [6], id="of a sync"),
        pytest.param(EventFilter(sync_id=99), [], id="of no sync"),
        pytest.param(EventFilter(types=[EventType.COMPLETED]), [3], id="of a type"),
        pytest.param(EventFilter(types=[EventType.FAILED, EventType.QUEUED]), [6, 5, 4, 1], id="of some types"),
        pytest.param(EventFilter(types=[]), [], id="of no type"),
        pytest.param(EventFilter(sync_id=52, types=[EventType.FAILED]), [5, 4], id="by everything"),
    ],
)
@pytest.mark.asyncio
async def test_the_events_that_fit_are_told_newest_first(
    store: Store, database: Path, wanted: EventFilter, found: list[int]
) -> None:
    kinds = [EventType.QUEUED, EventType.WORKING, EventType.COMPLETED, *[EventType.FAILED] * 3]
    for number, kind in enumerate(kinds, 1):
        sync_id = 53 if number == 6 else 52
        # The clock went back meanwhile: newest is what was recorded last.
        event = an_event(f"evt_{number}", type=kind, sync_id=sync_id, run_id=number, seen_at=NOW - number * MINUTE)
        await store.watching.record(an_observation(event, sync_id=sync_id))
    assert [event.run_id for event in read_events(database, wanted, 100)] == found
    assert [event.run_id for event in read_events(database, wanted, None)] == found
    assert [event.run_id for event in read_events(database, wanted, 2)] == found[:2]


@pytest.mark.asyncio
async def test_an_event_is_told_with_its_body_to_the_byte(store: Store, database: Path) -> None:
    await store.watching.record(an_observation(an_event("evt_1", "growth", body=b'{"a":  "\xc3\xbc"}')))
    [event] = read_events(database, EventFilter(), None)
    assert event == EventView("evt_1", EventType.FAILED, "main", 52, 1, NOW, b'{"a":  "\xc3\xbc"}')


# --- retry ---


def deliveries_in(path: Path, columns: str) -> dict[int, tuple[object, ...]]:
    return {row[0]: row[1:] for row in rows(path, f"SELECT id, {columns} FROM deliveries")}  # noqa: S608


def micros(time: datetime) -> int:
    return (time - datetime.fromisoformat("1970-01-01T00:00:00+00:00")) // timedelta(microseconds=1)


def test_a_retry_makes_the_dead_pending_with_a_fresh_clock(filled: Path) -> None:
    assert retry_deliveries(filled, DeliveryFilter(ids=[2]), LATER, BOTH).ids == (2,)
    columns = "state, next_attempt_at, clock_started_at, first_failed_at, aside, finished_at"
    assert deliveries_in(filled, columns)[2] == ("pending", micros(LATER), micros(LATER), None, 0, None)


def test_a_retry_makes_the_pending_due_now_and_leaves_them_their_clock(filled: Path) -> None:
    columns = "state, clock_started_at, first_failed_at, aside, attempts, last_error"
    before = deliveries_in(filled, columns)[3]
    assert retry_deliveries(filled, DeliveryFilter(ids=[3]), LATER, BOTH).ids == (3,)
    assert deliveries_in(filled, columns)[3] == before
    assert deliveries_in(filled, "next_attempt_at")[3] == (micros(LATER),)


@pytest.mark.parametrize(
    ("wanted", "touched"),
    [
        pytest.param(ALL, {2, 3, 4, 5, 6}, id="all"),
        pytest.param(DeliveryFilter(state=DEAD), {2, 4}, id="the dead"),
        pytest.param(DeliveryFilter(receiver="growth"), {2, 3}, id="of a receiver"),
        pytest.param(DeliveryFilter(since=NOW + 4 * MINUTE), {4, 5, 6}, id="since"),
        pytest.param(DeliveryFilter(ids=[1, 2, 99]), {2}, id="by their IDs"),
        pytest.param(DeliveryFilter(state=DELIVERED), set(), id="none"),
    ],
)
def test_a_retry_touches_what_fits_and_is_not_delivered(
    filled: Path, wanted: DeliveryFilter, touched: set[int]
) -> None:
    before = deliveries_in(filled, "*")
    assert set(retry_deliveries(filled, wanted, LATER, BOTH).ids) == touched
    after = deliveries_in(filled, "*")
    assert {number for number in after if after[number] != before[number]} == touched
    assert {
        number for number, (when,) in deliveries_in(filled, "next_attempt_at").items() if when == micros(LATER)
    } == (touched)


def test_what_belongs_to_a_receiver_that_is_gone_is_left_as_it_is_and_named(filled: Path) -> None:
    before = deliveries_in(filled, "*")
    assert retry_deliveries(filled, ALL, LATER, ["pipeline"]) == Retried((4, 5, 6), {2: "growth", 3: "growth"})
    after = deliveries_in(filled, "*")
    assert {number for number in after if after[number] != before[number]} == {4, 5, 6}
    assert rows(filled, "SELECT name FROM receivers") == [("pipeline",)]


def test_the_receivers_of_what_is_retried_are_probed_and_no_others(filled: Path) -> None:
    assert rows(filled, "SELECT * FROM receivers") == []
    retry_deliveries(filled, DeliveryFilter(receiver="growth"), LATER, BOTH)
    assert rows(filled, "SELECT name, probe_at FROM receivers") == [("growth", micros(LATER))]


@pytest.mark.asyncio
async def test_a_retry_asks_for_a_probe_and_leaves_what_is_known_of_the_receiver(store: Store, database: Path) -> None:
    await fill(store)
    state = ReceiverState("growth", broken_since=NOW, last_error="404", last_accepted_at=NOW - DAY, hold_until=LATER)
    await save_receiver(store, state)
    await save_receiver(store, ReceiverState("other"))
    retry_deliveries(database, DeliveryFilter(receiver="growth"), LATER, BOTH)
    assert await store.delivering.receivers() == {
        "growth": ReceiverState("growth", NOW, "404", NOW - DAY, LATER, LATER),
        "other": ReceiverState("other"),
    }


@pytest.mark.asyncio
async def test_a_running_worker_sees_what_was_retried(store: Store, database: Path) -> None:
    await fill(store)
    before = await store.changes_from_outside()
    await asyncio.to_thread(retry_deliveries, database, DeliveryFilter(state=DEAD), LATER, BOTH)
    assert await store.changes_from_outside() != before
    revived, other = await store.delivering.pending("growth", 0, 9)
    assert (revived.id, revived.next_attempt_at, revived.clock_started_at, revived.aside) == (2, LATER, LATER, False)
    assert other.id == 3


@pytest.mark.asyncio
async def test_thousands_are_retried_at_once(store: Store, database: Path) -> None:
    await store.watching.record(an_observation(*(an_event(f"evt_{n}", "growth") for n in range(2_500))))
    await store.delivering.abandon_all_but([], NOW)
    assert await store.delivering.count_pending() == 0
    assert len(retry_deliveries(database, ALL, LATER, BOTH).ids) == 2_500
    assert await store.delivering.count_pending() == 2_500
    assert rows(database, "SELECT DISTINCT state, next_attempt_at, clock_started_at FROM deliveries") == [
        ("pending", micros(LATER), micros(LATER))
    ]


# --- beside a worker, and without one ---


def look_and_retry(path: str) -> None:
    """Runs in a process of its own, as a command does."""
    assert len(read_deliveries(Path(path), ALL, 100)) == 6
    assert read_status(Path(path), []) is not None
    assert retry_deliveries(Path(path), DeliveryFilter(state=DEAD), LATER, BOTH).ids == (2, 4)


@pytest.mark.asyncio
async def test_commands_work_in_another_process_beside_the_worker(store: Store, database: Path) -> None:
    await fill(store)
    assert await asyncio.to_thread(run_to_its_end, look_and_retry, str(database)) == 0
    assert await store.delivering.count_pending() == 5
    await store.watching.record(an_observation(an_event("evt_after", "growth")))
    assert await store.delivering.count_pending() == 6


@pytest.mark.asyncio
async def test_a_command_beside_the_worker_leaves_the_wal_to_it(store: Store, database: Path) -> None:
    await fill(store)
    wal = database.with_name("notifier.db-wal")
    size, main = wal.stat().st_size, database.read_bytes()
    read_status(database, [])
    read_deliveries(database, ALL, 9)
    read_events(database, EventFilter(), 9)
    assert (wal.stat().st_size, database.read_bytes()) == (size, main)
    retry_deliveries(database, ALL, LATER, BOTH)
    assert wal.stat().st_size > size
    assert database.read_bytes() == main  # nothing was checkpointed


@pytest.mark.asyncio
async def test_reading_goes_on_while_the_worker_writes(store: Store, database: Path) -> None:
    await fill(store)
    connection = writing_connection(store)
    await connection.execute("BEGIN IMMEDIATE")
    await connection.execute("DELETE FROM deliveries")
    assert len(read_deliveries(database, ALL, 9)) == 6
    await connection.execute("ROLLBACK")


def test_looking_where_no_worker_runs_changes_no_byte(filled: Path) -> None:
    before = filled.read_bytes()
    assert len(read_deliveries(filled, ALL, 9)) == 6
    assert len(read_events(filled, EventFilter(), 9)) == 6
    assert read_status(filled, []).worker is None
    assert filled.read_bytes() == before


def test_looking_leaves_a_database_that_opens_again(filled: Path) -> None:
    read_status(filled, [])
    assert retry_deliveries(filled, DeliveryFilter(state=DEAD), LATER, BOTH).ids == (2, 4)
    assert len(read_deliveries(filled, DeliveryFilter(state=PENDING), 9)) == 5
    assert rows(filled, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    "look",
    [
        lambda path: read_status(path, []),
        lambda path: read_deliveries(path, ALL, 9),
        lambda path: read_events(path, EventFilter(), 9),
        lambda path: retry_deliveries(path, ALL, NOW, BOTH),
        lambda path: require_recent_worker(path, "here", NOW, DAY),
    ],
    ids=["status", "deliveries", "events", "retry", "recent worker"],
)
def test_a_command_on_a_missing_database_says_who_makes_it(tmp_path: Path, look: Callable[[Path], object]) -> None:
    path = tmp_path / "notifier.db"
    with pytest.raises(DatabaseUnusable) as caught:
        look(path)
    assert str(caught.value) == f"{path}: no database there yet; `notifier run` or `notifier migrate` makes it"
    assert list(tmp_path.iterdir()) == []


def test_a_command_leaves_no_thread_and_no_lock(filled: Path) -> None:
    before = set(threading.enumerate())
    read_status(filled, [])
    retry_deliveries(filled, ALL, LATER, BOTH)
    assert left_of_threads(before) == []
    rows(filled, "BEGIN EXCLUSIVE")
