"""What two keys of a workspace are found to show: asked in turn, within the limits of one workspace."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest
import pytest_asyncio

from notifier.census.client import CensusClient, Gate, client_of
from notifier.census.listing import Listing
from notifier.cli import both_keys, probe
from notifier.cli.both_keys import OtherKey
from notifier.cli.probe import Findings, examine
from notifier.model.api_version import ApiVersion
from notifier.model.errors import NotFound, Throttled, Unauthorized, Unreachable
from notifier.simulator import CensusSimulator, Delay, Status, Transform
from notifier.watchlist.models import Watchlist

SYNCS = (51, 52, 53, "glimmering_donkey")


@pytest_asyncio.fixture
async def simulator() -> CensusSimulator:
    simulator = CensusSimulator()
    for sync_id in SYNCS:
        simulator.add_sync(id=sync_id)
        simulator.add_run(sync_id, status="completed")
    return simulator


async def looked_at(simulator: CensusSimulator, watches: tuple[dict[str, Any], ...] = (), **settings: Any) -> Findings:
    async with simulator.serve() as url:
        given = {"token": simulator.token, "api_key": simulator.api_key, "base_url": url.replace("/v1", "/v2")}
        watchlist = Watchlist.model_validate(
            {
                "version": 1,
                "workspaces": {"main": given | settings},
                "watches": watches or ({"syncs": "all"},),
                "receivers": {"hook": {"type": "webhook", "url": "http://127.0.0.1:9/"}},
            }
        )
        return await examine(watchlist)


def the_other(found: Findings) -> OtherKey:
    (other,) = found.others["main"]
    return other


@pytest.mark.asyncio
async def test_two_keys_that_show_the_same_are_found_alike(simulator: CensusSimulator) -> None:
    found = await looked_at(simulator)
    other = the_other(found)
    assert other.version is ApiVersion.V1
    assert isinstance(other.listing, Listing)
    assert other.comparison is not None
    assert other.comparison.same_syncs
    newest = other.comparison.newest
    assert (newest.asked, newest.of, newest.differ, newest.unread) == (SYNCS, 4, {}, {})


@pytest.mark.asyncio
async def test_a_workspace_with_one_key_has_no_other_and_is_asked_for_its_list_alone(
    simulator: CensusSimulator,
) -> None:
    assert (await looked_at(simulator, api_key=None)).others == {"main": ()}
    assert [(request.version, request.path) for request in simulator.requests] == [("v2", "/syncs")]


@pytest.mark.asyncio
async def test_what_only_one_shows_is_named_in_order(simulator: CensusSimulator) -> None:
    for sync_id in ("glimmering_donkey", 52):
        simulator.update_sync(sync_id, group_id="other")
    comparison = the_other(await looked_at(simulator, group="mine")).comparison
    assert comparison is not None
    assert (comparison.only_in_use, comparison.only_other) == ((), (52, "glimmering_donkey"))
    assert not comparison.same_syncs
    assert comparison.newest.asked == (51, 53)


@pytest.mark.asyncio
async def test_a_sync_that_came_between_the_two_lists_is_no_difference(simulator: CensusSimulator) -> None:
    def without_the_last(value: dict[str, Any]) -> dict[str, Any]:
        total = value["pagination"]["total_records"] - 1
        return {**value, "data": value["data"][:-1], "pagination": {**value["pagination"], "total_records": total}}

    simulator.fault(Transform(without_the_last), path="/syncs", times=1)
    comparison = the_other(await looked_at(simulator)).comparison
    assert comparison is not None
    assert comparison.same_syncs
    assert len(comparison.newest.asked) == 4
    assert [request.version for request in simulator.requests if request.path == "/syncs"] == ["v2", "v1", "v2", "v1"]


@pytest.mark.asyncio
async def test_a_run_that_came_in_between_is_no_difference_and_one_that_stays_away_is(
    simulator: CensusSimulator,
) -> None:
    simulator.add_run(52, id=900)
    hides = Transform(lambda value: {**value, "data": [run for run in value["data"] if run["id"] != 900]})
    once = simulator.fault(hides, path="/syncs/52/sync_runs", times=1)
    newest = the_other(await looked_at(simulator)).comparison
    assert newest is not None
    assert (newest.newest.differ, once.hits) == ({}, 1)

    simulator.fault(Transform(_hidden_by_turns()), path="/syncs/52/sync_runs")
    again = the_other(await looked_at(simulator)).comparison
    assert again is not None
    mine, theirs = again.newest.differ[52]
    assert mine is not None
    assert theirs is not None
    assert (mine.id == 900, theirs.id == 900) == (False, True)
    assert again.same_syncs


def _hidden_by_turns() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Every first answer, that of the version in use, lacks the newest run."""
    answers = 0

    def change(value: dict[str, Any]) -> dict[str, Any]:
        nonlocal answers
        answers += 1
        return {**value, "data": value["data"][answers % 2 :]}

    return change


