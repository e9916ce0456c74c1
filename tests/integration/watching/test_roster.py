"""What is polled: the listing, the watches and the database's memory, brought together."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.census.listing import read_listing
from notifier.model.errors import CensusError, StoreUnavailable
from notifier.model.identity import Id
from notifier.model.sync import Standing
from notifier.simulator import Body, Status, Transform
from notifier.store.store import Store
from notifier.watching.poll import RunFate
from notifier.watching.roster import Roster
from notifier.watching.target import Changes, RunTarget, SyncTarget
from notifier.watchlist.models import SyncSelector, Watch
from tests.integration.watching.kit import LATER, LONG_AGO, LoopClock, Scene, a_scene, created, lines

ALL = Watch(syncs="all")
UNWATCHED = "sync is no longer watched"
ENDED = "watch of a sync run has ended"


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        yield made


def ids(targets: list[SyncTarget | RunTarget]) -> list[tuple[str, Id]]:
    """What came or went, as kind and ID."""
    return sorted(
        ("sync", target.sync_id) if isinstance(target, SyncTarget) else ("run", target.run_id) for target in targets
    )


async def poll_all(scene: Scene, roster: Roster) -> None:
    """One round of all syncs and runs, as the scheduler makes it."""
    for run in list(roster.runs.values()):
        fate = await scene.observer.poll_run(run, roster.sync_label, roster.is_watched)
        if fate is RunFate.ENDED:
            roster.end_run(run)
        elif fate is RunFate.LEFT_TO_ITS_SYNC:
            await roster.hand_over(run)
    for sync in list(roster.syncs.values()):
        await scene.observer.poll_sync(sync)


# --- a listing ---


@pytest.mark.asyncio
async def test_a_listing_reads_every_page(scene: Scene) -> None:
    for sync_id in range(1, 251):
        scene.sync(sync_id)
    listing = await read_listing(scene.client, scene.clock())
    assert (sorted(listing.syncs), listing.complete, listing.pages) == (list(range(1, 251)), True, 3)


@pytest.mark.asyncio
async def test_a_listing_with_an_error_on_page_two_is_none(scene: Scene) -> None:
    for sync_id in range(1, 151):
        scene.sync(sync_id)
    pages: list[Any] = []

    def second_breaks(answer: Any) -> Any:
        pages.append(answer)
        return answer if len(pages) == 1 else {"status": "error"}

    scene.simulator.fault(Transform(second_breaks), path="/syncs")
    with pytest.raises(CensusError):
        await read_listing(scene.client, scene.clock())


@pytest.mark.asyncio
async def test_a_listing_that_lacks_some_of_its_total_is_incomplete(scene: Scene) -> None:
    scene.sync(1)
    scene.sync(2)
    scene.simulator.fault(Transform(lambda answer: {**answer, "data": answer["data"][:1]}), path="/syncs")
    listing = await read_listing(scene.client, scene.clock())
    assert (sorted(listing.syncs), listing.complete) == ([1], False)


@pytest.mark.asyncio
async def test_a_listing_with_an_unreadable_sync_is_incomplete(scene: Scene) -> None:
    scene.sync(1)
    scene.simulator.fault(Transform(lambda answer: {**answer, "data": [*answer["data"], {"id": None}]}), path="/syncs")
    assert not (await read_listing(scene.client, scene.clock())).complete


@pytest.mark.parametrize("ignored", ["page", "nothing"])
@pytest.mark.asyncio
async def test_a_listing_without_pagination_ends_and_is_complete_only_at_an_empty_page(
    scene: Scene, ignored: str
) -> None:
    for sync_id in range(1, 121):
        scene.sync(sync_id)

    def without_pagination(answer: Any) -> Any:
        del answer["pagination"]
        if ignored == "page":
            answer["data"] = list(reversed(scene.simulator.syncs()))
        return answer

    handle = scene.simulator.fault(Transform(without_pagination), path="/syncs")
    listing = await read_listing(scene.client, scene.clock())
    assert listing.syncs.keys() == set(range(1, 121))
    assert (listing.complete, handle.hits) == ((False, 2) if ignored == "page" else (True, 3))


# --- what comes ---


@pytest.mark.asyncio
async def test_syncs_of_the_first_listing_get_a_baseline(scene: Scene) -> None:
    scene.sync(52)
    scene.run(1, "failed")
    roster, _ = await scene.roster(ALL)
    assert ids((await scene.listed(roster)).added) == [("sync", 52)]
    await poll_all(scene, roster)
    scene.run(2)
    await poll_all(scene, roster)
    assert scene.events() == [(2, "completed")]


@pytest.mark.asyncio
async def test_all_runs_of_a_sync_created_after_the_first_listing_are_news(scene: Scene) -> None:
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    scene.sync(60, created_at=LATER)
    scene.runs([1, 2, 3], sync_id=60)
    await scene.listed(roster)
    await poll_all(scene, roster)
    await poll_all(scene, roster)
    assert scene.events() == [(1, "completed"), (2, "completed"), (3, "completed")]


@pytest.mark.asyncio
async def test_a_new_sync_has_no_baseline_even_if_the_worker_dies_between_listing_and_first_poll(scene: Scene) -> None:
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    scene.sync(60, created_at=LATER)
    await scene.listed(roster)
    scene.run(1, "failed", sync_id=60)
    roster, changes = await scene.roster(ALL)
    assert ids(changes.added) == [("sync", 60)]
    await poll_all(scene, roster)
    assert scene.events() == [(1, "failed")]


@pytest.mark.asyncio
async def test_a_new_sync_that_was_created_while_the_worker_was_down_has_no_baseline(scene: Scene) -> None:
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    scene.sync(60, created_at=LATER)
    scene.run(1, "failed", sync_id=60)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    await poll_all(scene, roster)
    assert scene.events() == [(1, "failed")]


@pytest.mark.asyncio
async def test_an_old_sync_that_a_later_listing_shows_gets_a_baseline(scene: Scene) -> None:
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    scene.sync(60, created_at=LONG_AGO)
    scene.run(1, "failed", sync_id=60)
    await scene.listed(roster)
    await poll_all(scene, roster)
    assert scene.events() == []


@pytest.mark.asyncio
async def test_a_sync_of_the_first_listing_gets_its_baseline_after_a_crash_before_its_first_poll(scene: Scene) -> None:
    scene.sync(52)
    scene.run(1)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    roster, changes = await scene.roster(ALL)
    assert ids(changes.added) == [("sync", 52)]
    await poll_all(scene, roster)
    assert scene.events() == []
    scene.run(2)
    await poll_all(scene, roster)
    assert scene.events() == [(2, "completed")]


@pytest.mark.asyncio
async def test_a_restart_takes_up_the_marks_without_a_listing(scene: Scene) -> None:
    scene.sync(52, label="Leads")
    scene.run(1, "working")
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.run(2, "skipped")
    scene.becomes(1, "failed")
    roster, _ = await scene.roster(Watch(syncs=SyncSelector(label=("Lea*",)), labels={"team": "growth"}))
    await poll_all(scene, roster)
    assert scene.events() == [(1, "failed"), (2, "skipped")]
    assert [body["data"]["labels"] for body in scene.bodies()] == [{"team": "growth"}] * 2
    assert [body["data"]["sync"]["label"] for body in scene.bodies()] == ["Leads"] * 2


@pytest.mark.asyncio
async def test_labels_of_all_covering_watches_are_merged_and_later_ones_win(scene: Scene) -> None:
    scene.sync(52, label="Leads")
    roster, _ = await scene.roster(
        Watch(sync=52, labels={"team": "growth", "tier": "1"}),
        Watch(syncs=SyncSelector(label=("L*",)), labels={"team": "sales"}),
        Watch(syncs=SyncSelector(label=("M*",)), labels={"team": "marketing"}),
    )
    changes = await scene.listed(roster)
    assert ids(changes.added) == [("sync", 52)]
    assert roster.syncs[52].labels == {"team": "sales", "tier": "1"}


# --- what goes ---


@pytest.mark.asyncio
async def test_one_listing_that_lacks_a_sync_forgets_nothing(scene: Scene) -> None:
    scene.sync(52)
    scene.run(1)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    await poll_all(scene, roster)
    for _ in range(3):
        empty = {"data": [], "pagination": {"total_records": 0, "next_page": None}}
        scene.simulator.fault(Transform(lambda _: empty), path="/syncs", times=1)  # noqa: B023 - it is the same each time
        assert ids((await scene.listed(roster)).removed) == []
        assert ids((await scene.listed(roster)).removed) == []
    scene.run(2)
    await poll_all(scene, roster)
    assert scene.events() == [(2, "completed")]


@pytest.mark.asyncio
async def test_a_sync_that_two_complete_listings_in_a_row_lack_loses_its_mark_and_comes_back_with_a_baseline(
    scene: Scene,
) -> None:
    roster, _ = await scene.roster(Watch(syncs=SyncSelector(exclude_label=("unwatched",))))
    await scene.listed(roster)
    scene.sync(60, label="Leads", created_at=LATER)
    scene.run(1, sync_id=60)
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.simulator.remove_sync(60)
    scene.sync(59, label="unwatched")  # an empty listing would not be believed
    with capture_logs() as logs:
        assert ids((await scene.listed(roster)).removed) == []
        assert ids((await scene.listed(roster)).removed) == [("sync", 60)]
    (line,) = lines(logs, UNWATCHED)
    assert (line["sync_id"], line["label"]) == (60, "Leads")
    assert scene.rows("SELECT watched, marked, deleted FROM syncs WHERE sync_id = '60'") == [(0, 0, 1)]
    assert scene.rows("SELECT count(*) FROM snapshots") == [(0,)]
    scene.sync(60, created_at=LATER)
    scene.runs([1, 2], sync_id=60)
    assert ids((await scene.listed(roster)).added) == [("sync", 60)]
    await poll_all(scene, roster)
    scene.run(3, sync_id=60)
    await poll_all(scene, roster)
    assert scene.events() == [(1, "completed"), (0, "sync.deleted"), (3, "completed")]


@pytest.mark.asyncio
async def test_a_sync_that_comes_back_after_a_restart_gets_a_baseline_too(scene: Scene) -> None:
    scene.sync(52)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    scene.sync(60, created_at=LATER)
    await scene.listed(roster)
    scene.simulator.remove_sync(60)
    await scene.listed(roster)
    roster, changes = await scene.roster(ALL)
    assert ids(changes.added) == [("sync", 52), ("sync", 60)]
    assert ids((await scene.listed(roster)).removed) == [("sync", 60)]
    scene.sync(60, created_at=LATER)
    scene.run(1, sync_id=60)
    roster, changes = await scene.roster(ALL)
    assert ids(changes.added) == [("sync", 52)]
    await scene.listed(roster)
    await poll_all(scene, roster)
    assert scene.events() == [(0, "sync.deleted")]


@pytest.mark.asyncio
async def test_a_listing_that_shows_the_sync_again_begins_the_count_anew(scene: Scene) -> None:
    scene.sync(52)
    scene.sync(59)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    for _ in range(2):
        value = scene.simulator.sync(52)
        scene.simulator.remove_sync(52)
        await scene.listed(roster)
        scene.simulator.add_sync(**value)
        await scene.listed(roster)
    roster, changes = await scene.roster(ALL)
    assert ids(changes.added) == [("sync", 52), ("sync", 59)]
    scene.simulator.remove_sync(52)
    assert ids((await scene.listed(roster)).removed) == []
    assert ids((await scene.listed(roster)).removed) == [("sync", 52)]


def _short(answer: Any) -> Any:
    return {**answer, "data": []}


def _broken_second_page(answer: Any) -> Any:
    if answer["pagination"]["page"] == 1:
        answer["pagination"]["next_page"] = 2
        return {**answer, "data": answer["data"][:1]}
    return {"status": "error"}


@pytest.mark.parametrize("fault", [Transform(_short), Transform(_broken_second_page), Status(500), Body(b"<html>")])
@pytest.mark.asyncio
async def test_incomplete_listings_forget_nothing_however_many(scene: Scene, fault: Transform | Status | Body) -> None:
    scene.sync(51)
    scene.sync(52)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    handle = scene.simulator.fault(fault, path="/syncs")
    for _ in range(4):
        try:
            changes = await scene.listed(roster)
        except CensusError:
            continue
        assert (changes.added, changes.removed) == ([], [])
    assert handle.hits >= 4
    handle.clear()
    scene.simulator.remove_sync(52)
    assert ids((await scene.listed(roster)).removed) == []
    assert ids((await scene.listed(roster)).removed) == [("sync", 52)]
    assert roster.syncs.keys() == {51}


@pytest.mark.asyncio
async def test_an_incomplete_listing_still_brings_new_syncs(scene: Scene) -> None:
    scene.sync(51)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    scene.sync(52, created_at=LATER)
    scene.run(1)

    def lacks_the_first(answer: Any) -> Any:
        return {**answer, "data": answer["data"][1:]}

    scene.simulator.fault(Transform(lacks_the_first), path="/syncs")
    assert ids((await scene.listed(roster)).added) == [("sync", 52)]
    await poll_all(scene, roster)
    assert scene.events() == [(1, "completed")]


# --- labels that change ---


@pytest.mark.asyncio
async def test_a_label_that_changes_makes_a_watch_cover_and_uncover(scene: Scene) -> None:
    scene.sync(52, label="Leads (test)")
    scene.run(1)
    roster, _ = await scene.roster(Watch(syncs=SyncSelector(exclude_label=("* (test)",))))
    assert (await scene.listed(roster)).added == []
    scene.simulator.update_sync(52, label="Leads")
    assert ids((await scene.listed(roster)).added) == [("sync", 52)]
    await poll_all(scene, roster)
    scene.run(2)
    await poll_all(scene, roster)
    scene.simulator.update_sync(52, label="Leads (test)")
    with capture_logs() as logs:
        assert ids((await scene.listed(roster)).removed) == [("sync", 52)]
    assert len(lines(logs, UNWATCHED)) == 1
    scene.run(3)
    scene.simulator.update_sync(52, label="Leads")
    assert ids((await scene.listed(roster)).added) == [("sync", 52)]
    await poll_all(scene, roster)
    scene.run(4)
    await poll_all(scene, roster)
    assert scene.events() == [(2, "completed"), (4, "completed")]


@pytest.mark.asyncio
async def test_a_new_label_is_in_the_next_event_and_survives_a_restart(scene: Scene) -> None:
    scene.sync(52, label="Leads")
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.simulator.update_sync(52, label="New leads")
    changes = await scene.listed(roster)
    assert (changes.added, changes.removed) == ([], [])
    scene.run(1)
    await poll_all(scene, roster)
    roster, _ = await scene.roster(ALL)
    scene.run(2)
    await poll_all(scene, roster)
    assert [body["data"]["sync"]["label"] for body in scene.bodies()] == ["New leads"] * 2


@pytest.mark.asyncio
async def test_a_label_that_changes_may_change_the_watches_and_so_the_labels_of_events(scene: Scene) -> None:
    scene.sync(52, label="Leads")
    roster, _ = await scene.roster(
        Watch(syncs=SyncSelector(label=("Leads",)), labels={"team": "growth"}),
        Watch(syncs=SyncSelector(label=("Orders",)), labels={"team": "sales"}),
    )
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.simulator.update_sync(52, label="Orders")
    changes = await scene.listed(roster)
    assert (changes.added, changes.removed) == ([], [])
    scene.run(1)
    await poll_all(scene, roster)
    assert [body["data"]["labels"] for body in scene.bodies()] == [{"team": "sales"}]


@pytest.mark.asyncio
async def test_a_sync_that_the_watchlist_no_longer_covers_is_forgotten_at_the_next_start(scene: Scene) -> None:
    scene.sync(52, label="Leads")
    scene.run(1)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    await poll_all(scene, roster)
    _, changes = await scene.roster(Watch(sync=53))
    assert changes.added == []
    assert scene.rows("SELECT watched, marked FROM syncs") == [(0, 0)]
    scene.run(2)
    roster, _ = await scene.roster(ALL)
    await scene.listed(roster)
    await poll_all(scene, roster)
    assert scene.events() == []


# --- syncs that are named by their ID ---


@pytest.mark.asyncio
async def test_a_named_sync_that_is_not_in_a_complete_listing_is_not_polled_and_reported_once(scene: Scene) -> None:
    scene.sync(51)
    roster, _ = await scene.roster(Watch(sync=52))
    with capture_logs() as logs:
        for _ in range(3):
            assert (await scene.listed(roster)).added == []
    (line,) = lines(logs, "watched sync is not in its workspace")
    assert line["sync_id"] == 52
    scene.sync(52)
    assert ids((await scene.listed(roster)).added) == [("sync", 52)]


@pytest.mark.asyncio
async def test_a_named_sync_that_an_incomplete_listing_lacks_is_polled(scene: Scene) -> None:
    scene.sync(51)
    scene.sync(52)
    roster, _ = await scene.roster(Watch(sync=52))
    scene.simulator.fault(Transform(lambda answer: {**answer, "data": answer["data"][:1]}), path="/syncs")
    assert ids((await scene.listed(roster)).added) == [("sync", 52)]
    await poll_all(scene, roster)
    scene.run(1)
    await poll_all(scene, roster)
    assert scene.events() == [(1, "completed")]


@pytest.mark.asyncio
async def test_named_syncs_are_polled_when_there_is_no_listing_at_all(scene: Scene) -> None:
    scene.sync(52)
    scene.run(1)
    roster, _ = await scene.roster(Watch(sync=52, labels={"team": "growth"}), ALL)
    assert ids((await roster.apply_failure()).added) == [("sync", 52)]
    assert (await roster.apply_failure()).added == []
    await poll_all(scene, roster)
    scene.run(2)
    await poll_all(scene, roster)
    assert scene.events() == [(2, "completed")]
    assert scene.bodies()[0]["data"]["labels"] == {"team": "growth"}


# --- a database that can't be written for a while ---


@pytest.mark.parametrize("write", ["save_listed", "forget_syncs", "record", "save_standings"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.asyncio
async def test_a_listing_that_could_only_partly_be_kept_is_made_up_for_by_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, write: str, nth: int
) -> None:
    """Whatever came and went is told to the scheduler once, however often the database failed meanwhile."""
    for sync_id in (51, 52, 53):
        scene.sync(sync_id, label=f"Sync {sync_id}")
    roster, _ = await scene.roster(Watch(syncs=SyncSelector(exclude_label=("*off",))))
    first = await scene.listed(roster)
    await poll_all(scene, roster)
    polled = {target.sync_id for target in first.added if isinstance(target, SyncTarget)}
    scene.simulator.update_sync(51, label="off")
    scene.simulator.update_sync(52, label="renamed")
    scene.simulator.remove_sync(53)
    scene.sync(61, created_at=LATER)
    scene.sync(62, created_at=LATER)
    scene.sync(63, created_at=LONG_AGO)
    for sync_id in (61, 62, 63):
        scene.run(sync_id, sync_id=sync_id)
    real = getattr(scene.store.watching, write)
    calls: list[object] = []

    async def full_disk_at_the_nth(*given: object, **named: object) -> None:
        calls.append(given)
        if len(calls) == nth:
            raise StoreUnavailable("the disk is full")
        await real(*given, **named)

    all_changes: list[Changes] = []
    with monkeypatch.context() as patch:
        patch.setattr(scene.store.watching, write, full_disk_at_the_nth)
        for _ in range(5):
            try:
                all_changes.append(await scene.listed(roster))
            except StoreUnavailable:
                all_changes.append(roster.take_changes())
    assert len(calls) > nth
    for changes in all_changes:
        polled |= {target.sync_id for target in changes.added if isinstance(target, SyncTarget)}
        polled -= {target.sync_id for target in changes.removed if isinstance(target, SyncTarget)}
    assert polled == roster.syncs.keys() == {52, 61, 62, 63}
    assert roster.syncs[52].label == "renamed"
    await poll_all(scene, roster)
    assert scene.events() == [(0, "sync.deleted"), (61, "completed"), (62, "completed")]


@pytest.mark.asyncio
async def test_syncs_that_are_named_are_polled_though_the_disk_is_full_when_nothing_can_be_listed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept of them before the disk was full is in memory too, and told with the next listing at the latest."""
    scene.sync(52)
    roster, _ = await scene.roster(Watch(sync=52))

    async def full_disk(*given: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store.watching, "save_standings", full_disk)
        with pytest.raises(StoreUnavailable):
            await roster.apply_failure()
    assert roster.take_changes().added == [roster.syncs[52]]
    assert (await roster.apply_failure()).added == []


