"""When polls open an incident and when they don't, and what its events say."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.watching.poll import RunFate
from notifier.watchlist.checks import (
    Checks,
    RecordCount,
    SlowRun,
    Stale,
)
from notifier.watchlist.models import Watch
from tests.integration.watching.incidents.kit import (
    DAY,
    FAILING,
    HOUR,
    ApiClock,
    ago,
    incidents,
    kinds,
    only,
    told,
    watched,
)
from tests.integration.watching.kit import Scene, created

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
    scene.change("UPDATE snapshots SET completed_at = NULL, records_sent = NULL, full_sync = NULL, outlier = FALSE")
    scene.change("UPDATE syncs SET paused = NULL, scheduled = NULL, stale_from = NULL")


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
