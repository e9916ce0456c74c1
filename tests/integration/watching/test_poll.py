"""What a poll of one sync makes of the API's answers: baseline, mark, news, changes, runs that are followed."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from notifier.census.listing import Listing
from notifier.model.errors import StoreUnavailable
from notifier.model.sync import Mark, RunWatch, Sync
from notifier.simulator import ABSENT, Status, Transform
from notifier.store.store import Store
from notifier.store.views.status import SyncView, read_status
from notifier.watching.target import SyncTarget
from notifier.watchlist.models import Route, Watch
from tests.integration.watching.kit import START_OF_TIME, FailingRecord, LoopClock, Scene, a_scene, created, lines

LIST = "/syncs/52/sync_runs"
GAP = "older runs were skipped: too many came at once, or the list could not be read back to the last one"
DROPPED = "sync run is no longer followed"


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        made.sync(52, label="Leads")
        yield made


def changes(scene: Scene) -> list[list[tuple[str, Any, Any]]]:
    """Of each event, its changes."""
    return [[(c["field"], c["old"], c["new"]) for c in body["data"]["changes"]] for body in scene.bodies()]


async def mark_in_database(scene: Scene) -> Mark | None:
    (sync,) = await scene.store.watching.syncs("production")
    return sync.mark


def view_of_sync(scene: Scene) -> SyncView:
    (sync,) = read_status(scene.store.path, ()).syncs
    return sync


# --- the baseline ---


@pytest.mark.asyncio
async def test_runs_that_are_there_at_first_sight_are_no_news(scene: Scene) -> None:
    scene.run(1, "failed")
    scene.run(2, "working")
    target = await scene.watched()
    await scene.poll(target, times=3)
    assert scene.events() == []
    assert scene.rows("SELECT run_id, status FROM snapshots ORDER BY run_id") == [(1, "failed"), (2, "working")]


@pytest.mark.asyncio
async def test_the_baseline_is_stored_with_the_newest_run_as_mark_and_floor(scene: Scene) -> None:
    scene.runs([1, 2, 3])
    await scene.watched()
    moment = START_OF_TIME + timedelta(seconds=3)
    assert await mark_in_database(scene) == Mark(3, moment, moment)


@pytest.mark.asyncio
async def test_the_first_run_of_a_sync_that_had_none_at_the_baseline_is_news(scene: Scene) -> None:
    target = await scene.watched()
    assert await mark_in_database(scene) is not None
    scene.run(1, "queued")
    await scene.poll(target, times=2)
    assert scene.events() == [(1, "queued")]


@pytest.mark.asyncio
async def test_the_baseline_of_a_sync_without_runs_survives_a_restart(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, "queued")
    await scene.poll(await scene.restarted(target))
    assert scene.events() == [(1, "queued")]


@pytest.mark.asyncio
async def test_a_change_of_a_run_of_the_baseline_is_news(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "failed", error_code="AUTH_ERROR")
    await scene.poll(target)
    assert scene.events() == [(1, "failed")]
    assert changes(scene) == [[("status", "working", "failed"), ("error_code", None, "AUTH_ERROR")]]


@pytest.mark.asyncio
async def test_old_runs_stay_silent_when_deletions_bring_them_into_sight(scene: Scene) -> None:
    scene.runs(range(1, 151))
    target = await scene.watched()
    for number in range(40, 151):
        scene.simulator.remove_run(number)
    await scene.poll(target, times=2)
    assert scene.events() == []
    scene.run(151, "queued")
    await scene.poll(target)
    assert scene.events() == [(151, "queued")]


@pytest.mark.asyncio
async def test_old_runs_stay_silent_when_all_newer_ones_but_the_news_are_deleted(scene: Scene) -> None:
    scene.runs(range(1, 151))
    target = await scene.watched()
    for number in range(2, 151):
        scene.simulator.remove_run(number)
    scene.run(151, "queued")
    await scene.poll(target, times=2)
    assert scene.events() == [(151, "queued")]


@pytest.mark.asyncio
async def test_an_emptied_list_is_no_new_baseline(scene: Scene) -> None:
    scene.runs([1, 2])
    target = await scene.watched()
    scene.simulator.remove_run(1)
    scene.simulator.remove_run(2)
    await scene.poll(target)
    scene.runs([3])
    await scene.poll(target)
    assert scene.events() == [(3, "completed")]


# --- runs that appear ---


@pytest.mark.asyncio
async def test_a_run_that_appears_is_a_change_from_nothing(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.run(2, "failed", error_code="AUTH_ERROR", error_message="no access")
    await scene.poll(target)
    assert scene.events() == [(2, "failed")]
    assert changes(scene) == [
        [("status", None, "failed"), ("error_code", None, "AUTH_ERROR"), ("error_message", None, "no access")]
    ]


@pytest.mark.asyncio
async def test_a_run_without_a_status_is_kept_and_is_news_once_it_has_one(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, None, error_code="E1")  # type: ignore[arg-type]  # a broken API
    await scene.poll(target, times=2)
    scene.run(2)
    await scene.poll(target, times=2)
    assert scene.events() == [(2, "completed")]
    scene.becomes(1, "failed", error_code="E1")
    await scene.poll(await scene.restarted(target), times=2)
    assert scene.events() == [(2, "completed"), (1, "failed")]
    assert changes(scene)[-1] == [("status", None, "failed"), ("error_code", None, "E1")]


@pytest.mark.asyncio
async def test_several_new_runs_are_reported_oldest_first(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs([2, 3, 4])
    await scene.poll(target)
    assert scene.events() == [(2, "completed"), (3, "completed"), (4, "completed")]


@pytest.mark.asyncio
async def test_an_event_says_what_it_is_about(scene: Scene) -> None:
    target = scene.target(52, "Leads", team="growth")
    await scene.poll(target)
    scene.run(7, "failed", unheard_of={"of": [1]})
    await scene.poll(target)
    (body,) = scene.bodies()
    data = body["data"]
    assert body["timestamp"] == "2026-11-23T16:00:00.000Z"
    assert (data["workspace"], data["labels"]) == ("production", {"team": "growth"})
    assert data["sync"] == {"id": 52, "label": "Leads", "url": "https://app.getcensus.com/syncs/52/history"}
    assert data["sync_run"]["unheard_of"] == {"of": [1]}
    assert data["sync_run"]["url"] == "https://app.getcensus.com/syncs/52/history?sync_run_id=7"


@pytest.mark.asyncio
async def test_a_poll_at_rest_costs_one_small_request(scene: Scene) -> None:
    scene.runs(range(1, 20))
    target = await scene.watched()
    await scene.poll(target)
    scene.simulator.forget_requests()
    await scene.poll(target, times=3)
    assert [(request.path, request.query["per_page"]) for request in scene.simulator.requests] == [(LIST, "5")] * 3


# --- the mark ---


@pytest.mark.asyncio
async def test_a_poll_whose_finds_could_not_be_kept_finds_them_again_exactly_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.runs([1, 2])
    scene.run(3, "working")
    target = await scene.watched()
    before = await mark_in_database(scene)
    scene.runs([4, 5])
    scene.becomes(3, "failed")
    full_disk = FailingRecord(monkeypatch, scene.store)
    with pytest.raises(StoreUnavailable):
        await scene.poll(target)
    assert [event.run_id for event in full_disk.failed[0].events] == [3, 4, 5]
    assert scene.events() == []
    assert await mark_in_database(scene) == before == target.mark
    await scene.poll(target, times=2)
    assert scene.events() == [(3, "failed"), (4, "completed"), (5, "completed")]
    after = await mark_in_database(scene)
    assert after is not None
    assert after.run_id == 5


@pytest.mark.asyncio
async def test_a_baseline_that_could_not_be_kept_is_set_at_the_next_poll(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1)
    FailingRecord(monkeypatch, scene.store)
    target = scene.target()
    with pytest.raises(StoreUnavailable):
        await scene.poll(target)
    scene.run(2)
    await scene.poll(target, times=2)
    assert scene.events() == []
    assert target.mark is not None
    assert target.mark.run_id == 2


@pytest.mark.asyncio
async def test_events_are_announced_even_when_what_follows_their_commit_fails(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    target.watch_run(1, {})
    scene.becomes(1, "failed")

    async def full_disk(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(scene.store.watching, "save_run_watch", full_disk)
        with pytest.raises(StoreUnavailable):
            await scene.poll(target)
    assert scene.events() == [(1, "failed")]
    assert scene.woken == ["pipeline"]
    assert len(lines(logs, "sync run changed")) == 1
    await scene.poll(target, times=2)
    assert scene.events() == [(1, "failed")]
    assert await scene.store.watching.run_watches("production") == {1: RunWatch(52, ended=True)}


@pytest.mark.asyncio
async def test_a_restart_repeats_nothing_and_loses_nothing(scene: Scene) -> None:
    scene.run(1)
    scene.run(2, "working")
    target = await scene.watched()
    scene.run(3, "working")
    await scene.poll(target)
    target = await scene.restarted(target)
    await scene.poll(target)
    assert scene.events() == [(3, "working")]
    scene.becomes(2, "completed")
    scene.becomes(3, "failed")
    scene.run(4, "queued")
    target = await scene.restarted(target)
    await scene.poll(target)
    assert scene.events() == [(3, "working"), (2, "completed"), (3, "failed"), (4, "queued")]
    await scene.poll(await scene.restarted(target))
    assert len(scene.events()) == 4


@pytest.mark.asyncio
async def test_a_run_that_the_api_shows_late_below_the_mark_is_still_news(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.run(3)
    await scene.poll(target)
    scene.run(2)
    await scene.poll(target, times=2)
    assert scene.events() == [(3, "completed"), (2, "completed")]


@pytest.mark.asyncio
async def test_the_mark_does_not_move_down_when_newest_runs_are_deleted(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs([2, 3, 4])
    await scene.poll(target)
    scene.simulator.remove_run(3)
    scene.simulator.remove_run(4)
    await scene.poll(target, times=2)
    scene.run(5)
    await scene.poll(await scene.restarted(target), times=2)
    assert [run_id for run_id, _ in scene.events()] == [2, 3, 4, 5]


# --- walking back ---


@pytest.mark.asyncio
async def test_the_poll_walks_back_a_page_of_100_at_a_time_to_the_mark(scene: Scene) -> None:
    scene.runs(range(1, 11))
    target = await scene.watched()
    scene.runs(range(11, 261))
    scene.simulator.forget_requests()
    await scene.poll(target)
    asked = [(request.query["page"], request.query["per_page"]) for request in scene.simulator.requests]
    assert asked == [("1", "5"), ("1", "100"), ("2", "100"), ("3", "100")]
    assert [run_id for run_id, _ in scene.events()] == list(range(11, 261))


@pytest.mark.asyncio
async def test_the_walk_ends_at_a_run_created_before_the_mark_when_the_marked_run_is_gone(scene: Scene) -> None:
    scene.runs(range(1, 401))
    target = await scene.watched()
    scene.runs(range(401, 521))
    scene.simulator.remove_run(400)
    scene.simulator.forget_requests()
    await scene.poll(target)
    assert scene.simulator.requests[-1].query["page"] == "2"
    assert [run_id for run_id, _ in scene.events()] == list(range(401, 521))


@pytest.mark.asyncio
async def test_runs_that_appear_while_pages_are_read_are_neither_lost_nor_repeated(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 252))
    fresh = itertools.count(252)

    def a_run_appears(answer: Any) -> Any:
        for _ in range(3):
            scene.run(next(fresh))
        return answer

    handle = scene.simulator.fault(Transform(a_run_appears), path=LIST)
    await scene.poll(target)
    handle.clear()
    await scene.poll(target, times=2)
    assert [run_id for run_id, _ in scene.events()] == list(range(2, next(fresh)))


@pytest.mark.asyncio
async def test_a_server_that_gives_the_same_page_again_and_again_ends_the_walk(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 302))

    def first_page(answer: Any) -> Any:
        paging = answer["pagination"]
        paging["next_page"] = paging["page"] + 1
        answer["data"] = scene.simulator.runs(52)[: paging["per_page"]]
        return answer

    handle = scene.simulator.fault(Transform(first_page), path=LIST)
    with capture_logs() as logs:
        await scene.poll(target)
    assert [run_id for run_id, _ in scene.events()] == list(range(202, 302))
    assert handle.hits == 1 + 3 * 2, "tried three times, as it may be for once"
    (line,) = lines(logs, GAP)
    assert line["oldest_reported_run_id"] == 202
    await scene.poll(target)
    assert len(scene.events()) == 100


@pytest.mark.asyncio
async def test_repeated_pages_without_any_news_are_no_gap_and_no_error(scene: Scene) -> None:
    for number in (1, 2, 3):
        scene.run(number, created_at=None)
    target = await scene.watched()
    scene.simulator.remove_run(3)

    def first_page(answer: Any) -> Any:
        del answer["pagination"]
        answer["data"] = scene.simulator.runs(52)
        return answer

    scene.simulator.fault(Transform(first_page), path=LIST)
    with capture_logs() as logs:
        await scene.poll(target, times=2)
    assert scene.events() == []
    assert lines(logs, GAP) == []


@pytest.mark.asyncio
async def test_a_list_that_never_ends_is_left_after_the_newest_thousand(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    template = scene.simulator.run(1)

    def endless(answer: Any) -> Any:
        page, per_page = answer["pagination"]["page"], answer["pagination"]["per_page"]
        start = 1_000_000 - (page - 1) * per_page
        ids = range(start, start - per_page, -1)
        answer["data"] = [{**template, "id": number, "created_at": created(number)} for number in ids]
        answer["pagination"]["next_page"] = page + 1
        return answer

    handle = scene.simulator.fault(Transform(endless), path=LIST)
    await scene.poll(target)
    assert handle.hits == 12
    assert [run_id for run_id, _ in scene.events()] == list(range(999_001, 1_000_001))


@pytest.mark.asyncio
async def test_small_pages_without_end_are_given_up_after_sixty(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    template = scene.simulator.run(1)

    def endless(answer: Any) -> Any:
        number = 1_000 - answer["pagination"]["page"]
        answer["data"] = [{**template, "id": number, "created_at": created(number)}]
        answer["pagination"]["next_page"] = answer["pagination"]["page"] + 1
        return answer

    handle = scene.simulator.fault(Transform(endless), path=LIST)
    with capture_logs() as logs:
        await scene.poll(target)
    assert handle.hits == 61
    assert [run_id for run_id, _ in scene.events()] == list(range(940, 1_000))
    assert len(lines(logs, GAP)) == 1


@pytest.mark.asyncio
async def test_without_pagination_the_walk_goes_on_to_an_empty_page(scene: Scene) -> None:
    target = await scene.watched()
    scene.runs(range(1, 231))

    def without_pagination(answer: Any) -> Any:
        del answer["pagination"]
        return answer

    scene.simulator.fault(Transform(without_pagination), path=LIST)
    with capture_logs() as logs:
        await scene.poll(target, times=2)
    assert [run_id for run_id, _ in scene.events()] == list(range(1, 231))
    assert lines(logs, GAP) == []


@pytest.mark.asyncio
async def test_a_server_that_gives_25_a_page_whatever_is_asked_is_walked_to_the_mark(scene: Scene) -> None:
    scene.runs(range(1, 51))
    target = await scene.watched()
    scene.runs(range(51, 181))

    def pages_of_25(answer: Any) -> Any:
        paging = answer["pagination"]
        size = min(paging["per_page"], 25)
        every = scene.simulator.runs(52)
        start = (paging["page"] - 1) * size
        answer["data"] = every[start : start + size]
        paging["per_page"] = size
        paging["next_page"] = paging["page"] + 1 if start + size < len(every) else None
        return answer

    handle = scene.simulator.fault(Transform(pages_of_25), path=LIST)
    with capture_logs() as logs:
        await scene.poll(target)
    assert [run_id for run_id, _ in scene.events()] == list(range(51, 181))
    assert handle.hits == 7
    assert lines(logs, GAP) == []


@pytest.mark.asyncio
async def test_a_server_of_25_a_page_still_gives_a_thousand_runs(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 1_002))

    def pages_of_25(answer: Any) -> Any:
        paging = answer["pagination"]
        size = min(paging["per_page"], 25)
        every = scene.simulator.runs(52)
        start = (paging["page"] - 1) * size
        answer["data"] = every[start : start + size]
        paging["next_page"] = paging["page"] + 1 if start + size < len(every) else None
        return answer

    scene.simulator.fault(Transform(pages_of_25), path=LIST)
    with capture_logs() as logs:
        await scene.poll(target)
    assert [run_id for run_id, _ in scene.events()] == list(range(2, 1_002))
    assert lines(logs, GAP) == []


@pytest.mark.asyncio
async def test_an_error_on_a_later_page_records_nothing_of_the_earlier_ones(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 252))
    pages = itertools.count(1)

    def third_breaks(answer: Any) -> Any:
        return {"data": "gone wrong"} if next(pages) == 3 else answer

    scene.simulator.fault(Transform(third_breaks), path=LIST)
    with pytest.raises(Exception, match="no list"):
        await scene.poll(target)
    assert scene.events() == []
    await scene.poll(target, times=2)
    assert [run_id for run_id, _ in scene.events()] == list(range(2, 252))


# --- too many ---


@pytest.mark.asyncio
async def test_exactly_a_thousand_new_runs_are_all_reported(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 1_002))
    with capture_logs() as logs:
        await scene.poll(target)
    assert [run_id for run_id, _ in scene.events()] == list(range(2, 1_002))
    assert lines(logs, GAP) == []
    assert view_of_sync(scene).gap_noticed_at is None


@pytest.mark.parametrize("number", [1_001, 1_250])
@pytest.mark.asyncio
async def test_beyond_a_thousand_the_newest_are_reported_and_the_gap_is_logged_and_kept(
    scene: Scene, number: int
) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, number + 2))
    with capture_logs() as logs:
        await scene.poll(target)
    oldest = number + 2 - 1_000
    assert [run_id for run_id, _ in scene.events()] == list(range(oldest, number + 2))
    (line,) = lines(logs, GAP)
    assert (line["sync_id"], line["oldest_reported_run_id"], line["reported"]) == (52, oldest, 1_000)
    view = view_of_sync(scene)
    assert (view.gap_noticed_at, view.gap_oldest_reported_run_id) == (scene.clock.now, oldest)


@pytest.mark.asyncio
async def test_runs_in_the_gap_never_become_news(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 1_502))
    await scene.poll(target)
    for number in range(480, 1_502):
        scene.simulator.remove_run(number)
    scene.run(1_502)
    await scene.poll(target, times=2)
    await scene.poll(await scene.restarted(target))
    assert [run_id for run_id, _ in scene.events()] == list(range(502, 1_503))


# --- changes of known runs ---


@pytest.mark.asyncio
async def test_every_run_of_an_answer_is_compared_with_its_snapshot(scene: Scene) -> None:
    scene.runs([1, 2, 3, 4])
    target = await scene.watched()
    scene.becomes(2, "completed", canceled=True)
    scene.becomes(4, "failed")
    await scene.poll(target, times=2)
    assert scene.events() == [(2, "canceled"), (4, "failed")]


@pytest.mark.asyncio
async def test_an_error_of_an_ended_run_that_changes_is_news(scene: Scene) -> None:
    scene.run(1, "failed", error_detail="one row")
    target = await scene.watched()
    scene.becomes(1, "failed", error_detail="two rows")
    await scene.poll(target)
    scene.becomes(1, "failed", error_detail="")
    await scene.poll(target)
    scene.becomes(1, "failed", error_detail=ABSENT)
    await scene.poll(target)
    assert scene.events() == [(1, "error_changed"), (1, "error_changed")]
    assert changes(scene) == [[("error_detail", "one row", "two rows")], [("error_detail", "two rows", None)]]


@pytest.mark.asyncio
async def test_canceled_may_come_after_the_end_and_fall_back_again(scene: Scene) -> None:
    scene.run(1, "completed")
    target = await scene.watched()
    scene.becomes(1, "completed", canceled=True)
    await scene.poll(target)
    scene.becomes(1, "completed", canceled=False)
    await scene.poll(target)
    assert scene.events() == [(1, "canceled"), (1, "status_changed")]
    assert changes(scene) == [[("canceled", None, True)], [("canceled", True, None)]]


@pytest.mark.asyncio
async def test_what_is_not_watched_is_no_news(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "working", records_processed=7, current_step="Syncing", canceled=ABSENT, error_code="")
    await scene.poll(target)
    assert scene.events() == []


@pytest.mark.asyncio
async def test_an_ended_run_that_works_again_is_followed_again(scene: Scene) -> None:
    scene.run(1, "failed")
    target = await scene.watched()
    assert target.followed == {}
    scene.becomes(1, "working")
    await scene.poll(target)
    assert target.followed.keys() == {1}
    assert (await scene.restarted(target)).followed.keys() == {1}


@pytest.mark.parametrize("status", ["preparing", "Completed", "zzz"])
@pytest.mark.asyncio
async def test_an_unknown_status_is_reported_and_has_not_ended(scene: Scene, status: str) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.simulator.update_run(1, status=status)
    await scene.poll(target)
    assert scene.events() == [(1, "status_changed")]
    assert target.followed.keys() == {1}
    assert target.is_active(scene.clock.now)


@pytest.mark.parametrize("nothing", [None, "", ABSENT])
@pytest.mark.parametrize("status", ["completed", "failed", "working"])
@pytest.mark.asyncio
async def test_an_answer_without_a_status_says_nothing_of_it(scene: Scene, status: str, nothing: Any) -> None:
    scene.run(1, status)
    target = await scene.watched()
    scene.simulator.update_run(1, status=nothing)
    await scene.poll(target)
    assert scene.events() == []
    assert (1 in target.followed) == (status == "working")
    scene.simulator.update_run(1, status=status, error_code="E2")
    await scene.poll(target)
    assert scene.events() == [(1, "error_changed")]


@pytest.mark.asyncio
async def test_an_unknown_status_has_ended_once_completed_at_is_set(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "archived", completed_at=created(9))
    await scene.poll(target)
    assert scene.events() == [(1, "status_changed")]
    assert target.followed == {}
    assert (await scene.restarted(target)).followed == {}


@pytest.mark.asyncio
async def test_completed_at_alone_ends_a_run_without_an_event(scene: Scene) -> None:
    scene.run(1, "archiving")
    target = await scene.watched()
    assert target.followed.keys() == {1}
    scene.simulator.update_run(1, completed_at=created(9))
    await scene.poll(target)
    assert scene.events() == []
    assert target.followed == {}
    assert (await scene.restarted(target)).followed == {}


# --- runs that are followed out of the answer ---


@pytest.mark.asyncio
async def test_a_skipped_run_does_not_hide_the_working_one(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.run(2, "skipped")
    await scene.poll(target)
    assert target.is_active(scene.clock.now)
    scene.becomes(1, "failed")
    await scene.poll(target)
    assert scene.events() == [(2, "skipped"), (1, "failed")]
    assert not target.is_active(scene.clock.now)


@pytest.mark.asyncio
async def test_runs_that_have_not_ended_and_left_the_answer_are_fetched_one_by_one(scene: Scene) -> None:
    scene.run(1, "working")
    scene.run(2, "queued")
    target = await scene.watched()
    scene.runs(range(3, 13), "skipped")
    await scene.poll(target)
    scene.simulator.forget_requests()
    scene.becomes(1, "completed")
    await scene.poll(target)
    assert (scene.asked("/sync_runs/1"), scene.asked("/sync_runs/2")) == (1, 1)
    await scene.poll(target)
    assert (scene.asked("/sync_runs/1"), scene.asked("/sync_runs/2")) == (1, 2)
    assert scene.events()[10:] == [(1, "completed")]


@pytest.mark.asyncio
async def test_a_run_that_left_the_answer_is_still_fetched_after_a_restart(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.runs(range(2, 9), "skipped")
    await scene.poll(target)
    scene.becomes(1, "failed", error_code="TIMEOUT")
    await scene.poll(await scene.restarted(target))
    assert scene.events()[-1] == (1, "failed")
    assert changes(scene)[-1] == [("status", "working", "failed"), ("error_code", None, "TIMEOUT")]


@pytest.mark.asyncio
async def test_runs_walked_over_on_the_way_to_the_mark_are_followed(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.run(2, "working")
    scene.runs(range(3, 40), "skipped")
    await scene.poll(target, times=2)
    scene.becomes(2, "completed")
    await scene.poll(target)
    assert scene.events()[-1] == (2, "completed")


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_run_that_is_not_found_three_times_in_a_row_is_dropped_with_a_log_line_and_no_event(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working")
    scene.run(2)
    target = await scene.watched()
    scene.simulator.remove_run(1)
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        await scene.poll(target, times=5)
        assert target.followed.keys() == {1}, "three times in ten minutes at least: a gateway may say so for a while"
        await loop_clock.advance(600.001)  # a float's last digit may be off
        await scene.poll(target)
    assert target.followed == {}
    assert not target.is_active(scene.observer.api_clock.now())
    (line,) = lines(logs, DROPPED)
    assert (line["sync_run_id"], line["reason"]) == (1, "not found three times")
    scene.simulator.forget_requests()
    await scene.poll(target)
    await scene.poll(await scene.restarted(target))
    assert scene.asked("/sync_runs/1") == 0
    assert scene.events() == []


@pytest.mark.asyncio
async def test_a_run_that_is_found_again_after_two_misses_is_not_dropped(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.runs(range(2, 9), "skipped")
    await scene.poll(target)
    for _ in range(2):
        scene.simulator.fault(Status(404), path="/sync_runs/1", times=2)
        await scene.poll(target, times=3)
    scene.simulator.fault(Status(410), path="/sync_runs/1", times=2)
    await scene.poll(target, times=2)
    assert target.followed.keys() == {1}
    scene.becomes(1, "completed")
    await scene.poll(target)
    assert scene.events()[-1] == (1, "completed")


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_run_that_failed_to_be_fetched_is_not_one_that_is_gone_and_is_asked_for_less_and_less(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.runs(range(2, 9), "skipped")
    await scene.poll(target)
    fault = scene.simulator.fault(Status(500), path="/sync_runs/1")
    loop_clock = LoopClock(monkeypatch)
    with capture_logs() as logs:
        for _ in range(60):
            await scene.poll(target)
            await loop_clock.advance(10)
    assert fault.hits == 10, "at 0, 10, 20, 30, 40, 60, 100, 170, 300 and 560 s: it waits for 1, 2, 4 ... 256 s"
    (line,) = lines(logs, "a run can't be read; the others go on")
    assert (line["sync_run_id"], line["error"]) == (1, "HTTP 500 Internal Server Error")
    assert target.followed.keys() == {1}
    fault.clear()
    scene.becomes(1, "completed")
    await loop_clock.advance(360)
    await scene.poll(target)
    assert scene.events()[-1] == (1, "completed")
    assert target.unread_run() is None


@pytest.mark.asyncio
async def test_a_run_unchanged_for_a_day_no_longer_makes_its_sync_active(scene: Scene) -> None:
    scene.run(1, "working", updated_at=created(1))
    target = await scene.watched()
    scene.api_passes(hours=23, minutes=59)
    await scene.poll(target)
    assert target.is_active(scene.observer.api_clock.now())
    scene.api_passes(minutes=1)
    await scene.poll(target)
    assert not target.is_active(scene.observer.api_clock.now())
    scene.becomes(1, "working", error_message="slow", updated_at=created(2))
    await scene.poll(target)
    assert scene.events() == [(1, "error_changed")]
    assert target.is_active(scene.observer.api_clock.now())


@pytest.mark.asyncio
async def test_a_quiet_run_stays_quiet_after_a_restart(scene: Scene) -> None:
    scene.run(1, "working", updated_at=created(1))
    target = await scene.watched()
    scene.api_passes(hours=25)
    target = await scene.restarted(target)
    await scene.poll(target)
    assert not target.is_active(scene.observer.api_clock.now())


@pytest.mark.parametrize("newer", [0, 7])
@pytest.mark.asyncio
async def test_a_run_unchanged_for_seven_days_is_dropped_with_a_log_line_and_no_event(scene: Scene, newer: int) -> None:
    scene.run(1, "working", updated_at=created(1))
    scene.runs(range(2, 2 + newer))
    target = await scene.watched()
    scene.api_passes(days=6, hours=23)
    await scene.poll(target)
    assert target.followed.keys() == {1}
    scene.api_passes(hours=1)
    with capture_logs() as logs:
        await scene.poll(target, times=3)
    (line,) = lines(logs, DROPPED)
    assert (line["sync_id"], line["sync_run_id"], line["reason"]) == (52, 1, "unchanged for seven days")
    scene.simulator.forget_requests()
    await scene.poll(await scene.restarted(target))
    assert scene.asked("/sync_runs/1") == 0
    assert scene.events() == []


@pytest.mark.asyncio
async def test_a_dropped_run_that_moves_within_the_answer_is_news_and_followed_again(scene: Scene) -> None:
    scene.run(1, "queued", updated_at=created(1))
    target = await scene.watched()
    scene.api_passes(days=7)
    await scene.poll(target)
    assert target.followed == {}
    scene.becomes(1, "working", updated_at=created(1))
    await scene.poll(target)
    assert scene.events() == [(1, "working")]
    assert target.followed.keys() == {1}


@pytest.mark.asyncio
async def test_a_run_that_is_watched_by_its_id_and_newer_than_the_list_is_left_to_the_list(scene: Scene) -> None:
    """The list's answer was made just before the run was; the run by its ID is there already."""
    scene.run(1)
    target = await scene.watched()
    await scene.poll(target)

    def the_run_is_made_meanwhile(answer: Any) -> Any:
        scene.run(2, "queued")
        target.watch_run(2, {"team": "growth"})
        return answer

    scene.simulator.fault(Transform(the_run_is_made_meanwhile), path=LIST, times=1)
    await scene.poll(target)
    await scene.poll(target, times=2)
    assert scene.events() == [(2, "queued")]
    assert scene.bodies()[0]["data"]["labels"] == {"team": "growth"}


