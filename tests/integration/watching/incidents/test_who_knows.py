"""Who knows of an incident, and whose message an event goes on with."""

from collections.abc import Sequence

import pytest

from notifier.judging.route import Reader
from notifier.watchlist.checks import (
    Failing,
    RecordCount,
    RejectedRecords,
    SlowRun,
    Stale,
)
from notifier.watchlist.models import Route
from tests.builders import a_route
from tests.integration.watching.incidents.kit import (
    DAY,
    FAILING,
    HOUR,
    ApiClock,
    ago,
    only,
    rerostered,
    rostered,
    told,
    watched,
)
from tests.integration.watching.kit import Scene

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
