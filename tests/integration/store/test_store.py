"""The store keeps what it is given: each kind of row there and back, to the microsecond and the byte."""

import asyncio
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from notifier.judging.results import last_good_of
from notifier.model.delivery import DeliveryState, ReceiverState
from notifier.model.event import EventType
from notifier.model.run import PreviousRun, Snapshot, UnendedRun, Watched
from notifier.model.sync import Gap, ListedSync, Mark, RunWatch, WatchedSync, WorkspaceState
from notifier.store.sqlite.engine import engine_for
from notifier.store.sqlite.files import Role
from notifier.store.store import Store, open_store
from tests.databases import new_database
from tests.integration.store.builders import (
    DAY,
    FULL,
    MINUTE,
    NOW,
    a_settlement,
    a_snapshot,
    an_event,
    an_observation,
    change,
    hold_the_next_read,
    pragma,
    reading_connection,
    rows,
    run_to_its_end,
    save_receiver,
    writing_connection,
)

LONG = "x" * 1_000_000
STRANGE = "Ünïcode \U0001f680 \x00 \u202e \" ' \\ %s {} \n"


# --- watching ---


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(
            Snapshot(1, 52, Watched("failed", True, "CODE", "message", "detail"), NOW, NOW + MINUTE, NOW + DAY, True),
            id="everything",
        ),
        pytest.param(Snapshot(1, 52, Watched(), None, None, NOW, False), id="as little as there can be"),
        pytest.param(a_snapshot(1, status=STRANGE), id="strange text"),
        pytest.param(a_snapshot(1, watched=Watched("failed", None, None, LONG, "é" * 1_000_000)), id="long texts"),
        pytest.param(a_snapshot(2**63 - 1, sync_id=2**62), id="large numbers"),
        pytest.param(a_snapshot(1, created_at=datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)), id="before 1970"),
        pytest.param(a_snapshot(1, created_at=datetime.max.replace(tzinfo=UTC)), id="the last microsecond"),
    ],
)
@pytest.mark.asyncio
async def test_a_snapshot_comes_back_as_it_was(store: Store, snapshot: Snapshot) -> None:
    await store.watching.record(an_observation(snapshots=(snapshot,)))
    assert await store.watching.snapshots("main", [snapshot.run_id]) == {snapshot.run_id: snapshot}


@pytest.mark.parametrize("number", [*range(8), 12_000])
@pytest.mark.asyncio
async def test_as_many_snapshots_come_back_as_are_asked_for_and_there(store: Store, number: int) -> None:
    there = {run_id: a_snapshot(run_id) for run_id in (1, 2, "a", 4, "five", 6, 7)}
    await store.watching.record(an_observation(snapshots=tuple(there.values())))
    asked = [*there, *range(100, 12_100)][:number]
    assert await store.watching.snapshots("main", asked) == {i: s for i, s in there.items() if i in asked}
    assert await store.watching.snapshots("main", [100, *asked[:3]]) == {i: there[i] for i in asked[:3]}


@pytest.mark.asyncio
async def test_times_come_back_in_utc_whatever_their_zone_was(store: Store) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=-7)))
    await store.watching.record(an_observation(snapshots=(a_snapshot(1, created_at=there),)))
    created_at = (await store.watching.snapshots("main", [1]))[1].created_at
    assert created_at == NOW
    assert created_at.tzinfo is UTC


@pytest.mark.asyncio
async def test_a_snapshot_is_overwritten_and_stays_one(store: Store, database: Path) -> None:
    later = a_snapshot(1, status="failed", changed_at=NOW + MINUTE, followed=False)
    await store.watching.record(an_observation(snapshots=(a_snapshot(1, followed=True),)))
    await store.watching.record(an_observation(snapshots=(later,)))
    assert await store.watching.snapshots("main", [1]) == {1: later}
    assert rows(database, "SELECT count(*) FROM snapshots") == [(1,)]


@pytest.mark.asyncio
async def test_runs_of_one_number_in_two_workspaces_are_two(store: Store) -> None:
    ours, theirs = a_snapshot(1, status="failed"), a_snapshot(1, status="completed")
    await store.watching.record(an_observation(snapshots=(ours,), workspace="main"))
    await store.watching.record(an_observation(snapshots=(theirs,), workspace="other"))
    assert await store.watching.snapshots("main", [1]) == {1: ours}
    assert await store.watching.snapshots("other", [1]) == {1: theirs}


