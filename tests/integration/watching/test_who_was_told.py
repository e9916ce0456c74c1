"""Whoever was told of an incident is told of its end, whatever became of names, labels and routes meanwhile: by real
polls and listings, with a real database, through restarts."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
import pytest_asyncio

from notifier.judging.route import Reader
from notifier.model.errors import Unreachable
from notifier.model.sync import WorkspaceState
from notifier.store.store import Store
from notifier.watching.health import Health
from notifier.watching.outage import Outage
from notifier.watching.roster import Roster
from notifier.watchlist.checks import Checks, ChecksInForce, Failing, RejectedRecords, UnreachableSettings
from notifier.watchlist.models import Route, SyncSelector, Watch
from tests.builders import a_route
from tests.integration.watching.incidents.kit import FAILING, ago, only
from tests.integration.watching.kit import WORKSPACE, LoopClock, Scene, a_scene

HOOK = Reader("hook")
EACH = Reader("each", selective=True)
LIVING = Reader("living", selective=True, living=True)
EVERYONE = (HOOK, EACH, LIVING)
ALL = ("each", "hook", "living")


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        yield made


async def started(
    scene: Scene,
    *watches: Watch,
    routes: Sequence[Route] | None,
    checks: Checks = FAILING,
    readers: Sequence[Reader] = EVERYONE,
) -> Roster:
    """The notifier as a start or a reload makes it, after a listing and a poll of each sync."""
    scene.observer = scene.new_observer()
    scene.tells(readers, routes)
    roster, _ = await scene.roster(*(watches or (Watch(syncs="all"),)), checks=checks)
    await looked(scene, roster)
    return roster


async def looked(scene: Scene, roster: Roster) -> None:
    """One listing, and one poll of each sync."""
    await scene.listed(roster)
    for target in roster.syncs.values():
        await scene.poll(target)


def told(scene: Scene, kind: str) -> list[str]:
    """Who gets the incident's events of a type, each as one text; quiet ones in brackets."""
    found = scene.rows(
        "SELECT e.seq, d.receiver, d.quiet FROM events e LEFT JOIN deliveries d ON d.event_id = e.id "
        "WHERE e.type = ? ORDER BY e.seq, d.receiver",
        f"incident.{kind}",
    )
    events: dict[int, list[str]] = {}
    for seq, receiver, quiet in found:
        events.setdefault(seq, []).extend([f"({receiver})" if quiet else receiver] if receiver else [])
    return [" ".join(names) for names in events.values()]


@pytest.mark.asyncio
async def test_a_sync_that_is_renamed_out_of_its_route_recovers_for_those_who_saw_it_fail(scene: Scene) -> None:
    scene.sync(52, label="Sales leads")
    roster = await started(scene, routes=[a_route(*ALL, syncs=["Sales *"])])
    scene.run(1, "failed")
    await looked(scene, roster)
    assert told(scene, "opened") == ["each hook living"]
    scene.simulator.update_sync(52, label="Revenue leads")
    scene.run(2, "failed")
    await looked(scene, roster)
    assert told(scene, "changed") == ["(living)"]
    scene.run(3)
    await looked(scene, roster)
    assert told(scene, "resolved") == ["each hook living"]
    scene.run(4, "failed")
    await looked(scene, roster)
    assert told(scene, "opened") == ["each hook living", ""]  # the next one is a matter of the routes alone


@pytest.mark.parametrize("first", [["incident.*"], ["incident.opened", "incident.resolved"]])
@pytest.mark.asyncio
async def test_an_edit_of_labels_amid_an_incident_takes_its_end_from_nobody(scene: Scene, first: list[str]) -> None:
    scene.sync(52)
    routes = [a_route(*ALL, labels={"team": "sales"}, events=first)]
    roster = await started(scene, Watch(sync=52, labels={"team": "sales"}), routes=routes)
    scene.run(1, "failed")
    await looked(scene, roster)
    await started(scene, Watch(sync=52, labels={"team": "finance"}), routes=routes)
    roster = await started(scene, Watch(sync=52, labels={"team": "finance"}), routes=routes)  # and another restart
    scene.run(2)
    await looked(scene, roster)
    assert told(scene, "resolved") == ["each hook living"]


@pytest.mark.parametrize(
    ("routes", "ends"),
    [
        ([a_route(*ALL, events=["incident.opened"])], "each hook (living)"),
        ([a_route(*ALL, checks=["stale"])], "each hook living"),
        ([a_route("new")], "each hook living new"),
        ([a_route(*ALL, workspaces=["staging"])], "each hook living"),
    ],
    ids=["fewer events", "other checks", "other receivers", "other workspaces"],
)
@pytest.mark.asyncio
async def test_an_edit_of_routes_amid_an_incident_takes_its_end_from_nobody(
    scene: Scene, routes: list[Route], ends: str
) -> None:
    scene.sync(52)
    roster = await started(scene, routes=[a_route(*ALL, events=["incident.*"])])
    scene.run(1, "failed")
    await looked(scene, roster)
    roster = await started(scene, routes=routes, readers=(*EVERYONE, Reader("new")))
    scene.run(2)
    await looked(scene, roster)
    assert told(scene, "resolved") == [ends]


