"""Incidents while something else is read or kept of the same sync, or can't be."""

from datetime import UTC, datetime
from typing import Any

import pytest

from notifier.model.errors import StoreUnavailable
from notifier.model.incident import Reason
from notifier.model.run import Result
from notifier.model.sync import Sync
from notifier.watchlist.checks import (
    Checks,
    ChecksInForce,
    Failing,
    RecordCount,
    Reminders,
    SlowRun,
    Stale,
    WatchChecks,
)
from notifier.watchlist.models import SyncSelector, Watch
from tests.integration.watching.incidents.kit import (
    DAY,
    FAILING,
    HOUR,
    ApiClock,
    ago,
    incidents,
    only,
    rerostered,
    rostered,
    told,
    watched,
)
from tests.integration.watching.kit import Scene, running, settled, until


@pytest.mark.asyncio
async def test_a_sync_that_could_not_be_forgotten_because_the_database_could_not_be_read_is_watched_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is renamed out of its watch and, before the next listing, back into it."""
    roster = await rostered(scene, FAILING, Watch(syncs=SyncSelector(label=("Leads",))))
    scene.run(1, "failed")
    await scene.poll(roster.syncs[52])
    scene.simulator.update_sync(52, label="Other")

    async def unreadable(*given: object) -> None:
        raise StoreUnavailable("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store.watching, "results", unreadable)
        with pytest.raises(StoreUnavailable):
            await scene.listed(roster)
    scene.simulator.update_sync(52, label="Leads")
    await scene.listed(roster)
    scene.run(2)
    await scene.poll(roster.syncs[52])
    assert told(scene) == ["failing opened by 1", "failing resolved by 2"]


@pytest.mark.parametrize("rest", [{"schedule_frequency": "never"}, {"paused": True}], ids=["never", "paused"])
@pytest.mark.asyncio
async def test_an_incident_that_opened_before_the_first_listing_ends_when_that_shows_that_no_run_was_due(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, rest: dict[str, Any]
) -> None:
    clock = ApiClock(monkeypatch)
    scene.run(1, completed_at=ago(hours=1))
    scene.simulator.update_sync(52, **rest)
    scene.observer = scene.new_observer()
    roster, _ = await scene.roster(Watch(sync=52), checks=only(stale=Stale(after=DAY)))
    await roster.apply_failure()  # syncs can't be listed; this one is named
    await scene.poll(roster.syncs[52])
    clock.now += DAY
    await scene.poll(roster.syncs[52])
    await scene.listed(roster)
    assert told(scene) == ["stale opened", "stale resolved"]
    assert incidents(scene, "resolved")[0]["reason"] == "check_off"
    clock.now += DAY
    await scene.poll(roster.syncs[52], times=2)
    assert len(scene.bodies()) == 2


@pytest.mark.asyncio
async def test_a_run_is_judged_by_the_checks_for_which_its_results_were_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new name brings the sync under other checks while its results are read: they come with the next run."""
    counting = Watch(syncs=SyncSelector(label=("Counted",)), checks=WatchChecks(record_count=RecordCount()))
    for number in range(1, 11):
        scene.run(number, records_processed=1_000 if number < 7 else 100)
    roster = await rostered(scene, Checks(failing=Failing(runs=2)), counting, Watch(sync=52))
    read = scene.store.watching.results

    async def renamed_meanwhile(workspace: str, sync_id: int, most: int) -> list[Result]:
        results = await read(workspace, sync_id, most)
        scene.simulator.update_sync(52, label="Counted")
        await scene.listed(roster)
        return results

    monkeypatch.setattr(scene.store.watching, "results", renamed_meanwhile)
    scene.run(11, records_processed=500)  # far from what the answer shows, not from what the database knows
    await scene.poll(roster.syncs[52])
    assert roster.syncs[52].checks.record_count is not None
    assert told(scene) == []
    monkeypatch.undo()
    scene.run(12, records_processed=5)
    await scene.poll(roster.syncs[52])
    assert told(scene) == ["record_count opened by 12"]


