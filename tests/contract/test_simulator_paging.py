"""Paging and the endpoints' behaviour, as the API documents them, over a real socket."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from notifier.simulator import CensusSimulator

KEY = {"Authorization": "Bearer simulated-key"}


class Client:
    """The simulator and a session that asks it."""

    def __init__(self, simulator: CensusSimulator, base_url: str, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.base_url = base_url
        self._session = session

    async def get(self, path: str, status: int = 200, method: str = "GET") -> Any:
        async with self._session.request(method, self.base_url + path) as response:
            assert response.status == status
            assert "Date" in response.headers
            return await response.json()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    simulator = CensusSimulator()
    simulator.add_sync(id=52)
    for _ in range(230):
        simulator.add_run(52)
    async with simulator.serve() as base_url, aiohttp.ClientSession(headers=KEY) as session:
        yield Client(simulator, base_url, session)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "first", "count", "pagination"),
    [
        ("", 230, 25, (25, None, 1, 2, 10)),
        ("?page=0", 230, 25, (25, None, 1, 2, 10)),
        ("?page=2&per_page=100", 130, 100, (100, 1, 2, 3, 3)),
        ("?page=3&per_page=100", 30, 30, (100, 2, 3, None, 3)),
        ("?page=3&per_page=1000", 30, 30, (100, 2, 3, None, 3)),
        ("?page=4&per_page=100", None, 0, (100, None, 4, None, 3)),
        ("?order=asc&per_page=1", 1, 1, (1, None, 1, 2, 230)),
        ("?order=asc&page=3&per_page=100", 201, 30, (100, 2, 3, None, 3)),
        ("?page=x&per_page=-3&order=up", 230, 25, (25, None, 1, 2, 10)),
    ],
)
async def test_a_page_holds_what_the_documentation_says(
    client: Client, query: str, first: int | None, count: int, pagination: tuple[int | None, ...]
) -> None:
    answer = await client.get(f"/syncs/52/sync_runs{query}")
    ids = [run["id"] - 100_000 for run in answer["data"]]
    step = 1 if "order=asc" in query else -1
    assert ids == ([] if first is None else list(range(first, first + step * count, step)))
    per_page, previous, page, following, last = pagination
    assert answer["pagination"] == {
        "total_records": 230,
        "per_page": per_page,
        "prev_page": previous,
        "page": page,
        "next_page": following,
        "last_page": last,
    }
    assert (answer["next"] is None) == (following is None)


@pytest.mark.asyncio
async def test_following_next_shows_every_run_once(client: Client) -> None:
    seen: list[int] = []
    path: str | None = "/syncs/52/sync_runs?per_page=40"
    while path is not None:
        answer = await client.get(path)
        seen += [run["id"] for run in answer["data"]]
        path = answer["next"] and answer["next"].removeprefix(client.base_url)
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 230


@pytest.mark.asyncio
async def test_a_run_is_listed_by_its_time_of_creation_not_by_its_id(client: Client) -> None:
    client.simulator.add_run(52, id=7, created_at="2021-10-20T02:51:07.546Z")
    client.simulator.add_run(52, id=8, created_at=datetime(2021, 10, 20, 2, 51, 7, tzinfo=UTC))
    client.simulator.add_run(52, id=3)
    assert [run["id"] for run in (await client.get("/syncs/52/sync_runs?order=asc"))["data"][:2]] == [8, 7]
    assert (await client.get("/syncs/52/sync_runs"))["data"][0]["id"] == 3


@pytest.mark.asyncio
async def test_a_change_shows_in_the_next_answer_and_a_removal_too(client: Client) -> None:
    path = "/sync_runs/100001"
    assert (await client.get(path))["data"]["status"] == "queued"
    client.simulator.update_run(100_001, status="working")
    assert (await client.get(path))["data"]["current_step"] == "Unloading data from warehouse"
    client.simulator.update_run(100_001, status="completed")
    run = (await client.get(path))["data"]
    assert "current_step" not in run
    assert run["completed_at"] == run["updated_at"] >= run["created_at"]
    assert run["records_processed"] == run["records_updated"] + run["records_failed"] > 0
    client.simulator.remove_run(100_001)
    assert (await client.get(path, status=404))["status"] == 404
    assert (await client.get("/syncs/52/sync_runs"))["pagination"]["total_records"] == 229
    client.simulator.remove_sync(52)
    await client.get("/syncs/52/sync_runs", status=404)
    await client.get("/sync_runs/100002", status=404)


@pytest.mark.asyncio
async def test_trigger_queues_a_run_and_cancel_ends_it(client: Client) -> None:
    run_id = (await client.get("/syncs/52/trigger", method="POST"))["data"]["sync_run_id"]
    assert (await client.get("/syncs/52/sync_runs"))["data"][0]["id"] == run_id
    assert (await client.get(f"/sync_runs/{run_id}/cancel", method="POST"))["status"] == "cancelled"
    run = client.simulator.run(run_id)
    assert (run["status"], run["canceled"], run["records_processed"]) == ("completed", True, None)


@pytest.mark.asyncio
async def test_records_are_filtered_and_paged_and_absent_without_tracking(client: Client) -> None:
    await client.get("/sync_runs/100001/records", status=404)
    records = [{"identifier": str(n), "status": "rejected" if n % 10 == 0 else "succeeded"} for n in range(60)]
    client.simulator.set_records(100_001, records)
    path = "/sync_runs/100001/records"
    assert [r["identifier"] for r in (await client.get(f"{path}?status=rejected&per_page=4&page=2"))["data"]] == [
        "40",
        "50",
    ]
    assert len((await client.get(f"{path}?primary_identifier=33"))["data"]) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/nothing", "/syncs/abc", "/syncs/-1", "/syncs/" + "9" * 5000, "/syncs/52/", "/"])
async def test_what_is_not_there_is_the_documented_404(client: Client, path: str) -> None:
    answer = await client.get(path, status=404)
    assert answer["status"] == 404
    assert isinstance(answer["message"], str)
