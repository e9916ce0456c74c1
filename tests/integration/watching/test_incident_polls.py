"""Incidents as polls and listings bring them about: real answers, a real database, restarts in between."""

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from notifier.judging.route import Reader
from notifier.judging.standing import standing_after
from notifier.model.errors import StoreUnavailable
from notifier.model.incident import Reason
from notifier.model.run import Result
from notifier.model.sync import Standing, Sync
from notifier.simulator import Status
from notifier.store.store import Store
from notifier.watching.poll import RunFate
from notifier.watching.roster import Roster
from notifier.watching.target import SyncTarget
from notifier.watchlist.checks import (
    Checks,
    ChecksInForce,
    Failing,
    RecordCount,
    RejectedRecords,
    Reminders,
    SlowRun,
    Stale,
    WatchChecks,
)
from notifier.watchlist.models import Route, SyncSelector, Watch
from tests.builders import Course, a_route
from tests.integration.watching.kit import FailingRecord, LoopClock, Scene, a_scene, created, running, settled, until

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ONLY = {"failing": False, "rejected_records": False, "unreachable": False, "reminders": False}
"""With these, only the checks are on that a test adds."""


def only(**given: Any) -> Checks:
    return Checks(**{**ONLY, **given})


FAILING = only(failing=Failing())


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        made.sync(52, label="Leads")
        yield made


class ApiClock:
    """What the API's Date header says from now on, where a test must move it; the simulator's is the real clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        monkeypatch.setattr("notifier.census.client.date_of", lambda headers: self.now)
        monkeypatch.setattr("notifier.watching.api_clock.FAR", timedelta.max)  # whatever a test makes of it is the time


def ago(**units: float) -> datetime:
    """A time in the API's past."""
    return datetime.now(UTC) - timedelta(**units)


def told(scene: Scene, sync_id: int = 52, *, base: int = 0) -> list[str]:
    """What was told of a sync's incidents; run IDs without their `base`."""
    found = scene.rows("SELECT type, body FROM events WHERE sync_id = ? ORDER BY seq", sync_id)
    lines = []
    for kind, body in found:
        if kind.startswith("incident."):
            data = json.loads(body)["data"]
            by = f" by {data['sync_run']['id'] - base}" if "sync_run" in data else ""
            lines.append(f"{data['incident']['check']} {kind.removeprefix('incident.')}{by}")
    return lines


def incidents(scene: Scene, kind: str | None = None) -> list[dict[str, Any]]:
    """The incidents of events, as they were told."""
    bodies = [body for body in scene.bodies() if "incident" in body["data"]]
    return [body["data"]["incident"] for body in bodies if kind in (None, body["type"].removeprefix("incident."))]


def kinds(scene: Scene) -> list[str]:
    return [body["type"] for body in scene.bodies()]


async def watched(scene: Scene, checks: Checks, sync_id: int = 52) -> SyncTarget:
    """A sync whose baseline is set, with its checks."""
    target = scene.target(sync_id)
    target.is_covered_by(target.labels, ChecksInForce.of(checks))
    await scene.poll(target)
    return target


async def rostered(scene: Scene, checks: Checks, *watches: Watch) -> Roster:
    """A roster after its first listing and a first poll of each sync."""
    scene.observer = scene.new_observer()
    roster, _ = await scene.roster(*(watches or (Watch(syncs="all"),)), checks=checks)
    await scene.listed(roster)
    for target in roster.syncs.values():
        await scene.poll(target)
    return roster


# --- what opens nothing ---


@pytest.mark.asyncio
async def test_a_baseline_opens_nothing(scene: Scene) -> None:
    scene.runs([1, 2, 3], "failed")
    scene.run(4, "completed", records_processed=100, records_failed=100)
    scene.run(5, "working", created_at=ago(days=9))
    checks = Checks(record_count=RecordCount(), slow_run=SlowRun(after=HOUR), stale=Stale(after=HOUR))
    await watched(scene, checks)
    assert scene.bodies() == []
    assert scene.rows("SELECT count(*) FROM incidents") == [(0,)]


@pytest.mark.asyncio
async def test_polls_after_a_baseline_open_nothing_of_results_that_it_held(scene: Scene) -> None:
    scene.runs([1, 2, 3], "failed")
    scene.run(4, "completed", records_processed=100, records_failed=100)
    scene.run(5, "failed")
    target = await watched(scene, Checks(record_count=RecordCount()))
    await scene.poll(await scene.restarted(target, Checks()), times=2)
    assert scene.bodies() == []