@pytest.mark.parametrize("call", ["run_is_gone", "note_listed", "drop_checks_turned_off", "pass_time"])
@pytest.mark.asyncio
async def test_what_is_not_a_poll_waits_for_what_is_being_recorded_of_the_sync(scene: Scene, call: str) -> None:
    target = await watched(scene, only(slow_run=SlowRun(after=HOUR), reminders=Reminders(first=HOUR)))
    scene.run(1, "working", created_at=ago(hours=9))
    await scene.poll(target, times=2)
    assert told(scene) == ["slow_run opened by 1"]
    now = datetime.now(UTC)
    listed = Sync(52, "Leads", None, paused=True, created_at=None)
    target.is_covered_by(target.labels, ChecksInForce(reminders=target.checks.reminders))
    given: dict[str, tuple[Any, ...]] = {
        "run_is_gone": (target, 1, Reason.DELETED, now),
        "note_listed": (target, listed, now),
        "drop_checks_turned_off": (target,),
        "pass_time": (target, now + 2 * HOUR, scene.observer._run_now),
    }
    async with target.lock, running(getattr(scene.recorder, call)(*given[call])) as task:
        await settled()
        assert told(scene) == ["slow_run opened by 1"]
        target.lock.release()
        await task
        await target.lock.acquire()
    assert len(told(scene)) == 2


@pytest.mark.asyncio
async def test_a_sync_is_forgotten_after_what_is_being_recorded_of_it_and_nothing_comes_after_that(
    scene: Scene,
) -> None:
    roster = await rostered(scene, only(stale=Stale(after=HOUR)), Watch(syncs=SyncSelector(label=("Leads",))))
    target = roster.syncs[52]
    scene.simulator.update_sync(52, label="Other")
    await target.lock.acquire()

    async def list_syncs() -> None:
        await scene.listed(roster)

    async with running(list_syncs()):
        await until(lambda: target.gone)
        await settled()
        assert roster.is_watched(52)
        target.lock.release()
        await until(lambda: not roster.is_watched(52))
    scene.run(1, "failed")
    await scene.poll(target)
    await scene.recorder.pass_time(target, datetime.now(UTC) + DAY, scene.observer._run_now)
    assert scene.bodies() == []


@pytest.mark.asyncio
async def test_the_end_of_an_incident_wakes_its_receivers_also_when_its_sync_is_forgotten(scene: Scene) -> None:
    roster = await rostered(scene, FAILING, Watch(syncs=SyncSelector(label=("Leads",)), labels={"team": "growth"}))
    scene.sync(53, label="Leads")
    await scene.listed(roster)
    await scene.poll(roster.syncs[53])
    scene.run(1, "failed")
    scene.run(2, "failed", sync_id=53)
    for target in roster.syncs.values():
        await scene.poll(target)
    scene.woken.clear()
    scene.simulator.update_sync(52, label="Other")
    await scene.listed(roster)
    assert scene.woken == ["pipeline"]
    scene.woken.clear()
    await rerostered(scene, FAILING, Watch(sync=52))
    assert scene.woken == ["pipeline"]
    assert (told(scene)[-1], told(scene, 53)[-1]) == ("failing resolved", "failing resolved")
    # By the time of the restart no watch gave it a label any more: its incident knows those that it was opened with.
    assert [body["data"]["labels"] for body in scene.bodies()[-2:]] == [{"team": "growth"}] * 2


@pytest.mark.asyncio
async def test_what_a_forgotten_sync_leaves_behind_has_the_apis_time(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(target)
    later = datetime(2100, 1, 1, tzinfo=UTC)
    words = await scene.recorder.last_words(target, Reason.DELETED, later)
    assert [incident.resolved_at for incident in words.incidents] == [later]