# --- previous_run ---


def previous_runs(scene: Scene) -> list[Any]:
    return [body["data"]["previous_run"] for body in scene.bodies()]


@pytest.mark.asyncio
async def test_the_previous_run_is_the_last_result_before_this_one(scene: Scene) -> None:
    scene.run(1, "failed")
    target = await scene.watched()
    scene.run(2, "completed")
    scene.run(3, "skipped")
    scene.run(4, "completed", canceled=True)
    scene.run(5, "cancelled")
    scene.run(6, "archived", completed_at=created(7))
    scene.run(7, "failed")
    await scene.poll(target)
    assert previous_runs(scene) == [{"id": 1, "status": "failed"}] + [{"id": 2, "status": "completed"}] * 5


@pytest.mark.asyncio
async def test_without_any_result_before_there_is_no_previous_run(scene: Scene) -> None:
    scene.run(1, "skipped")
    scene.run(2, "working")
    target = await scene.watched()
    scene.run(3, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None]


@pytest.mark.asyncio
async def test_a_failed_run_that_was_canceled_is_no_result(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, "failed", canceled=True)
    scene.run(2, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None, None]


@pytest.mark.asyncio
async def test_the_previous_run_is_found_across_pages(scene: Scene) -> None:
    target = await scene.watched()
    scene.run(1, "failed")
    scene.runs(range(2, 152), "skipped")
    scene.run(152, "completed")
    await scene.poll(target)
    assert previous_runs(scene)[-1] == {"id": 1, "status": "failed"}


