"""Reading a list of runs back to the mark, whatever its pages do."""

import itertools
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.simulator import Transform
from tests.integration.watching.kit import Scene, created, lines
from tests.integration.watching.polls.kit import GAP, LIST


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
async def test_an_empty_page_behind_the_first_is_the_end_though_the_list_counts_what_came_before(scene: Scene) -> None:
    """Of a first page, that would be no answer."""
    scene.run(1)
    target = await scene.watched()
    scene.runs(range(2, 108))
    scene.simulator.remove_run(1)

    def only_a_total(answer: Any) -> Any:
        return {**answer, "pagination": {"total_records": answer["pagination"]["total_records"]}}

    scene.simulator.fault(Transform(only_a_total), path=LIST)
    await scene.poll(target)
    assert scene.simulator.requests[-1].query["page"] == "3"
    assert [run_id for run_id, _ in scene.events()] == list(range(2, 108))


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
