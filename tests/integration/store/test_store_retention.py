"""What retention takes away, and what it must leave however old it is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.model.delivery import DeliveryState
from notifier.model.event import CensusAlert, Event, EventType, Observation, run_story
from notifier.model.sync import Mark, WatchedSync
from notifier.store.sql import retention
from notifier.store.store import Store, open_store
from tests.integration.store.builders import (
    DAY,
    MINUTE,
    NOW,
    a_settlement,
    a_snapshot,
    an_event,
    an_observation,
    change,
    nobody,
    reading_connection,
    rows,
    traced,
)

CUTOFF = NOW
OLD = NOW - DAY
JUST_BEFORE = NOW - timedelta(microseconds=1)
JUST_ABOVE_30 = NOW - 400 * DAY + 30 * MINUTE + timedelta(microseconds=1)  # the newest of the runs that are forgotten


def events_in(database: Path) -> list[str]:
    return [row[0] for row in rows(database, "SELECT id FROM events ORDER BY seq")]


async def settled(store: Store, event_id: str, **given: DeliveryState) -> None:
    """Settles an event's deliveries, by receiver, a day before the cutoff."""
    for receiver, state in given.items():
        [delivery] = [d for d in await store.delivering.pending(receiver, 0, 99) if d.event_id == event_id]
        await store.delivering.settle(a_settlement(delivery, state, settled_at=OLD))


@pytest.mark.asyncio
async def test_finished_deliveries_and_their_events_go_when_they_are_old(store: Store, database: Path) -> None:
    await store.watching.record(an_observation(an_event("evt_1", "growth", "pipeline", seen_at=OLD)))
    await settled(store, "evt_1", growth=DeliveryState.DELIVERED, pipeline=DeliveryState.DEAD)
    await store.prune(CUTOFF, nobody)
    assert rows(database, "SELECT * FROM deliveries") == []
    assert events_in(database) == []


@pytest.mark.asyncio
async def test_what_is_pending_stays_with_its_event_however_old(store: Store, database: Path) -> None:
    ancient = NOW - 1000 * DAY
    await store.watching.record(an_observation(an_event("evt_1", "growth", "pipeline", seen_at=ancient)))
    await settled(store, "evt_1", growth=DeliveryState.DELIVERED)
    await store.prune(CUTOFF, nobody)
    assert rows(database, "SELECT receiver, state FROM deliveries") == [("pipeline", "pending")]
    assert (await store.delivering.message("evt_1")).event_id == "evt_1"


@pytest.mark.asyncio
async def test_an_event_nobody_was_to_hear_of_goes_by_its_own_age(store: Store, database: Path) -> None:
    old, young = an_event("evt_old", seen_at=JUST_BEFORE), an_event("evt_young", seen_at=CUTOFF)
    await store.watching.record(an_observation(old, young))
    await store.prune(CUTOFF, nobody)
    assert events_in(database) == ["evt_young"]


@pytest.mark.parametrize(("finished", "left"), [(JUST_BEFORE, 0), (CUTOFF, 1)])
@pytest.mark.asyncio
async def test_a_delivery_goes_by_when_it_was_finished(
    store: Store, database: Path, finished: object, left: int
) -> None:
    await store.watching.record(an_observation(an_event("evt_1", "growth", seen_at=OLD)))
    await store.delivering.settle(a_settlement(1, DeliveryState.DELIVERED, settled_at=finished))
    await store.prune(CUTOFF, nobody)
    assert len(rows(database, "SELECT * FROM deliveries")) == left
    assert len(events_in(database)) == left