@pytest.mark.asyncio
async def test_the_newest_run_is_the_one_created_last_wherever_the_list_has_it(simulator: CensusSimulator) -> None:
    simulator.add_run(52, id=901)
    turned = cycle((True, False))
    simulator.fault(
        Transform(lambda value: {**value, "data": value["data"][::-1] if next(turned) else value["data"]}),
        path="/syncs/52/sync_runs",
    )
    comparison = the_other(await looked_at(simulator)).comparison
    assert comparison is not None
    assert comparison.newest.differ == {}


@pytest.mark.asyncio
async def test_fifty_syncs_are_asked_for_their_runs_at_most_and_watched_ones_first(
    simulator: CensusSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(both_keys, "MOST_COMPARED", 3)
    watches = ({"sync": "glimmering_donkey"}, {"sync": 53})
    comparison = the_other(await looked_at(simulator, watches)).comparison
    assert comparison is not None
    assert (comparison.newest.asked, comparison.newest.of) == ((53, "glimmering_donkey", 51), 4)
    asked = [request for request in simulator.requests if request.path.endswith("/sync_runs")]
    assert len(asked) == 6
    assert not any(request.path.startswith("/syncs/52/") for request in asked)


def test_fifty_is_the_bound() -> None:
    assert both_keys.MOST_COMPARED == 50


@pytest.mark.asyncio
async def test_both_keys_share_the_limits_of_their_workspace(
    simulator: CensusSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates: list[Gate] = []

    def noted(*arguments: Any, **options: Any) -> CensusClient:
        client = client_of(*arguments, **options)
        gates.append(client.gate)
        return client

    monkeypatch.setattr(probe, "client_of", noted)
    simulator.fault(Delay(0.05))
    await looked_at(simulator, max_concurrent_requests=1)
    assert simulator.max_open_requests == 1
    assert len(gates) == 2
    assert gates[0] is gates[1]


@pytest.mark.asyncio
async def test_a_retired_version_is_an_error_by_itself(simulator: CensusSimulator) -> None:
    simulator.retire_v1(datetime(2026, 1, 1, tzinfo=UTC))
    found = await looked_at(simulator)
    assert isinstance(found.listings["main"], Listing)
    other = the_other(found)
    assert isinstance(other.listing, NotFound)
    assert "2027-01-15" in str(other.listing)
    assert other.comparison is None


@pytest.mark.asyncio
async def test_the_other_key_is_looked_at_also_where_the_one_in_use_fails(simulator: CensusSimulator) -> None:
    found = await looked_at(simulator, token="wrong")
    assert isinstance(found.listings["main"], Unauthorized)
    other = the_other(found)
    assert isinstance(other.listing, Listing)
    assert other.comparison is None


@pytest.mark.asyncio
async def test_a_429_is_not_waited_out_and_asks_for_no_more(simulator: CensusSimulator) -> None:
    throttled = Status(429, headers={"Retry-After": "600"})
    handle = simulator.fault(throttled, path="/syncs/51/sync_runs")
    comparison = the_other(await looked_at(simulator, max_concurrent_requests=1)).comparison
    assert comparison is not None
    assert isinstance(comparison.newest.unread[51].error, Throttled)
    assert set(comparison.newest.unread) == {*SYNCS}
    assert handle.hits == 1


@pytest.mark.asyncio
async def test_runs_that_a_version_does_not_show_are_told_with_the_version(simulator: CensusSimulator) -> None:
    simulator.fault(Status(500), path="/syncs/53/*")
    comparison = the_other(await looked_at(simulator)).comparison
    assert comparison is not None
    assert set(comparison.newest.unread) == {53}
    unread = comparison.newest.unread[53]
    assert unread.version is ApiVersion.V2
    assert isinstance(unread.error, Unreachable)


@pytest.mark.asyncio
async def test_a_list_that_may_lack_some_is_compared_with_nothing(simulator: CensusSimulator) -> None:
    more = Transform(lambda value: {**value, "pagination": {**value["pagination"], "total_records": 9}})
    simulator.fault(more, path="/syncs", times=1)
    other = the_other(await looked_at(simulator))
    assert other.comparison is None
    assert isinstance(other.listing, Listing)
    assert not any(request.path.endswith("/sync_runs") for request in simulator.requests)
