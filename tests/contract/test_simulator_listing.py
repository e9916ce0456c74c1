"""The list of syncs that tells of runs, or does not, and is as late as a test wishes; over a real socket."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from notifier.simulator import Announced, CensusSimulator, SimulatorThread

pytestmark = pytest.mark.asyncio


class Client:
    """A simulated workspace with two syncs that have run, and what its list shows."""

    def __init__(self, simulator: CensusSimulator, base_url: str, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.seconds = 1000.0
        self._base_url = base_url
        self._session = session

    async def listed(self, query: str = "") -> dict[int, dict[str, Any]]:
        async with self._session.get(f"{self._base_url}/syncs{query}") as response:
            assert response.status == 200
            return {sync["id"]: sync for sync in (await response.json())["data"]}

    async def item(self) -> dict[str, Any]:
        return (await self.listed())[52]

    def clock(self) -> float:
        return self.seconds


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    simulator = CensusSimulator()
    for sync_id in (52, 53):
        simulator.add_run(simulator.add_sync(id=sync_id)["id"], status="completed")
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    async with simulator.serve() as base_url, aiohttp.ClientSession(headers=headers) as session:
        yield Client(simulator, base_url, session)


async def test_no_item_changes_by_runs_unless_it_is_asked_for(client: Client) -> None:
    before = await client.listed()
    run = client.simulator.add_run(52)
    client.simulator.update_run(run["id"], status="failed")
    client.simulator.remove_run(run["id"])
    assert await client.listed() == before


async def test_an_item_tells_that_a_run_of_its_sync_starts_and_ends(client: Client) -> None:
    client.simulator.announce_runs()
    other = (await client.listed())[53]
    items = [await client.item()]
    run = client.simulator.add_run(52)["id"]
    items.append(await client.item())
    for status in ("working", "failed"):
        client.simulator.update_run(run, status=status)
        items.append(await client.item())
    client.simulator.add_run(52, status="skipped")
    items.append(await client.item())
    client.simulator.add_run(52, status="completed", canceled=True)
    items.append(await client.item())
    client.simulator.add_run(52, status="completed")
    items.append(await client.item())
    statuses = [item["status"] for item in items]
    assert statuses == ["ready", "working", "working", "failing", "failing", "failing", "up to date"]
    moments = [item["updated_at"] for item in items]
    assert moments == sorted(set(moments))
    assert items[-1] | {"status": "ready", "updated_at": items[0]["updated_at"]} == items[0]
    assert (await client.listed())[53] == other
    assert client.simulator.sync(52) == items[-1]


@pytest.mark.parametrize(("announced", "told"), [(Announced.STATUSES, False), (Announced.EVERYTHING, True)])
async def test_what_else_changes_of_a_run_is_told_only_where_everything_is(
    client: Client, announced: Announced, told: bool
) -> None:
    run = client.simulator.add_run(52, status="failed")["id"]
    client.simulator.announce_runs(announced)
    before = await client.item()
    client.simulator.update_run(run, error_detail="more of it")
    edited = await client.item()
    assert (edited != before) is told
    client.simulator.remove_run(run)
    assert (await client.item() != edited) is told


async def test_announcing_ends_when_the_test_says_so(client: Client) -> None:
    client.simulator.announce_runs()
    client.simulator.add_run(52, status="failed")
    before = await client.item()
    assert before["status"] == "failing"
    client.simulator.announce_runs(Announced.NOTHING)
    client.simulator.add_run(52, status="completed")
    assert await client.item() == before


async def test_a_sync_without_runs_of_an_end_of_their_own_is_ready(client: Client) -> None:
    client.simulator.announce_runs(Announced.EVERYTHING)
    sync = client.simulator.add_sync()["id"]
    run = client.simulator.add_run(sync)["id"]
    assert client.simulator.sync(sync)["status"] == "working"
    client.simulator.remove_run(run)
    assert client.simulator.sync(sync)["status"] == "ready"


async def test_a_late_list_is_all_of_it_what_it_was(client: Client) -> None:
    client.simulator.announce_runs()
    client.simulator.lag_list(30, client.clock)
    shown = [await client.listed()]
    for change in (
        lambda: client.simulator.add_run(52, status="failed"),
        lambda: client.simulator.add_sync(id=40, created_at="2020-01-01T00:00:00.000Z"),
        lambda: client.simulator.remove_sync(53),
        lambda: client.simulator.update_sync(40, label="Renamed"),
    ):
        client.seconds += 10
        change()
        shown.append({sync["id"]: sync for sync in client.simulator.syncs()})
    assert [list(state) for state in shown] == [[53, 52], [53, 52], [53, 52, 40], [52, 40], [52, 40]]
    assert len({str(state) for state in shown}) == 5
    for number, state in enumerate(shown):
        client.seconds = 1029.5 + 10 * number
        assert await client.listed() == shown[max(number - 1, 0)]
        client.seconds = 1030 + 10 * number
        listed = await client.listed()
        assert (listed, list(listed)) == (state, list(state))


async def test_pages_of_a_late_list_are_late_and_a_sync_by_itself_is_not(client: Client) -> None:
    client.simulator.lag_list(30, client.clock)
    client.simulator.update_sync(52, label="Renamed")
    assert (await client.listed("?page=2&per_page=1"))[52]["label"] == "Sync 52"
    assert client.simulator.sync(52)["label"] == "Renamed"
    assert client.simulator.runs(52)
    client.seconds += 30
    assert (await client.listed("?page=2&per_page=1"))[52]["label"] == "Renamed"


async def test_a_lag_can_be_changed_and_ended(client: Client) -> None:
    client.simulator.lag_list(30, client.clock)
    client.simulator.update_sync(52, label="Renamed")
    client.seconds += 10
    assert (await client.item())["label"] == "Sync 52"
    client.simulator.lag_list(10)
    assert (await client.item())["label"] == "Renamed"
    client.simulator.update_sync(52, label="Again")
    assert (await client.item())["label"] == "Renamed"
    client.simulator.lag_list(0)
    assert (await client.item())["label"] == "Again"


async def test_the_thread_has_both_settings() -> None:
    with SimulatorThread() as thread:
        thread.add_sync(id=52)
        thread.announce_runs()
        thread.add_run(52)
        assert thread.sync(52)["status"] == "working"
        thread.lag_list(3600)
        thread.update_sync(52, label="Renamed")
        headers = {"Authorization": f"Bearer {thread.api_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{thread.base_url}/syncs") as response,
        ):
            assert (await response.json())["data"][0]["label"] == "Sync 52"