@pytest.mark.asyncio
async def test_an_upgrade_opens_nothing(scene: Scene) -> None:
    scene.run(1, "completed", updated_at=ago(hours=2), records_processed=100, records_failed=100)
    scene.run(2, "completed", updated_at=ago(hours=1), full_sync=True, records_processed=9_999)
    scene.runs([3, 4], "failed")
    scene.run(5, "working", created_at=ago(minutes=10))
    target = await scene.watched()
    forget_what_is_new(scene)
    checks = Checks(record_count=RecordCount(), slow_run=SlowRun(after=DAY), stale=Stale(after=DAY))
    target = await scene.restarted(target, checks)
    await scene.poll(target, times=3)
    assert scene.bodies() == []


@pytest.mark.asyncio
async def test_after_an_upgrade_stale_counts_from_the_first_poll_where_no_good_run_has_a_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ApiClock(monkeypatch)
    scene.run(1, "completed", updated_at=None, completed_at=None)
    target = await scene.watched()
    forget_what_is_new(scene)
    target = await scene.restarted(target, only(stale=Stale(after=DAY)))
    await scene.poll(target)
    clock.now += DAY - timedelta(seconds=1)
    await scene.poll(target)
    assert told(scene) == []
    clock.now += timedelta(seconds=1)
    await scene.poll(await scene.restarted(target, only(stale=Stale(after=DAY))))
    assert told(scene) == ["stale opened"]


def forget_what_is_new(scene: Scene) -> None:
    """The database as the migration leaves one of the version before."""
    with closing(sqlite3.connect(scene.store.path)) as connection:
        connection.execute(
            "UPDATE snapshots SET completed_at = NULL, records_sent = NULL, full_sync = NULL, outlier = 0"
        )
        connection.execute("UPDATE syncs SET paused = NULL, scheduled = NULL, stale_from = NULL")
        connection.commit()


@pytest.mark.asyncio
async def test_a_run_that_is_watched_by_its_id_alone_is_of_no_incident(scene: Scene) -> None:
    scene.run(7, "working", created_at=ago(days=2))
    roster, _ = await scene.roster(Watch(sync_run=7), checks=Checks(slow_run=SlowRun(after=HOUR)))
    (target,) = roster.runs.values()
    fate = await scene.observer.poll_run(target, roster.sync_label, roster.is_watched)
    assert fate is RunFate.GOES_ON
    scene.becomes(7, "failed", full_sync=True)
    await scene.observer.poll_run(target, roster.sync_label, roster.is_watched)
    assert kinds(scene) == ["sync_run.failed"]


# --- what an event says ---


@pytest.mark.asyncio
async def test_the_events_of_an_incident_say_what_it_is(scene: Scene) -> None:
    scene.run(1, completed_at=created(1))
    target = await watched(scene, FAILING)
    scene.run(2, "failed", error_code="E1")
    await scene.poll(target)
    run, incident = scene.bodies()
    assert (run["type"], incident["type"]) == ("sync_run.failed", "incident.opened")
    assert "incident" not in run["data"]
    assert {k: v for k, v in incident["data"].items() if k != "incident"} == run["data"]
    (opened,) = incidents(scene)
    assert list(opened) == ["id", "check", "state", "reason", "opened_at", "resolved_at", "runs", "last_good_run"]
    assert (opened["check"], opened["state"], opened["reason"]) == ("failing", "open", None)
    assert (opened["resolved_at"], opened["runs"]) == (None, 1)
    assert opened["last_good_run"] == {"id": 1, "completed_at": created(1)}
    scene.run(3)
    await scene.poll(target)
    resolved = incidents(scene, "resolved")[0]
    assert resolved["id"] == opened["id"]
    assert (resolved["state"], resolved["reason"], resolved["runs"]) == ("resolved", "recovered", 1)
    assert resolved["opened_at"] == opened["opened_at"] <= resolved["resolved_at"]