@pytest.mark.asyncio
async def test_the_previous_run_is_found_in_the_database_when_the_answer_does_not_reach_it(scene: Scene) -> None:
    scene.run(1, "completed")
    scene.run(2, "failed")
    scene.runs(range(3, 60), "skipped")
    target = await scene.restarted(await scene.watched())
    scene.run(60, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [{"id": 2, "status": "failed"}]


@pytest.mark.asyncio
async def test_the_previous_run_of_a_change_is_older_than_the_run_and_not_merely_known_before(scene: Scene) -> None:
    scene.run(1, "completed")
    scene.run(2, "working")
    target = await scene.watched()
    scene.runs(range(3, 12), "failed")
    await scene.poll(target)
    scene.becomes(2, "completed")
    await scene.poll(target)
    assert scene.events()[-1] == (2, "completed")
    assert previous_runs(scene)[-1] == {"id": 1, "status": "completed"}


@pytest.mark.asyncio
async def test_the_previous_run_has_its_state_of_this_very_answer(scene: Scene) -> None:
    scene.run(1, "working")
    target = await scene.watched()
    scene.becomes(1, "failed")
    scene.run(2, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None, {"id": 1, "status": "failed"}]


@pytest.mark.asyncio
async def test_the_previous_run_is_of_the_same_sync(scene: Scene) -> None:
    scene.sync(53)
    scene.run(1, "failed", sync_id=53)
    await scene.watched(53)
    target = await scene.watched(52)
    scene.run(2, "completed")
    await scene.poll(target)
    assert previous_runs(scene) == [None]


# --- routes ---


@pytest.mark.asyncio
async def test_events_are_routed_when_they_are_recorded(scene: Scene) -> None:
    receivers = ["growth", "pipeline"]
    only_failed = [Route(events=("sync_run.failed",), receivers=("growth",))]
    scene.observer = scene.new_observer(routes=only_failed, receivers=receivers)
    target = await scene.watched()
    scene.run(1, "completed")
    scene.run(2, "failed")
    await scene.poll(target)
    scene.observer = scene.new_observer(receivers=receivers)
    scene.run(3, "completed")
    await scene.poll(target)
    deliveries = "SELECT run_id, receiver, state FROM deliveries JOIN events ON events.id = event_id ORDER BY 1, 2"
    assert scene.rows(deliveries) == [(2, "growth", "pending"), (3, "growth", "pending"), (3, "pipeline", "pending")]
    assert scene.events() == [(1, "completed"), (2, "failed"), (3, "completed")]
    assert sorted(scene.woken) == ["growth", "growth", "pipeline"]


@pytest.mark.asyncio
async def test_each_event_has_one_log_line_and_a_poll_has_none(scene: Scene) -> None:
    scene.run(1)
    with capture_logs() as logs:
        target = await scene.watched()
        await scene.poll(target, times=2)
        assert logs == []
        scene.runs([2, 3])
        await scene.poll(target)
    assert [line["sync_run_id"] for line in lines(logs, "sync run changed")] == [2, 3]


# --- odd answers ---


@pytest.mark.asyncio
async def test_runs_without_a_creation_time_are_told_apart_by_their_place(scene: Scene) -> None:
    scene.simulator.fault(
        Transform(lambda answer: {**answer, "data": [{**run, "created_at": None} for run in answer["data"]]}),
        path=LIST,
    )
    scene.runs([1, 2, 3])
    target = await scene.watched()
    scene.runs([4, 5])
    await scene.poll(target, times=2)
    assert scene.events() == [(4, "completed"), (5, "completed")]


@pytest.mark.asyncio
async def test_an_item_without_an_id_is_logged_once_and_hides_no_other(scene: Scene) -> None:
    target = await scene.watched()
    scene.simulator.fault(
        Transform(lambda answer: {**answer, "data": [{"status": "failed"}, *answer["data"]]}), path=LIST
    )
    with capture_logs() as logs:
        scene.run(1)
        await scene.poll(target)
        scene.run(2)
        await scene.poll(target)
    assert scene.events() == [(1, "completed"), (2, "completed")]
    assert len(lines(logs, "some runs in an answer have no readable ID and can't be followed")) == 1


@pytest.mark.asyncio
async def test_an_answer_that_is_no_list_changes_nothing(scene: Scene) -> None:
    scene.run(1, "working")
    target: SyncTarget = await scene.watched()
    scene.simulator.fault(Transform(lambda _: {"data": None}), path=LIST, times=1)
    with pytest.raises(Exception, match="no list"):
        await scene.poll(target)
    scene.becomes(1, "failed")
    await scene.poll(target)
    assert scene.events() == [(1, "failed")]


@pytest.mark.asyncio
async def test_a_run_from_the_future_does_not_stay_active_for_ever(scene: Scene) -> None:
    future = datetime(2199, 1, 1, tzinfo=UTC)
    scene.run(1, "working", created_at=future, updated_at=future)
    scene.simulator.date = START_OF_TIME
    target = await scene.watched()
    scene.api_passes(days=7)
    await scene.poll(target)
    assert target.followed == {}


@pytest.mark.asyncio
async def test_runs_that_are_deleted_while_pages_are_read_hide_none_of_the_others(scene: Scene) -> None:
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 302))
    deleted = iter(range(301, 296, -1))
    asked = itertools.count()

    def some_vanish(answer: Any) -> Any:
        if next(asked) == 1:  # after the first page of 100 was made: what follows moves up by five
            for number in deleted:
                scene.simulator.remove_run(number)
        return answer

    scene.simulator.fault(Transform(some_vanish), path=LIST)
    await scene.poll(target)
    assert {run_id for run_id, _ in scene.events()} >= set(range(2, 297))


