"""Checks of a sync that is paused, or has no schedule, and runs that take too long."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.judging.standing import standing_after
from notifier.model.sync import Standing, Sync
from notifier.watchlist.checks import (
    Checks,
    Failing,
    Reminders,
    SlowRun,
    Stale,
)
from tests.integration.watching.incidents.kit import (
    DAY,
    HOUR,
    ApiClock,
    ago,
    incidents,
    kinds,
    only,
    rerostered,
    rostered,
    told,
    watched,
)
from tests.integration.watching.kit import Scene, created

# --- pause and schedule ---


@pytest.mark.asyncio
async def test_a_sync_that_is_paused_and_resumed_is_told_once_each(scene: Scene) -> None:
    roster = await rostered(scene, Checks())
    assert scene.bodies() == []
    scene.simulator.update_sync(52, paused=True)
    await scene.listed(roster)
    await scene.listed(roster)
    assert kinds(scene) == ["sync.paused"]
    roster = await rostered(scene, Checks())
    assert kinds(scene) == ["sync.paused"]
    scene.simulator.update_sync(52, paused=False)
    await scene.listed(roster)
    await scene.listed(roster)
    assert kinds(scene) == ["sync.paused", "sync.resumed"]
    assert scene.bodies()[0]["data"].keys() == {"workspace", "labels", "sync"}


@pytest.mark.asyncio
async def test_a_sync_that_is_paused_when_first_seen_is_not_told(scene: Scene) -> None:
    scene.simulator.update_sync(52, paused=True)
    roster = await rostered(scene, Checks())
    await scene.listed(roster)
    assert scene.bodies() == []


@pytest.mark.asyncio
async def test_a_pause_closes_stale_and_slow_run_and_leaves_failing_open_without_reminders(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ApiClock(monkeypatch)
    scene.run(1, completed_at=clock.now)
    checks = only(
        failing=Failing(),
        stale=Stale(after=HOUR),
        slow_run=SlowRun(after=HOUR),
        reminders=Reminders(first=DAY, longest=DAY),
    )
    roster = await rostered(scene, checks)
    target = roster.syncs[52]
    scene.run(2, "failed", created_at=clock.now)
    scene.run(3, "working", created_at=clock.now)
    await scene.poll(target)
    clock.now += HOUR
    await scene.poll(target)
    assert told(scene) == ["failing opened by 2", "slow_run opened by 3", "stale opened"]
    scene.simulator.update_sync(52, paused=True)
    await scene.listed(roster)
    assert told(scene)[3:] == ["slow_run resolved", "stale resolved"]
    assert [incident["reason"] for incident in incidents(scene, "resolved")] == ["check_off"] * 2
    assert kinds(scene)[-3:] == ["sync.paused", "incident.resolved", "incident.resolved"]
    clock.now += 9 * DAY
    await scene.poll(target)
    await scene.poll(await scene.restarted(target, checks))
    assert len(told(scene)) == 5


@pytest.mark.asyncio
async def test_a_resumed_sync_is_stale_only_when_it_has_not_completed_since(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ApiClock(monkeypatch)
    scene.run(1, created_at=ago(days=10), completed_at=ago(days=9))
    scene.simulator.update_sync(52, paused=True)
    roster = await rostered(scene, only(stale=Stale(after=DAY)))
    await scene.poll(roster.syncs[52])
    scene.simulator.update_sync(52, paused=False)
    await scene.listed(roster)  # now, by the API's real clock
    await scene.poll(roster.syncs[52])
    clock.now += DAY - timedelta(minutes=10)
    await scene.poll(roster.syncs[52])
    assert told(scene) == []
    clock.now += timedelta(minutes=20)
    await scene.poll(roster.syncs[52])
    assert told(scene) == ["stale opened"]


@pytest.mark.asyncio
async def test_a_sync_on_the_schedule_never_is_not_stale_until_it_has_another(scene: Scene) -> None:
    scene.run(1, completed_at=ago(days=9))
    scene.simulator.update_sync(52, schedule_frequency="never")
    roster = await rostered(scene, only(stale=Stale(after=DAY)))
    await scene.poll(roster.syncs[52], times=2)
    assert scene.bodies() == []
    scene.simulator.update_sync(52, schedule_frequency="daily")
    await scene.listed(roster)
    await scene.poll(roster.syncs[52], times=2)
    assert scene.bodies() == []  # a day has not passed since


# --- slow runs, and what a listing shows ---


@pytest.mark.asyncio
async def test_a_crash_between_giving_a_run_up_and_telling_so_leaves_no_incident_open(scene: Scene) -> None:
    target = await watched(scene, only(slow_run=SlowRun(after=HOUR)))
    scene.run(1, "working", created_at=ago(hours=2))
    await scene.poll(target)
    await scene.store.watching.unfollow(scene.workspace, 1)
    await scene.poll(await scene.restarted(target, only(slow_run=SlowRun(after=HOUR))))
    assert told(scene) == ["slow_run opened by 1", "slow_run resolved"]
    assert incidents(scene)[-1]["reason"] == "unwatched"


@pytest.mark.asyncio
async def test_a_run_that_has_ended_by_the_time_it_is_fetched_is_not_slow(scene: Scene) -> None:
    target = await watched(scene, only(slow_run=SlowRun(after=HOUR)))
    scene.run(1, "working", created_at=ago(minutes=30))
    await scene.poll(target)
    scene.becomes(1, "completed")
    await scene.recorder.pass_time(target, datetime.now(UTC) + HOUR, scene.observer._run_now)
    assert told(scene) == []


@pytest.mark.asyncio
async def test_a_slow_run_knows_the_last_good_one_also_after_a_restart(scene: Scene) -> None:
    slow = only(slow_run=SlowRun(after=HOUR))
    target = await watched(scene, slow)
    scene.run(1, completed_at=created(900))
    scene.run(2, "working", created_at=ago(minutes=30))
    await scene.poll(target)
    target = await scene.restarted(target, slow)
    await scene.recorder.pass_time(target, datetime.now(UTC) + HOUR, scene.observer._run_now)
    assert [incident["last_good_run"] for incident in incidents(scene)] == [{"id": 1, "completed_at": created(900)}]


@pytest.mark.asyncio
async def test_a_sync_that_was_resumed_while_the_worker_was_down_is_told(scene: Scene) -> None:
    scene.simulator.update_sync(52, paused=True)
    await rostered(scene, only())
    scene.simulator.update_sync(52, paused=False)
    roster = await rerostered(scene, only())
    await scene.listed(roster)
    assert kinds(scene) == ["sync.resumed"]


@pytest.mark.asyncio
async def test_a_sync_that_got_a_schedule_is_stale_in_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ApiClock(monkeypatch)
    scene.run(1, completed_at=ago(days=9))
    scene.simulator.update_sync(52, schedule_frequency="never")
    roster = await rostered(scene, only(stale=Stale(after=DAY)))
    scene.simulator.update_sync(52, schedule_frequency="daily")
    await scene.listed(roster)
    clock.now += DAY + timedelta(minutes=1)
    await scene.poll(roster.syncs[52])
    assert told(scene) == ["stale opened"]


def test_the_first_sight_of_a_sync_leaves_the_time_from_which_it_is_watched() -> None:
    listed = Sync(52, "Leads", None, paused=False, created_at=None)
    began = datetime(2026, 11, 23, tzinfo=UTC)
    assert standing_after(Standing(stale_from=began), listed, began + DAY) == Standing(False, True, began)