@pytest.mark.asyncio
async def test_what_no_run_brought_about_has_no_run_and_no_changes(scene: Scene) -> None:
    scene.run(1, created_at=ago(hours=31), completed_at=ago(hours=30))
    target = await watched(scene, only(stale=Stale(after=26 * HOUR)))
    await scene.poll(target)
    (body,) = scene.bodies()
    assert body["data"].keys() == {"workspace", "labels", "sync", "incident", "summary"}
    assert body["data"]["incident"]["check"] == "stale"


@pytest.mark.asyncio
async def test_an_incidents_times_are_the_apis(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ApiClock(monkeypatch)
    clock.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(target)
    assert incidents(scene)[0]["opened_at"] == "2026-01-02T03:04:05.000Z"


# --- kept as one ---


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


# --- what time brings about ---


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


# --- a full sync ---


@pytest.mark.asyncio
async def test_a_full_sync_after_one_that_was_none_is_told_once(scene: Scene) -> None:
    scene.run(1)
    target = await watched(scene, Checks())
    scene.run(2, "queued")
    await scene.poll(target)
    scene.becomes(2, "working", full_sync=True)
    await scene.poll(target)
    assert kinds(scene) == ["sync_run.queued", "sync_run.working", "sync_run.full_sync"]
    scene.becomes(2, "completed")
    await scene.poll(target)
    await scene.poll(await scene.restarted(target, Checks()), times=2)
    assert kinds(scene)[3:] == ["sync_run.completed"]
    body = scene.bodies()[2]["data"]
    assert "incident" not in body
    assert body["sync_run"]["id"] == 2


@pytest.mark.asyncio
async def test_a_full_sync_after_a_full_sync_is_not_told(scene: Scene) -> None:
    scene.run(1, full_sync=True)
    target = await watched(scene, Checks())
    scene.run(2, full_sync=True)
    await scene.poll(target)
    assert kinds(scene) == ["sync_run.completed"]


@pytest.mark.asyncio
async def test_a_full_sync_of_which_nothing_is_known_before_is_not_told(scene: Scene) -> None:
    target = await watched(scene, Checks())
    scene.run(1, full_sync=True)
    await scene.poll(target)
    assert kinds(scene) == ["sync_run.completed"]


# --- however it is polled ---


@pytest.mark.asyncio
async def test_a_run_that_deviates_from_the_new_level_of_the_same_poll_is_no_measure_later(scene: Scene) -> None:
    checks = only(record_count=RecordCount())
    target = await watched(scene, checks)
    for number, sent in enumerate([100, 100, 100, 1_000, 1_000, 1_000, 1_000, 9_000], start=1):
        scene.run(number, records_processed=sent)
    await scene.poll(target)
    assert told(scene)[-2:] == ["record_count resolved by 7", "record_count opened by 8"]
    assert scene.rows("SELECT run_id FROM snapshots WHERE outlier ORDER BY run_id") == [(1,), (2,), (3,), (8,)]


@pytest.mark.asyncio
async def test_runs_after_the_new_level_are_compared_with_it_in_the_same_poll(scene: Scene) -> None:
    target = await watched(scene, only(record_count=RecordCount()))
    for number, sent in enumerate([100, 100, 100, 1_000, 1_000, 1_000, 1_000, 1_000, 1_100], start=1):
        scene.run(number, records_processed=sent)
    await scene.poll(target)
    assert told(scene) == [
        "record_count opened by 4",
        "record_count changed by 5",
        "record_count changed by 6",
        "record_count resolved by 7",
    ]


@dataclass(frozen=True)
class Past:
    """How a run of a history ends; a skipped one is there at once."""

    status: str
    code: str | None = None
    sent: int = 100
    rejected: int = 0

    @property
    def stages(self) -> list[dict[str, Any]]:
        if self.status == "skipped":
            return [{"status": "skipped"}]
        end: dict[str, Any] = {"status": self.status}
        if self.status == "failed":
            end["error_code"] = self.code
        elif self.status == "canceled":
            end = {"status": "completed", "canceled": True}
        else:
            end |= {"records_processed": self.sent, "records_failed": self.rejected}
        return [{"status": "queued"}, {"status": "working"}, end]


PASTS = st.one_of(
    st.builds(Past, st.just("failed"), code=st.sampled_from(["E1", "E2"])),
    st.builds(
        Past, st.just("completed"), sent=st.sampled_from([100, 100, 0, 1_000]), rejected=st.sampled_from([0, 0, 90])
    ),
    st.builds(Past, st.sampled_from(["skipped", "canceled"])),
)
RULES = st.builds(
    lambda runs, more, good: only(
        failing=Failing(runs=runs, of=runs + more, recovered_after=good),
        rejected_records=RejectedRecords(),
        record_count=RecordCount(of_last=5),
    ),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 3),
)
NUMBERS = itertools.count(1_000, 1_000)


