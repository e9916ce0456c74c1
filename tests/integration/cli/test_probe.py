"""What commands ask of Census: all workspaces at once, one's failure by itself."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from notifier.census.listing import Listing
from notifier.cli.probe import read_listings
from notifier.model.errors import ProxyUnusable, Throttled, Unauthorized
from notifier.simulator import CensusSimulator, Delay, Status
from notifier.watchlist.models import Watchlist


def a_watchlist(workspaces: Mapping[str, Mapping[str, Any]]) -> Watchlist:
    return Watchlist.model_validate(
        {
            "version": 1,
            "workspaces": {name: {"api_key": "simulated-key", **settings} for name, settings in workspaces.items()},
            "watches": ({"syncs": "all", "workspace": next(iter(workspaces))},),
            "receivers": {"hook": {"type": "webhook", "url": "http://127.0.0.1:9/"}},
        }
    )


@pytest.mark.asyncio
async def test_each_workspace_gets_its_own_listing_or_its_own_error_in_the_order_of_the_watchlist() -> None:
    simulator = CensusSimulator()
    for sync_id in range(1, 151):
        simulator.add_sync(id=sync_id)
    async with simulator.serve() as url:
        listings = await read_listings(
            a_watchlist({"wrong": {"base_url": url, "api_key": "another-key"}, "right": {"base_url": url}})
        )
    assert [*listings] == ["wrong", "right"]
    assert isinstance(listings["wrong"], Unauthorized)
    right = listings["right"]
    assert isinstance(right, Listing)
    assert (len(right.syncs), right.pages, right.complete) == (150, 2, True)


@pytest.mark.asyncio
async def test_all_workspaces_are_asked_at_the_same_time() -> None:
    simulator = CensusSimulator()
    handle = simulator.fault(Delay(0.5))
    async with simulator.serve() as url:
        await read_listings(a_watchlist({name: {"base_url": url} for name in ("a", "b", "c")}))
    assert handle.hits == 3
    assert simulator.max_open_requests == 3


@pytest.mark.asyncio
async def test_a_429_is_told_and_not_waited_out() -> None:
    simulator = CensusSimulator()
    simulator.fault(Status(429, headers={"Retry-After": "600"}))
    async with simulator.serve() as url, asyncio.timeout(60):
        listings = await read_listings(a_watchlist({"main": {"base_url": url}}))
    assert isinstance(listings["main"], Throttled)


@pytest.mark.asyncio
async def test_a_proxy_that_is_none_is_one_error_before_anyone_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy")
    monkeypatch.setenv("NO_PROXY", "")
    watchlist = a_watchlist({name: {"base_url": "http://census.example:1/api"} for name in ("a", "b")})
    with pytest.raises(ProxyUnusable):
        await read_listings(watchlist)