@pytest.mark.asyncio
async def test_many_are_taken_bit_by_bit(store: Store, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.store.store.PRUNE_AT_ONCE", 10)
    await store.watching.record(
        an_observation(
            *(an_event(f"evt_{n}", "growth", seen_at=OLD) for n in range(25)),
            *(an_event(f"evt_unrouted_{n}", seen_at=OLD) for n in range(5)),
            an_event("evt_kept", "growth", seen_at=OLD),
        )
    )
    for delivery in await store.delivering.pending("growth", 0, 25):
        await store.delivering.settle(a_settlement(delivery, DeliveryState.DELIVERED, settled_at=OLD))
    trace = await traced(store)
    await store.prune(CUTOFF, nobody)
    assert events_in(database) == ["evt_kept"]
    assert await store.delivering.count_pending() == 1
    assert trace.commits >= 3


@pytest.mark.sqlite
@pytest.mark.asyncio
async def test_with_nothing_old_nothing_is_written(store: Store) -> None:
    await store.watching.record(an_observation(an_event("evt_1", "growth"), snapshots=(a_snapshot(1),)))
    trace = await traced(store)
    await store.prune(CUTOFF, nobody)
    assert trace.statements == []


@pytest.mark.asyncio
async def test_looking_for_what_is_old_does_not_read_all_that_is_young(store: Store, database: Path) -> None:
    asked: list[str] = []
    await reading_connection(store).set_trace_callback(asked.append)
    await store.prune(NOW, nobody)
    (look,) = (statement for statement in asked if "deliveries" in statement and "posted" not in statement)
    plan = [str(row[3]) for row in rows(database, f"EXPLAIN QUERY PLAN {look}")]
    assert any("ix_events_seen_at" in step for step in plan)
    assert not [step for step in plan if step.startswith(("SCAN deliveries", "SCAN events"))]


@pytest.mark.asyncio
async def test_an_id_is_never_used_again(database: Path) -> None:
    async with open_store(database) as store:
        await store.watching.record(an_observation(*(an_event(f"evt_{n}", "growth", seen_at=OLD) for n in range(3))))
        used = [delivery.id for delivery in await store.delivering.pending("growth", 0, 9)]
        sequence = rows(database, "SELECT max(seq) FROM events")[0][0]
        for number in used:
            await store.delivering.settle(a_settlement(number, DeliveryState.DELIVERED, settled_at=OLD))
        await store.prune(CUTOFF, nobody)
        assert events_in(database) == []
    async with open_store(database) as store:
        await store.watching.record(an_observation(an_event("evt_new", "growth")))
        [delivery] = await store.delivering.pending("growth", 0, 9)
        assert delivery.id > max(used)
        assert rows(database, "SELECT seq FROM events")[0][0] > sequence


# --- snapshots ---


async def record_runs(store: Store, numbers: range, **given: Any) -> None:
    """Runs of one sync a minute apart, the last one a year before the cutoff at the latest."""
    start = NOW - 400 * DAY
    runs = tuple(
        a_snapshot(n, **{"created_at": start + n * MINUTE, "changed_at": start + n * MINUTE, **given}) for n in numbers
    )
    sync_id = runs[0].sync_id
    await store.watching.record(
        an_observation(snapshots=runs, sync_id=sync_id, mark=Mark(numbers[-1], NOW, OLD - 900 * DAY))
    )


@pytest.mark.asyncio
async def test_the_newest_hundred_snapshots_of_each_sync_stay_however_old(store: Store) -> None:
    await record_runs(store, range(1, 131))
    await record_runs(store, range(201, 301), sync_id=53)
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.snapshots("main", range(1, 400))).keys() == {*range(31, 131), *range(201, 301)}


@pytest.mark.asyncio
async def test_newest_is_by_creation_and_not_by_the_order_of_recording(store: Store) -> None:
    for number in reversed(range(1, 111)):
        await record_runs(store, range(number, number + 1))
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.snapshots("main", range(1, 200))).keys() == set(range(11, 111))


@pytest.mark.asyncio
async def test_followed_snapshots_stay(store: Store) -> None:
    await record_runs(store, range(1, 3), followed=True)
    await record_runs(store, range(3, 131))
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.snapshots("main", range(1, 200))).keys() == {1, 2, *range(31, 131)}


@pytest.mark.asyncio
async def test_snapshots_that_changed_since_stay(store: Store) -> None:
    await record_runs(store, range(1, 3), changed_at=CUTOFF)
    await record_runs(store, range(3, 131))
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.snapshots("main", range(1, 200))).keys() == {1, 2, *range(31, 131)}


@pytest.mark.asyncio
async def test_the_floor_is_raised_to_the_newest_run_that_was_forgotten(store: Store) -> None:
    await record_runs(store, range(1, 131))
    await store.prune(CUTOFF, nobody)
    [sync] = await store.watching.syncs("main")
    assert sync == WatchedSync(52, "Leads", True, Mark(130, NOW, JUST_ABOVE_30), 0)


@pytest.mark.asyncio
async def test_a_floor_that_is_higher_stays(store: Store) -> None:
    await record_runs(store, range(1, 131))
    await store.watching.record(an_observation(mark=Mark(130, NOW, CUTOFF)))
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.syncs("main"))[0].mark == Mark(130, NOW, CUTOFF)


@pytest.mark.asyncio
async def test_a_poll_that_was_under_way_does_not_put_the_old_floor_back(store: Store) -> None:
    await record_runs(store, range(1, 131))
    await store.prune(CUTOFF, nobody)
    await store.watching.record(an_observation(mark=Mark(131, NOW, OLD - 900 * DAY)))
    assert (await store.watching.syncs("main"))[0].mark == Mark(131, NOW, JUST_ABOVE_30)
    await store.watching.record(an_observation(mark=Mark(132, NOW, None)))
    assert (await store.watching.syncs("main"))[0].mark == Mark(132, NOW, JUST_ABOVE_30)


@pytest.mark.asyncio
async def test_the_message_of_a_run_that_is_still_followed_is_remembered_however_old(
    store: Store, database: Path
) -> None:
    await store.watching.record(an_observation(snapshots=(a_snapshot(1, followed=True), a_snapshot(2, followed=False))))
    for story in ("run:1:52:main", "run:2:52:main", "run:1:52:other", "run:1:53:main"):
        change(
            database,
            "INSERT INTO posted (receiver, story, reference, event_id, changed_at) VALUES ('hook', ?, 'C1/1', 'e', 0)",
            story,
        )
    await store.prune(CUTOFF, nobody)
    assert rows(database, "SELECT story FROM posted") == [("run:1:52:main",)]