async def played(scene: Scene, pasts: Sequence[Past], checks: Checks, gaps: Sequence[str]) -> list[str]:
    """What a history's polls tell. `gaps`: what is done after each step, over and over."""
    base = next(NUMBERS)
    scene.sync(base)
    target = await watched(scene, checks, base)
    pauses = itertools.cycle(gaps)
    for number, past in enumerate(pasts, start=base + 1):
        for place, stage in enumerate(past.stages):
            if place == 0:
                scene.run(number, sync_id=base, **stage)
            else:
                scene.simulator.update_run(number, **stage)
            match next(pauses):
                case "poll":
                    await scene.poll(target)
                case "restart":
                    target = await scene.restarted(target, checks)
                case "restart and poll":
                    target = await scene.restarted(target, checks)
                    await scene.poll(target)
                case _:
                    pass
    await scene.poll(target, times=2)
    return told(scene, base, base=base)


def foreseen(pasts: Sequence[Past], checks: Checks) -> list[str]:
    """What the rules alone make of it."""
    course = Course()
    course.checks = ChecksInForce.of(checks)
    for number, past in enumerate(pasts, start=1):
        if past.status == "failed":
            course.fails(number, code=past.code, message=None)
        elif past.status == "completed":
            course.completes(number, sent=past.sent, rejected=past.rejected)
    return course.told


