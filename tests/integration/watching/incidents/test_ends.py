"""Incidents that end without recovery, and what one that is over leaves behind."""

from typing import Any

import pytest

from notifier.model.errors import StoreUnavailable
from notifier.model.incident import Reason
from notifier.watchlist.checks import (
    Failing,
    RejectedRecords,
    SlowRun,
    WatchChecks,
)
from notifier.watchlist.models import SyncSelector, Watch
from tests.integration.watching.incidents.kit import (
    FAILING,
    HOUR,
    ago,
    incidents,
    kinds,
    only,
    rerostered,
    rostered,
    told,
    watched,
)
from tests.integration.watching.kit import Scene

# --- ends without recovery ---


@pytest.mark.asyncio
async def test_a_check_that_an_edit_turned_off_ends_its_incident(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(target)
    target = await scene.restarted(target, only(rejected_records=RejectedRecords()))
    assert told(scene) == ["failing opened by 1", "failing resolved"]
    assert incidents(scene)[-1]["reason"] == "check_off"
    scene.run(2, "failed")
    await scene.poll(target)
    await scene.poll(await scene.restarted(target, FAILING))
    assert len(told(scene)) == 2  # an edit opens nothing
    scene.run(3)
    await scene.poll(target)
    assert len(told(scene)) == 2


@pytest.mark.asyncio
async def test_a_check_that_a_new_name_of_the_sync_turned_off_ends_its_incident(scene: Scene) -> None:
    watches = (
        Watch(syncs="all"),
        Watch(syncs=SyncSelector(label=("Draft*",)), checks=WatchChecks(failing=False)),
    )
    roster = await rostered(scene, FAILING, *watches)
    scene.run(1, "failed")
    await scene.poll(roster.syncs[52])
    scene.simulator.update_sync(52, label="Draft of leads")
    await scene.listed(roster)
    assert told(scene) == ["failing opened by 1", "failing resolved"]
    assert incidents(scene)[-1]["reason"] == "check_off"


@pytest.mark.asyncio
async def test_a_sync_that_an_edit_does_not_watch_any_more_ends_its_incidents(scene: Scene) -> None:
    scene.sync(53)
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(target)
    await scene.roster(Watch(sync=53), checks=FAILING)
    assert told(scene) == ["failing opened by 1", "failing resolved"]
    assert incidents(scene)[-1]["reason"] == "unwatched"
    assert "sync.deleted" not in kinds(scene)


@pytest.mark.asyncio
async def test_a_sync_that_is_renamed_out_of_its_watch_ends_its_incidents(scene: Scene) -> None:
    roster = await rostered(scene, FAILING, Watch(syncs=SyncSelector(label=("Leads*",))))
    scene.run(1, "failed")
    await scene.poll(roster.syncs[52])
    scene.simulator.update_sync(52, label="Other")
    await scene.listed(roster)
    assert told(scene) == ["failing opened by 1", "failing resolved"]
    assert incidents(scene)[-1]["reason"] == "unwatched"
    assert "sync.deleted" not in kinds(scene)


@pytest.mark.asyncio
async def test_a_deleted_sync_ends_its_incidents_and_is_told_as_deleted(scene: Scene) -> None:
    scene.sync(53)
    roster = await rostered(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(roster.syncs[52])
    scene.simulator.remove_sync(52)
    await scene.listed(roster)
    assert kinds(scene) == ["sync_run.failed", "incident.opened"]  # one listing may be wrong
    await scene.listed(roster)
    assert kinds(scene)[2:] == ["sync.deleted", "incident.resolved"]
    assert incidents(scene)[-1]["reason"] == "deleted"
    deleted = scene.bodies()[2]["data"]
    assert deleted.keys() == {"workspace", "labels", "sync"}
    assert deleted["sync"]["id"] == 52
    await scene.listed(roster)
    assert len(scene.bodies()) == 4


@pytest.mark.asyncio
async def test_a_deletion_that_could_not_be_kept_is_told_by_the_next_listing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(53)
    roster = await rostered(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(roster.syncs[52])
    scene.simulator.remove_sync(52)
    await scene.listed(roster)
    forget = scene.store.watching.forget_syncs

    async def fails(*given: Any, **named: Any) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(scene.store.watching, "forget_syncs", fails)
    with pytest.raises(StoreUnavailable):
        await scene.listed(roster)
    assert len(scene.bodies()) == 2
    monkeypatch.setattr(scene.store.watching, "forget_syncs", forget)
    await scene.listed(roster)
    assert kinds(scene)[2:] == ["sync.deleted", "incident.resolved"]


@pytest.mark.asyncio
async def test_incidents_of_a_workspace_that_was_taken_out_end_when_it_is_put_back(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(target)
    await scene.store.watching.forget_workspace(scene.workspace)
    roster = await rostered(scene, FAILING)
    assert told(scene) == ["failing opened by 1", "failing resolved"]
    assert incidents(scene)[-1]["reason"] == "unwatched"
    assert scene.bodies()[-1]["data"]["sync"]["label"] == "Leads"
    scene.run(2, "failed")
    await scene.poll(roster.syncs[52])
    assert told(scene)[2:] == ["failing opened by 2"]


@pytest.mark.asyncio
async def test_a_run_that_is_given_up_while_its_sync_is_forgotten_ends_its_incident_once(scene: Scene) -> None:
    target = await watched(scene, only(slow_run=SlowRun(after=HOUR)))
    scene.run(1, "working", created_at=ago(hours=2))
    await scene.poll(target)
    target.gone = True
    await scene.recorder.run_is_gone(target, 1, Reason.DELETED, ago())
    assert told(scene) == ["slow_run opened by 1"]  # what forgets the sync tells the end


# --- what an incident that is over leaves behind ---


@pytest.mark.asyncio
async def test_after_its_check_was_off_an_incident_that_is_over_counts_no_more(scene: Scene) -> None:
    twice = only(failing=Failing(runs=2))
    roster = await rostered(scene, twice)
    scene.runs((1, 2), "failed")
    await scene.poll(roster.syncs[52])
    await rerostered(scene, only())
    roster = await rerostered(scene, twice)
    for number in (3, 4):
        scene.run(number, "failed")
        await scene.poll(roster.syncs[52])
    assert told(scene) == ["failing opened by 2", "failing resolved", "failing opened by 4"]


@pytest.mark.asyncio
async def test_after_its_sync_was_not_watched_an_incident_that_is_over_counts_no_more(scene: Scene) -> None:
    twice = only(failing=Failing(runs=2))
    roster = await rostered(scene, twice, Watch(syncs=SyncSelector(label=("Leads",))))
    scene.runs((1, 2), "failed")
    await scene.poll(roster.syncs[52])
    for label in ("Other", "Leads"):
        scene.simulator.update_sync(52, label=label)
        await scene.listed(roster)
    roster = await rerostered(scene, twice, Watch(syncs=SyncSelector(label=("Leads",))))
    for number in (3, 4):
        scene.run(number, "failed")
        await scene.poll(roster.syncs[52])
    assert told(scene) == ["failing opened by 2", "failing resolved", "failing opened by 4"]