@pytest.mark.asyncio
async def test_of_the_runs_asked_for_those_known_are_told(store: Store) -> None:
    await store.watching.record(FULL)
    assert (await store.watching.snapshots("main", [2, 3, 4])).keys() == {2}
    assert await store.watching.snapshots("main", []) == {}
    assert (await store.watching.snapshots("main", range(1, 1101))).keys() == {1, 2}


@pytest.mark.asyncio
async def test_followed_runs_are_those_not_ended_and_unfollow_takes_one_away(store: Store) -> None:
    one = a_snapshot(1, followed=True, changed_at=NOW)
    two = a_snapshot(2, followed=True, changed_at=NOW + MINUTE)
    await store.watching.record(an_observation(snapshots=(one, two, a_snapshot(3))))
    await store.watching.record(an_observation(snapshots=(a_snapshot(4, followed=True),), workspace="other"))
    first, second = UnendedRun(52, 1, NOW, NOW), UnendedRun(52, 2, NOW + MINUTE, NOW)
    assert {*await store.watching.followed("main")} == {first, second}
    await store.watching.unfollow("main", 1)
    assert await store.watching.followed("main") == [second]
    assert len(await store.watching.followed("other")) == 1


@pytest.mark.parametrize(
    "mark", [Mark(93, NOW, NOW - DAY), Mark(93, None, None), Mark(None, None, NOW), Mark(None, None, None)]
)
@pytest.mark.asyncio
async def test_a_mark_comes_back_as_it_was(store: Store, mark: Mark) -> None:
    await store.watching.record(an_observation(mark=mark))
    assert await store.watching.syncs("main") == [WatchedSync(52, "Leads", True, mark, 0)]
    assert await store.watching.syncs("other") == []


@pytest.mark.asyncio
async def test_an_observation_without_a_mark_leaves_the_old_one(store: Store) -> None:
    await store.watching.record(an_observation(mark=Mark(1, NOW, None)))
    await store.watching.record(an_observation(snapshots=(a_snapshot(2),)))
    assert (await store.watching.syncs("main"))[0].mark == Mark(1, NOW, None)


@pytest.mark.asyncio
async def test_a_listing_creates_renames_and_counts_but_moves_no_mark(store: Store) -> None:
    await store.watching.record(an_observation(mark=Mark(1, NOW, None)))
    await store.watching.save_listed("main", [ListedSync(52, "Renamed", 1), ListedSync(53, STRANGE)])
    assert await store.watching.syncs("main") == [
        WatchedSync(52, "Renamed", True, Mark(1, NOW, None), 1),
        WatchedSync(53, STRANGE, True, None, 0),
    ]


@pytest.mark.asyncio
async def test_a_listing_that_does_not_know_the_label_keeps_the_old_one(store: Store) -> None:
    await store.watching.save_listed("main", [ListedSync(52, "Leads")])
    await store.watching.save_listed("main", [ListedSync(52, None, 2)])
    assert await store.watching.syncs("main") == [WatchedSync(52, "Leads", True, None, 2)]


