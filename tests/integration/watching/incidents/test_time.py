"""Incidents that time brings about: slow runs, syncs that stand still, reminders."""

from datetime import datetime, timedelta

import pytest

from notifier.simulator import Status
from notifier.watchlist.checks import (
    Failing,
    Reminders,
    SlowRun,
    Stale,
)
from tests.integration.watching.incidents.kit import (
    DAY,
    FAILING,
    HOUR,
    ApiClock,
    ago,
    incidents,
    only,
    told,
    watched,
)
from tests.integration.watching.kit import LoopClock, Scene


@pytest.mark.asyncio
async def test_a_slow_run_is_told_by_the_apis_clock_and_resolved_when_it_ends(scene: Scene) -> None:
    target = await watched(scene, only(slow_run=SlowRun(after=2 * HOUR)))
    scene.run(1, "working", created_at=ago(hours=1))
    await scene.poll(target)
    assert told(scene) == []
    scene.becomes(1, "completed")
    scene.run(2, "working", created_at=ago(minutes=121))
    await scene.poll(target, times=3)
    assert told(scene) == ["slow_run opened by 2"]
    assert incidents(scene)[0]["last_good_run"]["id"] == 1
    scene.becomes(2, "failed")
    await scene.poll(target, times=2)
    assert told(scene) == ["slow_run opened by 2", "slow_run resolved by 2"]
    assert incidents(scene)[-1]["reason"] == "recovered"


@pytest.mark.asyncio
async def test_a_slow_run_below_the_list_is_resolved_too(scene: Scene) -> None:
    checks = only(slow_run=SlowRun(after=HOUR))
    target = await watched(scene, checks)
    scene.run(1, "working", created_at=ago(hours=2))
    await scene.poll(target)
    scene.simulator.add_run(52, id=2, status="skipped", created_at=ago(minutes=50))
    for number in range(3, 9):
        scene.simulator.add_run(52, id=number, status="skipped", created_at=ago(minutes=50 - number))
    target = await scene.restarted(target, checks)
    await scene.poll(target, times=3)
    assert told(scene) == ["slow_run opened by 1"]
    scene.becomes(1, "completed")
    await scene.poll(target)
    assert told(scene) == ["slow_run opened by 1", "slow_run resolved by 1"]


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_slow_run_that_vanishes_is_resolved(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    target = await watched(scene, only(slow_run=SlowRun(after=HOUR)))
    scene.run(1, "working", created_at=ago(hours=2))
    await scene.poll(target)
    scene.simulator.remove_run(1)
    loop_clock = LoopClock(monkeypatch)
    await scene.poll(target, times=3)
    await loop_clock.advance(600)
    await scene.poll(target, times=3)
    assert told(scene) == ["slow_run opened by 1", "slow_run resolved"]
    resolved = incidents(scene)[-1]
    assert resolved["reason"] == "deleted"
    assert "sync_run" not in scene.bodies()[-1]["data"]
    assert ago(minutes=5) < datetime.fromisoformat(resolved["resolved_at"]) < ago(minutes=-5)  # by the API's clock


@pytest.mark.asyncio
async def test_a_run_that_is_slow_but_gone_by_the_time_it_is_fetched_opens_nothing(scene: Scene) -> None:
    target = await watched(scene, only(slow_run=SlowRun(after=HOUR)))
    scene.run(1, "working", created_at=ago(hours=2))
    fault = scene.simulator.fault(Status(404), path="/sync_runs/1")
    await scene.poll(target)
    assert told(scene) == []
    fault.clear()
    await scene.poll(target)
    assert told(scene) == ["slow_run opened by 1"]


@pytest.mark.asyncio
async def test_a_stale_sync_is_told_by_the_apis_clock_and_resolved_by_a_run_that_completes(scene: Scene) -> None:
    scene.run(1, created_at=ago(hours=26), completed_at=ago(hours=25))
    target = await watched(scene, only(stale=Stale(after=26 * HOUR)))
    await scene.poll(target)
    assert told(scene) == []
    target = await scene.restarted(target, only(stale=Stale(after=24 * HOUR)))
    await scene.poll(target, times=3)
    assert told(scene) == ["stale opened"]
    scene.run(2, "failed", created_at=ago(minutes=3))
    scene.run(3, canceled=True, created_at=ago(minutes=2))
    await scene.poll(target)
    assert told(scene) == ["stale opened"]
    scene.run(4, created_at=ago(minutes=1), completed_at=ago(minutes=1))
    await scene.poll(target, times=2)
    assert told(scene) == ["stale opened", "stale resolved by 4"]


@pytest.mark.asyncio
async def test_a_sync_without_a_good_run_is_stale_from_when_watching_began(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ApiClock(monkeypatch)
    checks = only(stale=Stale(after=DAY))
    target = await watched(scene, checks)
    await scene.poll(target)
    clock.now += DAY - timedelta(seconds=1)
    target = await scene.restarted(target, checks)
    await scene.poll(target)
    assert told(scene) == []
    clock.now += timedelta(seconds=1)
    await scene.poll(target)
    assert told(scene) == ["stale opened"]


@pytest.mark.asyncio
async def test_the_time_for_which_nobody_looked_is_held_against_no_sync_before_it_is_polled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ApiClock(monkeypatch)
    checks = only(stale=Stale(after=DAY), slow_run=SlowRun(after=HOUR))
    scene.run(1, completed_at=clock.now)
    target = await watched(scene, checks)
    scene.run(2, "working", created_at=clock.now)
    await scene.poll(target)
    clock.now += 9 * DAY
    scene.becomes(2, "completed", completed_at=clock.now - timedelta(hours=23))
    target = await scene.restarted(target, checks)
    assert told(scene) == []
    await scene.poll(target, times=2)
    assert told(scene) == []


@pytest.mark.asyncio
async def test_reminders_come_with_polls_and_survive_restarts(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ApiClock(monkeypatch)
    checks = only(failing=Failing(), reminders=Reminders(first=HOUR, longest=2 * HOUR))
    target = await watched(scene, checks)
    scene.run(1, "failed", created_at=clock.now)
    await scene.poll(target)
    for hour in range(1, 7):
        clock.now += HOUR
        target = await scene.restarted(target, checks)
        await scene.poll(target, times=2)
        reminders = told(scene)[1:]
        assert reminders == ["failing reminder"] * {1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3}[hour]
    clock.now -= 9 * DAY
    await scene.poll(target)
    clock.now += 9 * DAY
    await scene.poll(target)
    assert told(scene)[1:] == ["failing reminder"] * 3
    clock.now += 30 * DAY
    await scene.poll(target, times=3)
    assert told(scene)[1:] == ["failing reminder"] * 4


@pytest.mark.asyncio
async def test_an_incident_lasts_no_less_than_no_time_though_the_apis_clock_jumps_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ApiClock(monkeypatch)
    target = await watched(scene, FAILING)
    scene.run(1, "failed", created_at=clock.now)
    await scene.poll(target)
    clock.now -= DAY
    scene.run(2, created_at=clock.now + DAY + timedelta(milliseconds=1))
    await scene.poll(target)
    resolved = incidents(scene)[-1]
    assert resolved["resolved_at"] == resolved["opened_at"]
