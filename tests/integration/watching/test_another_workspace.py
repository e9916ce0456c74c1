"""A list of syncs from elsewhere than the last one: another key, group or version of the API may show another workspace
altogether."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from notifier.census.listing import read_listing
from notifier.census.v1 import V1
from notifier.census.v2 import V2
from notifier.simulator import Status, Transform
from notifier.store.store import Store
from notifier.watchlist.models import SyncSelector, Watch
from tests.integration.watching.kit import Scene, a_scene

ALL = Watch(syncs="all")
KNOWN = (51, 52, 53)
LABELS = {sync_id: f"Sync {sync_id}" for sync_id in KNOWN}


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    """Three syncs with a mark each, watched by version 1; version 2 shows those of group mine."""
    async with a_scene(store) as made:
        for sync_id in KNOWN:
            made.sync(sync_id, group_id="mine")
            made.run(10 * sync_id, sync_id=sync_id)
        roster, _ = await made.roster(ALL)
        await made.listed(roster)
        for target in roster.syncs.values():
            await made.poll(target)
        made.client = made.v2
        yield made


def shows(scene: Scene, *sync_ids: int) -> None:
    """From now on the list holds these syncs alone."""

    def only(answer: dict[str, object]) -> dict[str, object]:
        found = [sync for sync in scene.simulator.syncs() if sync["id"] in sync_ids]
        return {**answer, "data": found, "pagination": {"total_records": len(found), "next_page": None}}

    scene.simulator.clear_faults()
    scene.simulator.fault(Transform(only), path="/syncs")


@pytest.mark.parametrize("watch", [ALL, Watch(syncs=SyncSelector(label=("*",))), Watch(sync=52)])
@pytest.mark.parametrize("others", [(), (90,), (90, 91, 92, 93)])
@pytest.mark.asyncio
async def test_what_shows_nothing_that_is_known_changes_nothing_however_often(
    scene: Scene, watch: Watch, others: tuple[int, ...]
) -> None:
    for other in others:
        scene.sync(other)
    shows(scene, *others)
    before = await scene.store.watching.syncs(scene.workspace)
    roster, _ = await scene.roster(ALL, watch)
    for _ in range(4):
        changes = await scene.listed(roster)
        assert (changes.added, changes.removed) == ([], [])
        assert roster.is_of_another
        assert (roster.flaw or "").startswith("it lacks all 3 syncs that the notifier knows of this workspace")
        scene.clock.advance(days=2)
        scene.api_passes(days=2)
    assert await scene.store.watching.syncs(scene.workspace) == before
    assert roster.syncs.keys() == set(KNOWN)
    assert scene.events() == []

    restarted, _ = await scene.roster(ALL, watch)
    await scene.listed(restarted)
    assert restarted.is_of_another, "a restart does not make it the workspace"

    shows(scene, *KNOWN, *others)
    await scene.listed(restarted)
    assert (restarted.flaw, restarted.is_of_another) == (None, False)
    assert restarted.syncs.keys() == {*KNOWN, *others}


@pytest.mark.asyncio
async def test_a_version_whose_list_has_no_labels_ends_no_watch_by_label(scene: Scene) -> None:
    """What the list no longer says of a sync was known before, and is after a restart."""
    watch = Watch(syncs=SyncSelector(label=("Sync 5*",)))
    roster, _ = await scene.roster(watch)
    scene.simulator.fault(Transform(without_labels), path="/syncs")
    for _ in range(2):
        await scene.listed(roster)
        assert {sync_id: target.label for sync_id, target in roster.syncs.items()} == LABELS
        roster, _ = await scene.roster(watch)
    scene.simulator.clear_faults()
    scene.simulator.update_sync(52, label="Leads")
    await scene.listed(roster)
    assert roster.syncs.keys() == {51, 53}, "another label does"


def without_labels(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "data": [{**sync, "label": None, "name": None} for sync in answer["data"]]}


@pytest.mark.asyncio
async def test_nor_does_it_end_a_watch_of_a_run_of_a_sync_that_nobody_watches(scene: Scene) -> None:
    """A run that is not found is gone, where the list of syncs answers."""
    scene.run(521, "working", sync_id=52)
    watch = Watch(sync_run=521)
    roster, _ = await scene.roster(watch)
    await scene.observer.poll_run(roster.runs[521], roster.sync_label, roster.is_watched)
    roster, _ = await scene.roster(watch)
    assert roster.runs.keys() == {521}
    shows(scene, 90)
    await scene.listed(roster)
    assert roster.is_of_another
    assert (roster.flaw or "").startswith("it lacks the only sync that the notifier knows of this workspace")
    shows(scene, 52, 90)
    await scene.listed(roster)
    assert (roster.flaw, roster.is_of_another) == (None, False)


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.asyncio
async def test_a_key_of_the_same_version_may_be_another_workspace_s(scene: Scene, version: type[V1 | V2]) -> None:
    scene.simulator.token, scene.simulator.api_key = "another", "another"
    scene.sync(90)
    for key, shown in (("one", KNOWN), ("another", (90,))):
        scene.client.version = version("", key)
        shows(scene, *shown)
        roster, _ = await scene.roster(Watch(sync=52))
        for _ in range(3):
            await scene.listed(roster)
    assert roster.is_of_another
    assert roster.syncs.keys() == {52}
    assert scene.events() == []


@pytest.mark.asyncio
async def test_one_that_is_shown_makes_it_the_workspace_from_then_on(scene: Scene) -> None:
    scene.sync(90)
    shows(scene, 53, 90)
    roster, _ = await scene.roster(Watch(sync=52), Watch(sync=53))
    for _ in range(2):
        await scene.listed(roster)
    assert roster.syncs.keys() == {53}
    assert scene.events() == [(0, "sync.deleted")], "two listings lack it, and are this workspace's"
    shows(scene, 90)
    for _ in range(2):
        await scene.listed(roster)
    assert not roster.is_of_another
    assert roster.syncs == {}


@pytest.mark.asyncio
async def test_syncs_that_say_that_they_are_of_another_group_are_as_good_as_not_there(scene: Scene) -> None:
    """Also where the API does not heed which group it is asked for: version 2 is asked without one here."""
    scene.sync(90, group_id="theirs")
    listing = await read_listing(scene.client, scene.clock())
    assert listing.syncs.keys() == {*KNOWN, 90}
    scene.client.version = GroupAtHome("", "", "mine")
    listing = await read_listing(scene.client, scene.clock())
    assert listing.syncs.keys() == set(KNOWN)
    assert listing.foreign == frozenset({90})
    assert listing.complete
    assert scene.simulator.requests[-1].query.keys() == {"page", "per_page", "order"}


@pytest.mark.parametrize("flaw", [None, "it does not end"])
@pytest.mark.asyncio
async def test_a_sync_of_another_group_is_not_watched_though_it_is_named(scene: Scene, flaw: str | None) -> None:
    scene.sync(90, group_id="theirs")
    scene.client.version = GroupAtHome("", "", "mine")
    listing = replace(await read_listing(scene.client, scene.clock()), flaw=flaw)
    roster, _ = await scene.roster(Watch(sync=90), Watch(sync=91), Watch(sync=52))
    await roster.apply(listing)
    assert roster.syncs.keys() == ({52} if flaw is None else {52, 91}), "of 91 it can't be said"


@pytest.mark.parametrize("before", [None, "HTTP 401 Unauthorized: the API key is wrong or lacks access"])
@pytest.mark.asyncio
async def test_the_reason_is_told_though_no_sync_is_found_and_whatever_was_wrong_before(
    scene: Scene, before: str | None
) -> None:
    """Where the key shows another workspace, no sync that is polled is found in it, and a poll tells nothing."""
    shows(scene, 90)
    scene.simulator.fault(Status(404), path="/syncs/*/sync_runs")
    state = (await scene.store.watching.workspaces())[scene.workspace]
    await scene.store.watching.save_workspace(replace(state, ok=before is None, last_error=before))
    watcher = await scene.watcher(ALL)
    assert not watcher.health.is_judged
    await watcher._lister.load()
    await watcher._lister.list()
    assert not watcher.health.state.ok, "at once"
    await watcher.run_once()
    assert watcher.health.is_judged, "it is found unreachable, and nobody need wait for it"
    assert (watcher.health.state.last_error or "").startswith("the list of syncs: it lacks all 3 syncs")

    scene.simulator.clear_faults()
    restarted = await scene.watcher(ALL)
    await restarted.run_once()
    assert (restarted.health.state.ok, restarted.health.state.last_error) == (True, None)


@pytest.mark.asyncio
async def test_nor_is_it_when_the_list_can_not_be_read_later_or_not_to_its_end(scene: Scene) -> None:
    scene.sync(90, group_id="theirs")
    scene.client.version = GroupAtHome("", "", "mine")
    roster, _ = await scene.roster(Watch(sync=90), Watch(sync=91), Watch(sync=52))
    whole = await read_listing(scene.client, scene.clock())
    await roster.apply(whole)
    broken_off = replace(whole, flaw="it does not end", foreign=frozenset())
    await roster.apply(broken_off)
    await roster.apply_failure()
    assert roster.syncs.keys() == {52, 91}
    await roster.apply(replace(broken_off, syncs=whole.syncs | {90: replace(whole.syncs[52], id=90)}))
    assert roster.syncs.keys() == {52, 90, 91}, "it has moved here"


class GroupAtHome(V2):
    """Knows its group, and does not ask for it."""

    def syncs_path(self, *, page: int, per_page: int) -> str:
        return V2("", "").syncs_path(page=page, per_page=per_page)