@pytest.mark.asyncio
async def test_a_gap_is_kept_beside_the_mark(store: Store, database: Path) -> None:
    await store.watching.record(an_observation(mark=Mark(1, NOW, None), gap=Gap(NOW, 1234)))
    await store.watching.record(an_observation(mark=Mark(2, NOW, None)))
    [(noticed, oldest)] = rows(database, "SELECT gap_noticed_at, gap_oldest_reported_run_id FROM syncs")
    assert oldest == "1234"
    assert noticed == (NOW - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.asyncio
async def test_a_forgotten_sync_loses_mark_and_snapshots_but_not_its_row(store: Store, database: Path) -> None:
    await store.watching.record(FULL)
    await store.watching.record(
        an_observation(snapshots=(a_snapshot(3, sync_id=53),), sync_id=53, mark=Mark(3, NOW, None))
    )
    await store.watching.save_listed("main", [ListedSync(52, "Leads", 2)])
    await store.watching.forget_syncs("main", [52])
    assert await store.watching.syncs("main") == [
        WatchedSync(52, "Leads", False, None, 0),
        WatchedSync(53, "Leads", True, Mark(3, NOW, None), 0),
    ]
    assert (await store.watching.snapshots("main", [1, 2, 3])).keys() == {3}
    assert await store.delivering.count_pending() == 4  # what is on its way arrives


@pytest.mark.asyncio
async def test_runs_that_are_watched_by_their_id_keep_their_snapshots_until_that_watch_ends(store: Store) -> None:
    await store.watching.record(an_observation(snapshots=(a_snapshot(1), a_snapshot(2), a_snapshot(3)), mark=FULL.mark))
    await store.watching.save_run_watch("main", 1, 52, None, None)
    await store.watching.save_run_watch("main", 2, 52, NOW, "completed")
    await store.watching.save_run_watch("other", 3, 52, None, None)
    await store.watching.forget_syncs("main", [52])
    assert (await store.watching.snapshots("main", [1, 2, 3])).keys() == {1}


@pytest.mark.asyncio
async def test_a_forgotten_sync_that_is_covered_again_has_no_mark(store: Store) -> None:
    await store.watching.record(FULL)
    await store.watching.forget_syncs("main", [52])
    await store.watching.save_listed("main", [ListedSync(52, None)])
    assert await store.watching.syncs("main") == [WatchedSync(52, "Leads", True, None, 0)]


@pytest.mark.asyncio
async def test_run_watches_begin_learn_their_sync_end_and_are_dropped(store: Store) -> None:
    await store.watching.save_run_watch("main", 94, None, None, None)
    await store.watching.save_run_watch("main", 95, 52, None, None)
    await store.watching.save_run_watch("other", 94, 7, NOW, "gone")
    assert await store.watching.run_watches("main") == {94: RunWatch(None), 95: RunWatch(52)}
    await store.watching.save_run_watch("main", 94, 52, NOW, "completed")
    assert await store.watching.run_watches("main") == {94: RunWatch(52, ended=True), 95: RunWatch(52)}
    await store.watching.drop_run_watches("main", [94, 96])
    assert await store.watching.run_watches("main") == {95: RunWatch(52)}
    assert await store.watching.run_watches("other") == {94: RunWatch(7, ended=True)}


def results(*statuses: str | None) -> tuple[Snapshot, ...]:
    """Runs 1, 2, ... of one sync, a minute apart."""
    return tuple(
        a_snapshot(number, status=status, created_at=NOW + number * MINUTE) for number, status in enumerate(statuses, 1)
    )


@pytest.mark.asyncio
async def test_the_previous_result_is_the_last_that_counts_before_a_time(store: Store) -> None:
    runs = results("failed", "completed", "skipped", "working", "canceled", "queued")
    canceled = a_snapshot(7, created_at=NOW + 7 * MINUTE, watched=Watched("completed", canceled=True))
    elsewhere = a_snapshot(8, status="failed", sync_id=53, created_at=NOW + 2 * MINUTE)
    await store.watching.record(an_observation(snapshots=(*runs, canceled, elsewhere)))
    assert await store.watching.previous_result("main", 52, NOW + 8 * MINUTE, []) == PreviousRun(2, "completed")
    assert await store.watching.previous_result("main", 52, NOW + 2 * MINUTE, []) == PreviousRun(1, "failed")
    assert await store.watching.previous_result("main", 52, NOW + MINUTE, []) is None
    assert await store.watching.previous_result("other", 52, NOW + DAY, []) is None


@pytest.mark.asyncio
async def test_without_a_time_the_previous_result_is_the_last_recorded_but_some(store: Store) -> None:
    await store.watching.record(an_observation(snapshots=results("failed", "completed", "failed")))
    assert await store.watching.previous_result("main", 52, None, []) == PreviousRun(3, "failed")
    assert await store.watching.previous_result("main", 52, None, [3, 4]) == PreviousRun(2, "completed")
    assert await store.watching.previous_result("main", 52, None, [1, 2, 3]) is None


@pytest.mark.parametrize(
    "state",
    [
        WorkspaceState("main"),
        WorkspaceState("main", False, STRANGE, NOW, NOW - DAY, 2.5, 12.125),
    ],
)
@pytest.mark.asyncio
async def test_a_workspace_comes_back_as_it_was(store: Store, state: WorkspaceState) -> None:
    await store.watching.save_workspace(WorkspaceState("main", False, "old", NOW, NOW, 9.0, 9.0))
    await store.watching.save_workspace(state)
    assert await store.watching.workspaces() == {"main": state}


@pytest.mark.asyncio
async def test_a_forgotten_workspace_leaves_its_events_and_deliveries_only(store: Store, database: Path) -> None:
    for name in ("main", "other"):
        event = an_event(f"evt_{name}", "growth", workspace=name)
        await store.watching.record(
            an_observation(event, snapshots=(a_snapshot(1),), mark=Mark(1, NOW, None), workspace=name)
        )
        await store.watching.save_workspace(WorkspaceState(name))
        await store.watching.save_run_watch(name, 94, None, None, None)
    await store.watching.forget_workspace("main")
    assert (await store.watching.workspaces()).keys() == {"other"}
    assert await store.watching.syncs("main") == []
    assert await store.watching.snapshots("main", [1]) == {}
    assert await store.watching.run_watches("main") == {}
    assert len(await store.watching.syncs("other")) == len(await store.watching.snapshots("other", [1])) == 1
    assert (await store.watching.run_watches("other")).keys() == {94}
    assert [delivery.workspace for delivery in await store.delivering.pending("growth", 0, 9)] == ["main", "other"]


@pytest.mark.asyncio
async def test_there_is_one_worker_and_its_last_sign_of_life(store: Store, database: Path) -> None:
    await store.save_worker("1.0", NOW, NOW)
    await store.save_worker("1.1", NOW, NOW + MINUTE)
    assert rows(database, "SELECT version, last_seen_at - started_at FROM worker") == [("1.1", 60_000_000)]


# --- delivering ---


@pytest.mark.asyncio
async def test_an_event_becomes_a_pending_delivery_for_each_receiver_due_at_once(store: Store) -> None:
    await store.watching.record(FULL)
    [first, second] = await store.delivering.pending("growth", 0, 100)
    assert (first.event_id, second.event_id) == ("evt_1", "evt_2")
    assert (first.event_type, first.workspace, first.sync_id) == (EventType.FAILED, "main", 52)
    assert (first.attempts, first.first_failed_at, first.aside) == (0, None, False)
    assert first.next_attempt_at == first.clock_started_at == NOW
    assert [delivery.event_id for delivery in await store.delivering.pending("pipeline", 0, 100)] == ["evt_1", "evt_2"]
    assert await store.delivering.pending("nobody", 0, 100) == []
    assert await store.delivering.count_pending() == 4


@pytest.mark.asyncio
async def test_an_event_without_receivers_is_recorded_all_the_same(store: Store) -> None:
    await store.watching.record(an_observation(an_event("evt_1")))
    assert (await store.delivering.message("evt_1")).event_id == "evt_1"
    assert await store.delivering.count_pending() == 0


@pytest.mark.parametrize("body", [b"", bytes(range(256)), b"\xff\x00" * 1_000_000, STRANGE.encode()])
@pytest.mark.asyncio
async def test_a_body_comes_back_to_the_byte(store: Store, body: bytes) -> None:
    await store.watching.record(an_observation(an_event("evt_1", body=body, type=EventType.QUEUED)))
    message = await store.delivering.message("evt_1")
    assert message.body == body
    assert type(message.body) is bytes
    assert message.event_type == "sync_run.queued"


@pytest.mark.asyncio
async def test_pending_deliveries_come_in_order_a_page_at_a_time(store: Store) -> None:
    await store.watching.record(an_observation(*(an_event(f"evt_{number}", "growth", "other") for number in range(5))))
    first = await store.delivering.pending("growth", 0, 2)
    second = await store.delivering.pending("growth", first[-1].id, 2)
    third = await store.delivering.pending("growth", second[-1].id, 2)
    pages = [[delivery.event_id for delivery in page] for page in (first, second, third)]
    assert pages == [["evt_0", "evt_1"], ["evt_2", "evt_3"], ["evt_4"]]


@pytest.mark.asyncio
async def test_a_lane_is_one_receiver_workspace_and_sync_between_two_ids(store: Store) -> None:
    for number in range(6):
        await store.watching.record(an_observation(an_event(f"evt_{number}", "growth", "other")))
    await store.watching.record(an_observation(an_event("evt_sync", "growth", sync_id=53), sync_id=53))
    await store.watching.record(an_observation(an_event("evt_space", "growth", workspace="second"), workspace="second"))
    ids = [delivery.id for delivery in await store.delivering.pending("growth", 0, 100)]
    await store.delivering.settle(a_settlement(ids[3], DeliveryState.DELIVERED))
    lane = await store.delivering.pending_in_lane("growth", "main", 52, ids[0], ids[4], 100)
    assert [delivery.id for delivery in lane] == [ids[1], ids[2], ids[4]]
    assert len(await store.delivering.pending_in_lane("growth", "main", 52, ids[0], ids[4], 2)) == 2
    assert [d.event_id for d in await store.delivering.pending_in_lane("growth", "main", 53, 0, 999, 9)] == ["evt_sync"]
    assert [d.event_id for d in await store.delivering.pending_in_lane("growth", "second", 52, 0, 999, 9)] == [
        "evt_space"
    ]


@pytest.mark.asyncio
async def test_a_failed_attempt_is_kept_with_all_that_the_next_one_needs(store: Store, database: Path) -> None:
    await store.watching.record(an_observation(an_event("evt_1", "growth")))
    [delivery] = await store.delivering.pending("growth", 0, 1)
    due, failed = NOW + 7 * MINUTE, NOW + timedelta(microseconds=1)
    await store.delivering.settle(
        a_settlement(
            delivery,
            DeliveryState.PENDING,
            attempts=3,
            next_attempt_at=due,
            first_failed_at=failed,
            aside=True,
            last_error=STRANGE,
        )
    )
    [again] = await store.delivering.pending("growth", 0, 1)
    assert (again.attempts, again.next_attempt_at, again.first_failed_at, again.aside) == (3, due, failed, True)
    assert again.clock_started_at == NOW
    assert rows(database, "SELECT finished_at, last_error FROM deliveries") == [(None, STRANGE)]


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.DEAD])
@pytest.mark.asyncio
async def test_a_finished_delivery_is_pending_no_more(store: Store, database: Path, state: DeliveryState) -> None:
    await store.watching.record(FULL)
    [first, second] = await store.delivering.pending("growth", 0, 9)
    await store.delivering.settle(a_settlement(first, state, settled_at=NOW + MINUTE, last_error="why"))
    assert await store.delivering.pending("growth", 0, 9) == [second]
    assert await store.delivering.count_pending() == 3
    [(kept, lasted)] = rows(database, "SELECT state, finished_at - created_at FROM deliveries WHERE id = ?", first.id)
    assert (kept, lasted) == (state.value, 60_000_000)