@pytest.mark.asyncio
async def test_a_followed_run_that_can_not_be_fetched_does_not_keep_the_others_from_it(scene: Scene) -> None:
    scene.runs((1, 2), "working")
    scene.runs(range(3, 13), "skipped")
    target = await scene.watched()
    await scene.poll(target)
    scene.simulator.fault(Status(500), path="/sync_runs/1")
    scene.becomes(2, "failed")
    await scene.poll(target)
    assert scene.events() == [(2, "failed")]
    assert target.unread_run() == (1, target.followed[1])


@pytest.mark.asyncio
async def test_a_poll_that_is_under_way_while_its_sync_is_forgotten_records_nothing(scene: Scene) -> None:
    scene.run(1)
    roster, _ = await scene.roster(Watch(syncs="all"))
    await scene.listed(roster)
    target = roster.syncs[52]
    await scene.poll(target)
    scene.run(2)
    other = Sync(99, "Other", None, False, None)
    gone = Listing({99: other}, ended=True, flaw=None, pages=1, listed_at=scene.clock())
    await roster.apply(gone)
    await roster.apply(gone)
    await scene.poll(target)
    assert scene.events() == [(0, "sync.deleted")]
    assert scene.rows("SELECT watched, marked FROM syncs WHERE sync_id = 52") == [(0, 0)]