@pytest.mark.asyncio
async def test_who_asked_for_openings_alone_gets_no_end_and_its_living_message_is_kept_true(scene: Scene) -> None:
    """First violation, without recovery, as docs/coming-from-census-alerts.md has it."""
    scene.sync(52)
    roster = await started(scene, routes=[a_route(*ALL, events=["incident.opened"])])
    for number, status in enumerate(("failed", "failed", "completed"), start=1):
        scene.run(number, status)
        await looked(scene, roster)
    assert told(scene, "opened") == ["each hook living"]
    assert told(scene, "changed") == told(scene, "resolved") == ["(living)"]


@pytest.mark.asyncio
async def test_a_receiver_that_left_the_watchlist_is_told_nothing_and_the_others_are(scene: Scene) -> None:
    scene.sync(52)
    roster = await started(scene, routes=None)
    scene.run(1, "failed")
    await looked(scene, roster)
    roster = await started(scene, routes=[a_route("living", labels={"team": "x"})], readers=(LIVING, EACH))
    scene.run(2)
    await looked(scene, roster)
    assert told(scene, "resolved") == ["each living"]


@pytest.mark.asyncio
async def test_an_incident_that_ends_with_its_watch_is_ended_for_those_who_saw_it(scene: Scene) -> None:
    scene.sync(52, label="Sales leads")
    watch = Watch(syncs=SyncSelector(label=("Sales *",)))
    roster = await started(scene, watch, routes=[a_route(*ALL, syncs=["Sales *"])])
    scene.run(1, "failed")
    await looked(scene, roster)
    scene.simulator.update_sync(52, label="Revenue leads")
    await scene.listed(roster)
    assert told(scene, "resolved") == ["each hook living"]


@pytest.mark.parametrize("ends_by", ["check off", "unwatched by an edit", "deleted"])
@pytest.mark.asyncio
async def test_however_an_incident_ends_who_was_told_of_it_is_told(scene: Scene, ends_by: str) -> None:
    scene.sync(52)
    scene.sync(53)
    elsewhere = [a_route("another", labels={"team": "x"})]
    roster = await started(scene, routes=[a_route(*ALL)])
    scene.run(1, "failed")
    await looked(scene, roster)
    if ends_by == "check off":
        await started(scene, routes=elsewhere, checks=only())
    elif ends_by == "deleted":
        roster = await started(scene, routes=elsewhere)
        scene.simulator.remove_sync(52)
        for _ in range(2):
            await scene.listed(roster)
    else:
        await started(scene, Watch(sync=53), routes=elsewhere)
    assert told(scene, "resolved") == ["each hook living"]


@pytest.mark.asyncio
async def test_a_runs_messages_are_of_the_heaviest_incident_that_their_own_receiver_was_told_of(scene: Scene) -> None:
    """Another, heavier one that goes elsewhere does not take them out of it."""
    scene.sync(52)
    routes = [
        a_route("living", checks=["rejected_records"]),
        a_route("living", "other", events=["sync_run.*"]),
        a_route("other", checks=["failing"]),
    ]
    other = Reader("other", selective=True, living=True)
    checks = only(failing=Failing(), rejected_records=RejectedRecords())
    roster = await started(scene, routes=routes, checks=checks, readers=(LIVING, other))
    scene.run(1, records_processed=100, records_failed=90)
    await looked(scene, roster)
    scene.run(2, "failed")
    await looked(scene, roster)
    scene.run(3, "working", created_at=ago(minutes=1))
    await looked(scene, roster)
    stories = dict(
        scene.rows("SELECT receiver, story FROM deliveries WHERE event_type = 'sync_run.working' AND NOT quiet")
    )
    checked = dict(scene.rows('SELECT id, "check" FROM incidents'))
    assert {name: checked[story] for name, story in stories.items()} == {
        "living": "rejected_records",
        "other": "failing",
    }


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_who_was_told_that_a_workspace_is_silent_is_told_that_it_answers_whatever_the_routes_are_by_then(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_clock = LoopClock(monkeypatch)
    checks = ChecksInForce(unreachable=UnreachableSettings(after=timedelta(minutes=5)))

    async def outage(*routes: Route) -> tuple[Health, Outage]:
        scene.observer = scene.new_observer()
        scene.tells(EVERYONE, routes)
        state = (await scene.store.watching.workspaces()).get(WORKSPACE, WorkspaceState(WORKSPACE))
        health = Health(state, scene.store.watching.save_workspace, clock=scene.clock, jitter=lambda: 0.0)
        made = Outage(health, scene.recorder, scene.store.watching, checks, clock=scene.clock)
        await made.load()
        return health, made

    health, made = await outage(a_route("each", syncs=[52]), a_route("living", labels={"team": "sales"}))
    await health.failed(Unreachable("HTTP 500"), of=0, among=1)
    scene.clock.advance(minutes=6)
    loop_clock.now += 360
    await made.look()
    assert told(scene, "opened") == ["each living"]
    health, made = await outage(a_route("each", syncs=[52]), a_route("hook"))
    await health.answered()
    await made.look()
    assert told(scene, "resolved") == ["each hook living"]