@pytest.mark.asyncio
async def test_an_outcome_and_what_it_says_of_the_receiver_are_one_transaction(store: Store, database: Path) -> None:
    await store.watching.record(FULL)
    [first, *_] = await store.delivering.pending("growth", 0, 9)
    state = ReceiverState("growth", broken_since=NOW, last_error="404", last_accepted_at=NOW - DAY, hold_until=NOW)
    await store.delivering.settle(a_settlement(first, DeliveryState.DEAD), state)
    assert await store.delivering.receivers() == {"growth": state}
    nameless = ReceiverState(None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        await store.delivering.settle(a_settlement(first, DeliveryState.DELIVERED), nameless)
    assert rows(database, "SELECT state FROM deliveries WHERE id = ?", first.id) == [("dead",)]


@pytest.mark.asyncio
async def test_a_probe_that_a_command_asked_for_is_not_overwritten_by_the_worker(store: Store, database: Path) -> None:
    await save_receiver(store, ReceiverState("growth"))
    change(database, "UPDATE receivers SET probe_at = 5000000")
    await save_receiver(store, ReceiverState("growth", last_error="500", probe_at=None))
    probe_at = datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert await store.delivering.receivers() == {
        "growth": ReceiverState("growth", last_error="500", probe_at=probe_at)
    }


@pytest.mark.asyncio
async def test_deliveries_of_receivers_that_are_gone_die_with_the_reason(store: Store, database: Path) -> None:
    await store.watching.record(an_observation(*(an_event(f"evt_{n}", "growth", "pipeline", "gone") for n in range(2))))
    for name in ("growth", "gone"):
        await save_receiver(store, ReceiverState(name))
    [sent, _] = await store.delivering.pending("gone", 0, 9)
    await store.delivering.settle(a_settlement(sent, DeliveryState.DELIVERED))
    await store.delivering.abandon_all_but(["growth", "pipeline"], NOW + MINUTE)
    assert (await store.delivering.receivers()).keys() == {"growth"}
    assert await store.delivering.count_pending() == 4
    assert rows(
        database,
        "SELECT state, next_attempt_at, finished_at - created_at, last_error FROM deliveries WHERE receiver = 'gone'"
        " ORDER BY id",
    ) == [
        ("delivered", None, 0, None),
        ("dead", None, 60_000_000, "the receiver is no longer in the watchlist"),
    ]


@pytest.mark.asyncio
async def test_without_receivers_all_that_waits_dies(store: Store) -> None:
    await store.watching.record(FULL)
    await store.delivering.abandon_all_but([], NOW)
    assert await store.delivering.count_pending() == 0


@pytest.mark.asyncio
async def test_the_worker_asks_for_pending_deliveries_by_their_own_index(store: Store, database: Path) -> None:
    asked: list[str] = []
    await reading_connection(store).set_trace_callback(asked.append)
    await store.delivering.pending("growth", 0, 100)
    await store.delivering.pending_in_lane("growth", "main", 52, 0, 9, 100)
    await store.delivering.count_pending()
    by = ("ix_deliveries_pending", "ix_deliveries_lane", "ix_deliveries_pending")
    for statement, index in zip(asked, by, strict=True):
        plan = " ".join(str(row[3]) for row in rows(database, f"EXPLAIN QUERY PLAN {statement}"))
        assert index in plan, statement
        assert "TEMP B-TREE" not in plan, statement


# --- connections ---


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_the_workers_connections_lose_no_commit_and_only_the_writer_checkpoints(store: Store) -> None:
    writing, reading = writing_connection(store), reading_connection(store)
    for connection in (writing, reading):
        assert await pragma(connection, "journal_mode") == "wal"
        assert await pragma(connection, "synchronous") == 2  # FULL
        assert await pragma(connection, "foreign_keys") == 1
        assert await pragma(connection, "busy_timeout") == 5000
    assert await pragma(writing, "wal_autocheckpoint") > 0
    assert await pragma(writing, "query_only") == 0
    assert await pragma(reading, "wal_autocheckpoint") == 0
    assert await pragma(reading, "query_only") == 1


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_what_is_asked_for_during_a_read_is_answered_next_each_with_its_own(store: Store) -> None:
    await store.watching.record(FULL)
    asked, held = await hold_the_next_read(store)
    first = asyncio.create_task(store.delivering.count_pending())
    await asked.wait()
    wrong = asyncio.create_task(store.watching.snapshots("main", ["\ud800"]))  # half a character
    cancelled = asyncio.create_task(store.watching.workspaces())
    others = [asyncio.create_task(store.delivering.pending("growth", 0, most)) for most in (1, 2)]
    await asyncio.sleep(0)
    cancelled.cancel()
    held.set()
    assert await first == 4
    with pytest.raises(UnicodeEncodeError):
        await wrong
    assert [len(await task) for task in others] == [1, 2]
    assert (await asyncio.gather(cancelled, return_exceptions=True))[0].__class__ is asyncio.CancelledError


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_a_read_that_is_asked_for_after_a_commit_sees_it_whatever_is_being_read(store: Store) -> None:
    asked, held = await hold_the_next_read(store)
    before = asyncio.create_task(store.delivering.count_pending())
    await asked.wait()
    await store.watching.record(FULL)
    after = asyncio.create_task(store.delivering.count_pending())
    held.set()
    assert await after == 4
    await before


@pytest.mark.parametrize(
    ("role", "foreign_keys", "query_only"), [("migration", 0, 0), ("reader", 1, 1), ("command", 1, 0)]
)
def test_the_connections_of_commands_never_checkpoint(
    database: Path, role: Role, foreign_keys: int, query_only: int
) -> None:
    assert role != "worker"
    engine = engine_for(database, role)
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in (
                "journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint", "query_only", "busy_timeout"
            )
        }  # fmt: skip
    engine.dispose()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": foreign_keys,  # a migration looks at them itself, before it ends
        "wal_autocheckpoint": 0,
        "query_only": query_only,
        "busy_timeout": 5000,
    }