@pytest.mark.asyncio
async def test_so_is_that_of_a_run_whose_id_is_a_word_however_it_is_spelled(store: Store, database: Path) -> None:
    words = ("glimmering_donkey", "a:b%3A", "100%")
    await store.watching.record(
        an_observation(snapshots=tuple(a_snapshot(run_id=word, sync_id="tame:yak", followed=True) for word in words))
    )
    kept = {run_story("main", "tame:yak", word) for word in words}
    for story in (*kept, "run:a:b%3A:tame:yak:main"):
        change(
            database,
            "INSERT INTO posted (receiver, story, reference, event_id, changed_at) VALUES ('hook', ?, 'C1/1', 'e', 0)",
            story,
        )
    await store.prune(CUTOFF, nobody)
    assert {story for (story,) in rows(database, "SELECT story FROM posted")} == kept


@pytest.mark.asyncio
async def test_old_snapshots_go_by_the_time_of_their_runs_and_not_by_how_they_are_called(
    store: Store, database: Path
) -> None:
    names = [f"word_{(number * 37) % 150:03}" if number % 2 else number + 1 for number in range(150)]
    runs = [
        a_snapshot(run_id=name, sync_id="donkey", created_at=OLD + number * MINUTE, changed_at=OLD)
        for number, name in enumerate(names)
    ]
    await store.watching.record(an_observation(snapshots=tuple(runs), sync_id="donkey"))
    await store.prune(CUTOFF, nobody)
    left = rows(database, "SELECT run_id FROM snapshots ORDER BY created_at")
    assert left == [(str(name),) for name in names[50:]]


@pytest.mark.asyncio
async def test_a_mark_without_a_floor_gets_one_only_when_something_was_forgotten(store: Store, database: Path) -> None:
    await record_runs(store, range(1, 131), changed_at=CUTOFF)
    change(database, "UPDATE syncs SET floor = NULL, mark_created_at = 0")
    await store.watching.record(an_observation(mark=Mark(130, NOW, None)))
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.syncs("main"))[0].mark == Mark(130, NOW, None)
    await store.prune(CUTOFF + MINUTE, nobody)
    assert (await store.watching.syncs("main"))[0].mark == Mark(130, NOW, JUST_ABOVE_30)


@pytest.mark.asyncio
async def test_the_floor_of_another_sync_stays(store: Store) -> None:
    await record_runs(store, range(1, 131))
    await record_runs(store, range(201, 301), sync_id=53)
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.syncs("main"))[1].mark == Mark(300, NOW, OLD - 900 * DAY)


@pytest.mark.asyncio
async def test_runs_without_a_time_of_creation_can_be_forgotten_too(store: Store) -> None:
    await record_runs(store, range(1, 131), created_at=None)
    await store.prune(CUTOFF, nobody)
    assert (await store.watching.snapshots("main", range(1, 200))).keys() == set(range(31, 131))
    assert (await store.watching.syncs("main"))[0].mark == Mark(130, NOW, OLD - 900 * DAY)


@pytest.mark.asyncio
async def test_a_second_prune_finds_nothing_left(store: Store, database: Path) -> None:
    await record_runs(store, range(1, 131))
    await store.watching.record(an_observation(an_event("evt_1", seen_at=OLD)))
    await store.prune(CUTOFF, nobody)
    before = rows(database, "SELECT * FROM snapshots"), await store.watching.syncs("main")
    await store.prune(CUTOFF, nobody)
    assert (rows(database, "SELECT * FROM snapshots"), await store.watching.syncs("main")) == before


@pytest.mark.asyncio
async def test_an_alert_is_remembered_as_told_until_retention(store: Store) -> None:
    seen_at = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    raised = CensusAlert(626248, EventType.CENSUS_ALERT_RAISED)
    told = Event("evt_alert", raised.type, "production", 52, None, seen_at, b"{}", ())
    assert not await store.watching.has_told_alert("production", raised)
    await store.watching.record(Observation("production", 52, None, events=(told,), alert=raised))
    assert await store.watching.has_told_alert("production", raised)
    assert not await store.watching.has_told_alert("staging", raised)
    assert not await store.watching.has_told_alert("production", CensusAlert(626248, EventType.CENSUS_ALERT_RESOLVED))
    await store.prune(seen_at, nobody)
    assert await store.watching.has_told_alert("production", raised)
    await store.prune(seen_at + timedelta(seconds=1), nobody)
    assert not await store.watching.has_told_alert("production", raised)


@pytest.mark.asyncio
async def test_snapshots_of_a_workspace_that_another_worker_watches_by_now_are_left_to_that_one(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which holds the sync's mark in memory, and would take what is forgotten for news."""
    await record_runs(store, range(1, 131))
    watched, read = {"main"}, store._reader.read

    async def slowly(statement: Any, /, **given: Any) -> Any:
        found = await read(statement, **given)
        if statement is retention.OLD_SNAPSHOTS:
            watched.clear()
        return found

    monkeypatch.setattr(store._reader, "read", slowly)
    await store.prune(CUTOFF, nobody, watched)
    assert len(rows(database, "SELECT run_id FROM snapshots")) == 130