# --- watches of single runs ---


@pytest.mark.asyncio
async def test_the_first_sight_of_a_watched_run_is_silent_and_its_changes_are_news_until_it_ends(
    scene: Scene,
) -> None:
    scene.sync(52, label="Leads")
    scene.run(94, "queued")
    roster, changes = await scene.roster(Watch(sync_run=94, labels={"release": "7"}))
    assert ids(changes.added) == [("run", 94)]
    await scene.listed(roster)
    await poll_all(scene, roster)
    assert scene.events() == []
    scene.becomes(94, "working")
    await poll_all(scene, roster)
    with capture_logs() as logs:
        scene.becomes(94, "failed", error_code="AUTH_ERROR")
        await poll_all(scene, roster)
    assert scene.events() == [(94, "working"), (94, "failed")]
    (line,) = lines(logs, ENDED)
    assert (line["sync_run_id"], line["reason"]) == (94, "ended as failed")
    data = scene.bodies()[0]["data"]
    assert (data["labels"], data["sync"]["label"]) == ({"release": "7"}, "Leads")
    assert roster.runs == {}


@pytest.mark.asyncio
async def test_the_run_before_a_watched_run_is_known_though_nobody_watches_its_sync(scene: Scene) -> None:
    scene.sync(52)
    scene.run(91, "failed")
    scene.run(92, "completed", canceled=True)
    scene.run(94, "working")
    scene.run(95, "completed")
    roster, _ = await scene.roster(Watch(sync_run=94))
    await poll_all(scene, roster)
    scene.becomes(94, "completed")
    await poll_all(scene, roster)
    (body,) = scene.bodies()
    assert body["data"]["previous_run"] == {"id": 91, "status": "failed"}
    assert scene.asked("/syncs/52/sync_runs") == 1