def from_another_process(path: str) -> None:
    change(Path(path), "INSERT INTO receivers (name) VALUES ('new')")


@pytest.mark.asyncio
async def test_changes_from_outside_are_those_of_others_and_not_our_own(store: Store, database: Path) -> None:
    at_first = await store.changes_from_outside()
    await store.watching.record(FULL)
    await store.delivering.settle(a_settlement(1, DeliveryState.DELIVERED))
    await store.delivering.pending("growth", 0, 9)
    rows(database, "SELECT * FROM deliveries")  # looking is no change
    assert await store.changes_from_outside() == at_first
    assert await asyncio.to_thread(run_to_its_end, from_another_process, str(database)) == 0
    second = await store.changes_from_outside()
    assert second != at_first
    await store.save_worker("1", NOW, NOW)
    assert await store.changes_from_outside() == second
    change(database, "DELETE FROM receivers")
    assert await store.changes_from_outside() != second


@pytest.mark.asyncio
async def test_what_another_process_wrote_is_seen_by_the_next_read(store: Store, database: Path) -> None:
    assert await store.delivering.receivers() == {}
    change(database, "INSERT INTO receivers (name) VALUES ('new')")
    assert (await store.delivering.receivers()).keys() == {"new"}


@pytest.mark.asyncio
async def test_a_write_is_seen_by_the_read_after_it(store: Store) -> None:
    for number in range(20):
        await store.watching.record(an_observation(an_event(f"evt_{number}", "growth")))
        assert await store.delivering.count_pending() == number + 1


