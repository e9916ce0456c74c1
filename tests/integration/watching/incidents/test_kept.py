"""Incidents, the events of runs and what is known of a sync are kept as one, over restarts."""

import pytest

from notifier.model.errors import StoreUnavailable
from notifier.watchlist.checks import (
    Failing,
    Reminders,
    SlowRun,
    Stale,
)
from tests.integration.watching.incidents.kit import (
    FAILING,
    HOUR,
    ApiClock,
    incidents,
    only,
    told,
    watched,
)
from tests.integration.watching.kit import FailingRecord, Scene


@pytest.mark.asyncio
async def test_a_poll_that_could_not_be_kept_changes_nothing_and_the_next_one_keeps_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await watched(scene, FAILING)
    record = FailingRecord(monkeypatch, scene.store)
    scene.run(1, "failed")
    before = target.state
    with pytest.raises(StoreUnavailable):
        await scene.poll(target)
    (observation,) = record.failed
    assert (len(observation.snapshots), len(observation.events), len(observation.incidents)) == (1, 2, 1)
    assert target.state == before
    for table in ("snapshots", "events", "deliveries", "incidents"):
        assert scene.rows(f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 our own names
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1"]
    assert scene.rows("SELECT count(*) FROM deliveries") == [(2,)]
    ((incident_id,),) = scene.rows("SELECT id FROM incidents WHERE open")
    assert scene.rows("SELECT DISTINCT incident_id FROM events WHERE incident_id IS NOT NULL") == [(incident_id,)]


@pytest.mark.parametrize("step", ["stale", "reminder", "slow_run"])
@pytest.mark.asyncio
async def test_what_time_brought_about_and_could_not_be_kept_comes_with_the_next_poll(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    clock = ApiClock(monkeypatch)
    checks = {
        "stale": only(stale=Stale(after=HOUR)),
        "slow_run": only(slow_run=SlowRun(after=HOUR)),
        "reminder": only(failing=Failing(), reminders=Reminders(first=HOUR, longest=HOUR)),
    }[step]
    scene.run(1, completed_at=clock.now)
    target = await watched(scene, checks)
    scene.run(2, "failed" if step == "reminder" else "working", created_at=clock.now)
    await scene.poll(target)
    earlier = told(scene)
    clock.now += HOUR
    FailingRecord(monkeypatch, scene.store)
    with pytest.raises(StoreUnavailable):
        await scene.poll(target)
    assert told(scene) == earlier
    await scene.poll(target, times=2)
    assert len(told(scene)) == len(earlier) + 1


@pytest.mark.asyncio
async def test_a_restart_in_mid_incident_goes_on_with_it(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed", error_message="row 1 has no key")
    await scene.poll(target)
    target = await scene.restarted(target, FAILING)
    scene.run(2, "failed", error_message="row 2 has no key")
    await scene.poll(target)
    target = await scene.restarted(target, FAILING)
    scene.run(3)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing changed by 2", "failing resolved by 3"]
    assert len({incident["id"] for incident in incidents(scene)}) == 1
    assert "summary" not in scene.bodies()[3]["data"]  # the error is like the one before the restart


@pytest.mark.asyncio
async def test_the_end_says_what_was_wrong_also_after_a_restart(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed", error_code="E1", error_message="E1: the disk\nis full")
    await scene.poll(target)
    target = await scene.restarted(target, FAILING)
    scene.run(2, "completed")
    await scene.poll(target)
    resolved = next(body for body in scene.bodies() if body["type"] == "incident.resolved")
    assert resolved["data"]["summary"] == "E1: the disk is full"
    assert "summary" not in resolved["data"]["incident"]


@pytest.mark.asyncio
async def test_a_restart_remembers_which_runs_are_of_an_incident_that_is_over(scene: Scene) -> None:
    checks = only(failing=Failing(runs=2, of=4))
    target = await watched(scene, checks)
    scene.runs([1, 2], "failed")
    scene.run(3)
    await scene.poll(target)
    target = await scene.restarted(target, checks)
    scene.run(4, "failed")
    await scene.poll(target)
    assert told(scene) == ["failing opened by 2", "failing resolved by 3"]
    scene.run(5, "failed")
    await scene.poll(target)
    assert told(scene)[2:] == ["failing opened by 5"]


@pytest.mark.asyncio
async def test_an_error_that_changes_after_the_failure_changes_the_incident(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed", error_code="E1")
    await scene.poll(target)
    scene.simulator.update_run(1, error_detail="more of it")
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1"]
    scene.simulator.update_run(1, error_code="E2")
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing changed by 1"]
    assert incidents(scene)[-1]["runs"] == 1
