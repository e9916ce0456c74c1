"""Answers that are not as the API's documentation says."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.census.listing import Listing
from notifier.model.sync import Sync
from notifier.simulator import Status, Transform
from notifier.watching.target import SyncTarget
from notifier.watchlist.models import Watch
from tests.integration.watching.kit import START_OF_TIME, Scene, lines
from tests.integration.watching.polls.kit import LIST


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
    gone = Listing(
        {99: other}, ended=True, flaw=None, pages=1, listed_at=scene.clock(), source=scene.client.version.source
    )
    await roster.apply(gone)
    await roster.apply(gone)
    await scene.poll(target)
    assert scene.events() == [(0, "sync.deleted")]
    assert scene.rows("SELECT watched, marked FROM syncs WHERE sync_id = '52'") == [(0, 0)]