# --- the file under it ---


@pytest.mark.asyncio
async def test_a_file_that_is_where_it_was_is_in_place(store: Store) -> None:
    await store.watching.record(FULL)
    assert store.is_in_place()


@pytest.mark.asyncio
async def test_a_deleted_file_is_noticed(store: Store, database: Path) -> None:
    database.unlink()
    assert not store.is_in_place()


@pytest.mark.asyncio
async def test_a_replaced_file_is_noticed(store: Store, database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    new_database(other)
    os.replace(other, database)  # noqa: PTH105
    assert not store.is_in_place()


@pytest.mark.asyncio
async def test_a_file_that_was_moved_away_and_back_is_in_place(store: Store, database: Path, tmp_path: Path) -> None:
    database.rename(tmp_path / "away.db")
    assert not store.is_in_place()
    (tmp_path / "away.db").rename(database)
    assert store.is_in_place()


@pytest.mark.asyncio
async def test_a_database_outlives_its_store(database: Path) -> None:
    async with open_store(database) as first:
        await first.watching.record(FULL)
        known = await first.delivering.pending("growth", 0, 9)
    async with open_store(database) as second:
        assert await second.delivering.pending("growth", 0, 9) == known
        assert (await second.watching.syncs("main"))[0].mark == FULL.mark


@pytest.mark.asyncio
async def test_a_backup_made_beside_the_worker_is_a_whole_database(store: Store, database: Path) -> None:
    await store.watching.record(FULL)
    backup = database.with_name("backup.db")
    rows(database, "VACUUM INTO ?", str(backup))
    assert rows(backup, "PRAGMA integrity_check") == [("ok",)]
    assert rows(backup, "SELECT count(*) FROM deliveries") == [(4,)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "runs",
    [
        {},
        {1: "failed", 2: "working"},
        {1: "completed", 2: "completed", 3: "failed"},
        {1: "completed", 2: "completed", 3: "canceled"},
        {3: "completed", 2: "failed", 1: "completed"},
    ],
)
async def test_the_last_good_run_of_an_answer_is_the_one_that_the_database_would_name(
    store: Store, runs: dict[int, str]
) -> None:
    # Created in the order of their IDs, completed in the opposite one.
    snapshots = [
        a_snapshot(
            n,
            "completed" if status == "canceled" else status,
            watched=Watched(status="completed", canceled=True) if status == "canceled" else Watched(status=status),
            created_at=NOW + timedelta(minutes=n),
            completed_at=NOW + timedelta(hours=1, minutes=-n),
        )
        for n, status in runs.items()
    ]
    await store.watching.record(an_observation(snapshots=tuple(snapshots)))
    assert last_good_of(snapshots) == await store.watching.last_good("main", 52)