@pytest.mark.asyncio
async def test_after_its_end_a_watched_run_is_not_polled_again_nor_after_a_restart(scene: Scene) -> None:
    scene.sync(52)
    scene.run(94, "completed")
    roster, _ = await scene.roster(Watch(sync_run=94))
    with capture_logs() as logs:
        await poll_all(scene, roster)
    assert len(lines(logs, ENDED)) == 1
    scene.simulator.forget_requests()
    roster, changes = await scene.roster(Watch(sync_run=94))
    assert changes.added == []
    scene.becomes(94, "failed")
    await poll_all(scene, roster)
    assert scene.asked("/sync_runs/94") == 0
    assert scene.events() == []


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_watched_run_that_is_not_found_three_times_in_ten_minutes_ends_its_watch_for_good(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    roster, _ = await scene.roster(Watch(sync_run=94))
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        for _ in range(5):
            await poll_all(scene, roster)
        await loop_clock.advance(599)
        await poll_all(scene, roster)
        assert roster.runs.keys() == {94}
        await loop_clock.advance(1.001)  # a float's last digit may be off
        await poll_all(scene, roster)
    (line,) = lines(logs, ENDED)
    assert line["reason"] == "not found three times"
    assert roster.runs == {}
    assert (await scene.roster(Watch(sync_run=94)))[1].added == []


@pytest.mark.asyncio
async def test_a_watched_run_that_is_found_after_two_misses_goes_on(scene: Scene) -> None:
    scene.sync(52)
    scene.run(94, "working")
    roster, _ = await scene.roster(Watch(sync_run=94))
    for _ in range(3):
        scene.simulator.fault(Status(404), path="/sync_runs/94", times=2)
        for _ in range(3):
            await poll_all(scene, roster)
    scene.becomes(94, "completed")
    await poll_all(scene, roster)
    assert scene.events() == [(94, "completed")]


@pytest.mark.asyncio
async def test_what_became_of_a_watched_run_while_the_worker_was_down_is_news(scene: Scene) -> None:
    scene.sync(52)
    scene.run(94, "working")
    roster, _ = await scene.roster(Watch(sync_run=94))
    await poll_all(scene, roster)
    scene.becomes(94, "failed")
    roster, _ = await scene.roster(Watch(sync_run=94))
    await poll_all(scene, roster)
    assert scene.events() == [(94, "failed")]


@pytest.mark.asyncio
async def test_a_watched_run_unchanged_for_seven_days_ends_its_watch(scene: Scene) -> None:
    scene.sync(52)
    scene.run(94, "working", updated_at=created(94))
    roster, _ = await scene.roster(Watch(sync_run=94))
    await poll_all(scene, roster)
    target = roster.runs[94]
    scene.api_passes(days=1)
    await poll_all(scene, roster)
    assert not target.active
    scene.api_passes(days=6)
    with capture_logs() as logs:
        await poll_all(scene, roster)
    assert [line["reason"] for line in lines(logs, ENDED)] == ["unchanged for seven days"]
    assert scene.events() == []


@pytest.mark.asyncio
async def test_a_run_of_a_watched_sync_has_one_event_with_the_labels_of_both(scene: Scene) -> None:
    scene.sync(52)
    scene.run(93, "working")
    scene.run(94, "working")
    watches = (ALL.model_copy(update={"labels": {"team": "growth"}}), Watch(sync_run=94, labels={"release": "7"}))
    roster, _ = await scene.roster(*watches)
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.becomes(93, "failed")
    scene.becomes(94, "failed")
    with capture_logs() as logs:
        await poll_all(scene, roster)
        await poll_all(scene, roster)
    assert scene.events() == [(93, "failed"), (94, "failed")]
    labels = [body["data"]["labels"] for body in scene.bodies()]
    assert labels == [{"team": "growth"}, {"team": "growth", "release": "7"}]
    assert len(lines(logs, ENDED)) == 1
    assert (await scene.roster(*watches))[0].syncs[52].watched_runs == {}


@pytest.mark.asyncio
async def test_a_watched_run_that_appears_later_in_a_watched_sync_is_still_news(scene: Scene) -> None:
    scene.sync(52)
    scene.run(93)
    roster, _ = await scene.roster(ALL, Watch(sync_run=94, labels={"release": "7"}))
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.run(94, "queued")
    await poll_all(scene, roster)
    await poll_all(scene, roster)
    assert scene.events() == [(94, "queued")]
    assert scene.bodies()[0]["data"]["labels"] == {"release": "7"}


@pytest.mark.asyncio
async def test_a_watched_run_far_below_the_baseline_of_its_watched_sync_is_followed(scene: Scene) -> None:
    scene.sync(52)
    scene.run(1, "working")
    scene.runs(range(2, 140))
    watches = (ALL, Watch(sync_run=1, labels={"release": "7"}))
    roster, _ = await scene.roster(*watches)
    await scene.listed(roster)
    await poll_all(scene, roster)
    assert scene.events() == []
    roster, _ = await scene.roster(*watches)
    await poll_all(scene, roster)
    scene.becomes(1, "completed")
    await poll_all(scene, roster)
    assert scene.events() == [(1, "completed")]
    assert scene.bodies()[0]["data"]["labels"] == {"release": "7"}


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_watched_run_of_a_watched_sync_that_is_gone_ends_its_watch(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    scene.run(93)
    scene.run(94, "working")
    roster, _ = await scene.roster(ALL, Watch(sync_run=94))
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.simulator.remove_run(94)
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        for _ in range(3):
            await poll_all(scene, roster)
            await loop_clock.advance(300.001)  # a float's last digit may be off
    assert [line["reason"] for line in lines(logs, ENDED)] == ["not found three times"]
    assert scene.events() == []
    assert roster.syncs[52].watched_runs == {}


@pytest.mark.asyncio
async def test_a_watched_run_is_left_to_its_sync_once_that_becomes_watched(scene: Scene) -> None:
    scene.sync(52, label="Leads (test)")
    scene.run(94, "queued")
    watches = (Watch(syncs=SyncSelector(exclude_label=("* (test)",))), Watch(sync_run=94, labels={"release": "7"}))
    roster, _ = await scene.roster(*watches)
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.becomes(94, "working")
    scene.simulator.update_sync(52, label="Leads")
    await scene.listed(roster)
    await poll_all(scene, roster)
    assert roster.runs == {}
    scene.becomes(94, "completed")
    await poll_all(scene, roster)
    assert scene.events() == [(94, "working"), (94, "completed")]
    assert [body["data"]["labels"] for body in scene.bodies()] == [{"release": "7"}] * 2


@pytest.mark.asyncio
async def test_a_watched_run_goes_on_alone_when_its_sync_is_no_longer_watched(scene: Scene) -> None:
    scene.sync(52, label="Leads")
    scene.run(94, "queued")
    watches = (Watch(syncs=SyncSelector(exclude_label=("* (test)",))), Watch(sync_run=94, labels={"release": "7"}))
    roster, _ = await scene.roster(*watches)
    await scene.listed(roster)
    await poll_all(scene, roster)
    scene.simulator.update_sync(52, label="Leads (test)")
    changes = await scene.listed(roster)
    assert (ids(changes.removed), ids(changes.added)) == ([("sync", 52)], [("run", 94)])
    scene.becomes(94, "failed")
    await poll_all(scene, roster)
    assert scene.events() == [(94, "failed")]


@pytest.mark.asyncio
async def test_a_run_whose_sync_stops_being_watched_during_the_hand_over_is_kept(scene: Scene) -> None:
    scene.sync(52)
    scene.run(94, "working")
    roster, _ = await scene.roster(Watch(sync_run=94))
    target = roster.runs[94]
    fate = await scene.observer.poll_run(target, roster.sync_label, lambda _: True)
    assert fate is RunFate.LEFT_TO_ITS_SYNC
    assert not await roster.hand_over(target)
    assert roster.runs == {94: target}


@pytest.mark.asyncio
async def test_a_watch_of_a_run_that_was_taken_out_and_put_back_begins_anew(scene: Scene) -> None:
    scene.sync(52)
    scene.run(94, "completed")
    roster, _ = await scene.roster(Watch(sync_run=94))
    await poll_all(scene, roster)
    await scene.roster(Watch(sync_run=95))
    roster, changes = await scene.roster(Watch(sync_run=94))
    assert ids(changes.added) == [("run", 94)]
    await poll_all(scene, roster)
    assert scene.events() == []


@pytest.mark.asyncio
async def test_what_a_poll_notes_of_a_sync_while_its_first_standing_is_kept_stays(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.sync(52)
    roster, _ = await scene.roster(Watch(sync=52))
    save, noted_at = scene.store.watching.save_standings, scene.clock()

    async def save_and_poll(workspace: str, standings: Mapping[Id, Standing]) -> None:
        await save(workspace, standings)
        if not standings:
            return
        monkeypatch.undo()
        noted = replace(roster.syncs[52].state.standing, stale_from=noted_at)
        await save(workspace, {52: noted})
        roster.syncs[52].stands(noted)

    monkeypatch.setattr(scene.store.watching, "save_standings", save_and_poll)
    await scene.listed(roster)
    whole = Standing(paused=False, scheduled=True, stale_from=noted_at)
    assert roster.syncs[52].state.standing == whole
    (kept,) = await scene.store.watching.syncs(scene.workspace)
    assert kept.standing == whole