@example(
    [Past("completed"), Past("failed", "E1"), *[Past("skipped")] * 7, Past("failed", "E1"), Past("completed")],
    only(failing=Failing(runs=2, of=2)),
    ["nothing"],
)
@given(
    st.lists(PASTS, max_size=12),
    RULES,
    st.lists(st.sampled_from(["nothing", "nothing", "poll", "restart", "restart and poll"]), min_size=1, max_size=7),
)
@settings(
    max_examples=50,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes longer than a test may
    derandomize=True,
    database=None,
    deadline=None,
    # The database and the server are shared by all examples on purpose: each has syncs of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.slow
@pytest.mark.asyncio
async def test_incidents_are_the_same_however_often_a_history_is_polled(
    scene: Scene, pasts: list[Past], checks: Checks, gaps: list[str]
) -> None:
    expected = foreseen(pasts, checks)
    assert await played(scene, pasts, checks, ["poll"]) == expected
    assert await played(scene, pasts, checks, gaps) == expected
    assert await played(scene, pasts, checks, ["nothing"]) == expected


# --- what is read or kept at the wrong moment ---


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


async def rerostered(scene: Scene, checks: Checks, *watches: Watch) -> Roster:
    """A restart, with what the watchlist says by now, and a first poll of each sync."""
    scene.observer = scene.new_observer()
    roster, _ = await scene.roster(*(watches or (Watch(syncs="all"),)), checks=checks)
    for target in roster.syncs.values():
        await scene.poll(target)
    return roster


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


# --- results that change, or come late ---


@pytest.mark.asyncio
async def test_a_failed_run_that_turns_out_to_have_completed_resolves_its_incident(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    await scene.poll(target)
    scene.becomes(1, "completed")
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing resolved by 1"]


@pytest.mark.asyncio
async def test_a_run_counts_once_it_is_no_longer_canceled(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "failed")
    scene.run(2, "completed", canceled=True)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1"]
    scene.becomes(2, "completed", canceled=False)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing resolved by 2"]


@pytest.mark.asyncio
async def test_a_failed_run_that_runs_again_is_no_result_and_changes_no_incident(scene: Scene) -> None:
    target = await watched(scene, only(failing=Failing(runs=2)))
    scene.run(1, "failed", error_code="E1")
    await scene.poll(target)
    scene.becomes(1, "working", error_code=None)
    scene.run(2, "failed", error_code="E1")
    await scene.poll(target)
    assert told(scene) == []
    scene.run(3, "failed", error_code="E1")
    await scene.poll(target)
    scene.becomes(3, "working", error_code=None)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 3"]


@pytest.mark.asyncio
async def test_an_elder_run_that_completes_below_the_list_resolves_nothing_that_a_newer_one_opened(
    scene: Scene,
) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, "working")
    scene.runs(range(2, 7))
    scene.run(7, "failed")
    await scene.poll(target)
    scene.becomes(1, "completed")
    await scene.poll(target, times=2)
    assert (1, "completed") in scene.events()
    assert told(scene) == ["failing opened by 7"]


@pytest.mark.asyncio
async def test_a_recovery_of_more_runs_than_one_answer_shows_is_seen(scene: Scene) -> None:
    target = await watched(scene, only(failing=Failing(recovered_after=7)))
    scene.run(1, "failed")
    for number in range(2, 9):
        await scene.poll(target)
        scene.run(number)
    await scene.poll(target)
    assert told(scene) == ["failing opened by 1", "failing resolved by 8"]


@pytest.mark.asyncio
async def test_an_unusual_number_of_records_is_no_measure_for_later_polls(scene: Scene) -> None:
    """Of 160, 100, 100 and 100, but not of the 1,000 in between, the mean is too low for 200."""
    target = await watched(scene, only(record_count=RecordCount(deviation_percent=50, of_last=10)))
    for number, sent in enumerate([100, 100, 100, 1000, 100, 160], start=1):
        scene.run(number, records_processed=sent)
        await scene.poll(target)
    assert told(scene) == ["record_count opened by 4", "record_count resolved by 5", "record_count opened by 6"]


@pytest.mark.asyncio
async def test_the_last_good_run_is_the_one_that_completed_last_and_was_not_canceled(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, completed_at=created(900))
    scene.run(2, completed_at=created(800))
    scene.run(3, completed_at=created(950), canceled=True)
    scene.run(4, "failed")
    await scene.poll(target)
    assert [incident["last_good_run"] for incident in incidents(scene)] == [{"id": 1, "completed_at": created(900)}]


@pytest.mark.asyncio
async def test_a_good_run_that_does_not_say_when_it_completed_did_so_when_it_last_changed(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    scene.run(1, completed_at=None, updated_at=created(900))
    scene.run(2, "failed")
    await scene.poll(target)
    assert [incident["last_good_run"] for incident in incidents(scene)] == [{"id": 1, "completed_at": created(900)}]


@pytest.mark.asyncio
async def test_a_baseline_opens_nothing_though_it_shows_what_became_of_a_run_that_was_watched_before(
    scene: Scene,
) -> None:
    scene.run(1, "working")
    roster, _ = await scene.roster(Watch(sync_run=1), checks=FAILING)
    await scene.observer.poll_run(roster.runs[1], roster.sync_label, roster.is_watched)
    scene.becomes(1, "failed")
    roster = await rerostered(scene, FAILING, Watch(sync_run=1), Watch(sync=52))
    await scene.listed(roster)
    await scene.poll(roster.syncs[52], times=2)
    assert scene.events() == [(1, "failed")]
    assert told(scene) == []


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


# --- who knows of an incident, and whose message an event goes on with ---

LIVING = Reader("pipeline", selective=True, living=True)


def retold(scene: Scene, *readers: Reader, routes: Sequence[Route] | None = None) -> None:
    """From now on these readers are told, by these routes."""
    scene.tells(readers, routes)


def stories(scene: Scene, receiver: str = "pipeline") -> list[tuple[str, str]]:
    """What a receiver got, and what each goes on with: `incident`, or the run by itself."""
    found = scene.rows(
        "SELECT event_type, story FROM deliveries WHERE receiver = ? AND NOT quiet ORDER BY id", receiver
    )
    return [(kind, "incident" if story.startswith("inc_") else story) for kind, story in found]


@pytest.mark.asyncio
async def test_runs_are_part_of_an_incident_for_those_who_know_of_it_also_after_a_restart(scene: Scene) -> None:
    other = Reader("other", selective=True, living=True)
    routes = [a_route("pipeline"), a_route("other", events=["sync_run.*"])]
    target = await watched(scene, FAILING)
    retold(scene, LIVING, other, routes=routes)
    scene.run(1, "failed")
    await scene.poll(target)
    scene.run(2, "working")
    await scene.poll(target)
    target = await scene.restarted(target, FAILING)
    retold(scene, LIVING, other, routes=routes)
    scene.run(3, "working")
    await scene.poll(target)
    assert stories(scene) == [
        ("incident.opened", "incident"),
        ("sync_run.working", "incident"),
        ("sync_run.working", "incident"),
    ]
    assert stories(scene, "other") == [
        ("sync_run.failed", "run:1:52:production"),
        ("sync_run.working", "run:2:52:production"),
        ("sync_run.working", "run:3:52:production"),
    ]


@pytest.mark.asyncio
async def test_who_learned_of_an_incident_knows_of_it_though_later_events_of_it_go_to_others(scene: Scene) -> None:
    other = Reader("other", selective=True, living=True)
    routes = [
        a_route("pipeline", events=["incident.opened", "sync_run.*"]),
        a_route("other", events=["incident.changed", "sync_run.working"]),
    ]
    target = await watched(scene, FAILING)
    retold(scene, LIVING, other, routes=routes)
    for number, status in enumerate(("failed", "failed", "working"), start=1):
        scene.run(number, status)
        await scene.poll(target)
    assert stories(scene)[-1] == ("sync_run.working", "incident")
    assert stories(scene, "other") == [("incident.changed", "incident"), ("sync_run.working", "incident")]


@pytest.mark.asyncio
async def test_the_run_that_ends_an_incident_is_told_in_its_message_where_the_end_itself_is_not(scene: Scene) -> None:
    target = await watched(scene, FAILING)
    retold(scene, LIVING, routes=[a_route("pipeline", events=["incident.opened", "sync_run.*"])])
    for number, status in enumerate(("failed", "completed", "completed"), start=1):
        scene.run(number, status)
        await scene.poll(target)
    assert stories(scene) == [
        ("incident.opened", "incident"),
        ("sync_run.completed", "incident"),
        ("sync_run.completed", "run:3:52:production"),
    ]


@pytest.mark.asyncio
async def test_runs_are_told_in_the_message_of_the_heaviest_incident_that_is_open(scene: Scene) -> None:
    target = await watched(scene, only(failing=Failing(), slow_run=SlowRun(after=HOUR)))
    retold(scene, LIVING)
    scene.run(1, "working", created_at=ago(hours=2))
    await scene.poll(target)
    scene.run(2, "failed", created_at=ago(hours=1))
    scene.run(3, "working", created_at=ago(minutes=1))
    await scene.poll(target, times=2)
    [(story,)] = scene.rows("SELECT story FROM deliveries ORDER BY id DESC LIMIT 1")
    assert scene.rows('SELECT "check" FROM incidents WHERE id = ?', story) == [("failing",)]


@pytest.mark.asyncio
async def test_who_was_told_of_an_incident_only_quietly_does_not_have_its_message(scene: Scene) -> None:
    """Of two that one run opened Slack shows one; once that is over, runs are told by themselves."""
    target = await watched(
        scene, only(rejected_records=RejectedRecords(), record_count=RecordCount(deviation_percent=50))
    )
    retold(scene, LIVING)
    for number in (1, 2, 3):
        scene.run(number, records_processed=100, records_failed=0)
        await scene.poll(target)
    scene.run(4, records_processed=1000, records_failed=900)
    await scene.poll(target)
    scene.run(5, records_processed=1000, records_failed=0)
    await scene.poll(target)
    scene.run(6, "working")
    await scene.poll(target)
    assert told(scene)[:2] == ["rejected_records opened by 4", "record_count opened by 4"]
    assert stories(scene)[-1] == ("sync_run.working", "run:6:52:production")


@pytest.mark.asyncio
async def test_the_end_of_another_check_leaves_failed_runs_counted_also_after_a_restart(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ApiClock(monkeypatch)
    twice = Failing(runs=2)
    roster = await rostered(scene, only(failing=twice, stale=Stale(after=DAY)))
    await scene.poll(roster.syncs[52])
    scene.run(1, "failed", created_at=clock.now)
    clock.now += 2 * DAY
    await scene.poll(roster.syncs[52])
    await rerostered(scene, only(failing=twice))
    scene.run(2, "failed", created_at=clock.now)
    await rerostered(scene, only(failing=twice))
    assert told(scene) == ["stale opened", "stale resolved", "failing opened by 2"]
