"""Whole workers at one PostgreSQL server share the work: what is told is told once, whoever comes, goes or reloads."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from notifier.service import run as service
from notifier.service import shift
from notifier.service.reload import Reloads
from notifier.simulator import SimulatorThread
from notifier.watchlist.reading.source import WatchlistFile
from tests.databases import postgres_template
from tests.integration.store.postgres.kit import change_at, rows_at, until
from tests.postgres.server import Postgres

pytestmark = pytest.mark.slow
ENDS = "a workspace is read by a version of the Census API that Census ends"


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as simulated:
        simulated.add_sync(id=52)
        yield simulated


@pytest.fixture
def url(postgres_server: Postgres, database_from: Callable[[str], str]) -> str:
    return database_from(postgres_template(postgres_server))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "TIDY_EVERY", shift.TIDY_EVERY / 50)


class Crew:
    """The workers, each with a watchlist of its own."""

    def __init__(self, directory: Path, simulator: SimulatorThread, url: str) -> None:
        self.directory, self.simulator, self.url = directory, simulator, url
        self.environment = {"API_KEY": simulator.api_key, "DATABASE": url}

    def write(self, name: str, workspaces: str, receivers: str) -> None:
        """`workspaces` and `receivers`: a letter each."""
        settings = f"api_key: '${{API_KEY}}', base_url: '{self.simulator.base_url}', poll_interval: 1s"
        lines = [
            "version: 1",
            "database: ${DATABASE}",
            "delivery: {first_retry: 200ms, longest_retry: 1s}",
            "checks: {failing: false, rejected_records: false, unreachable: false, reminders: false}",
            "workspaces:",
            *(f"  {each}: {{{settings}, max_requests_per_second: 100}}" for each in workspaces),
            "watches:",
            *(f"  - {{syncs: all, workspace: {each}}}" for each in workspaces),
            "receivers:",
            *(f"  {each}: {{type: webhook, url: '{self.simulator.sink_url}/{each}'}}" for each in receivers),
        ]
        (self.directory / f"{name}.yaml").write_text("\n".join(lines) + "\n")

    @asynccontextmanager
    async def worker(self, name: str) -> AsyncIterator[Reloads]:
        source = WatchlistFile(self.directory / f"{name}.yaml", self.environment)
        watchlist = source.load()
        stop, reloads = asyncio.Event(), Reloads(source, watchlist, every=60)
        over = asyncio.create_task(service.serve(watchlist, stop, reloads))
        try:
            yield reloads
        finally:
            stop.set()
            await over

    def shares(self) -> list[int]:
        """How many parts each worker that is there has, and last those that nobody has."""
        owners = [owner for (owner,) in rows_at(self.url, "SELECT owner FROM parts")]
        workers = [worker for (worker,) in rows_at(self.url, "SELECT id FROM replicas")]
        counts = Counter(owners)
        return [*sorted(counts[worker] for worker in workers), counts[None]]

    async def shared(self, *counts: int) -> None:
        await until(lambda: self.shares() == [*counts, 0])

    async def watching(self, workspaces: str) -> None:
        known = "SELECT workspace FROM syncs WHERE marked ORDER BY workspace"
        await until(lambda: [name for (name,) in rows_at(self.url, known)] == sorted(workspaces))

    async def tells(self, workspaces: int, receivers: str) -> None:
        """A run fails; each receiver is told once for each workspace, and nothing else is ever told."""
        known = len(self.simulator.sink.accepted)
        self.simulator.add_run(52, status="failed")
        most = workspaces * len(receivers)
        await until(lambda: len(self.simulator.sink.accepted) >= known + most)
        await until(lambda: not rows_at(self.url, "SELECT FROM deliveries WHERE state = 'pending'"))
        told = [each.path for each in self.simulator.sink.accepted[known:]]
        assert Counter(told) == {f"/{receiver}": workspaces for receiver in receivers}


@pytest.fixture
def crew(tmp_path: Path, simulator: SimulatorThread, url: str) -> Crew:
    return Crew(tmp_path, simulator, url)


@pytest.mark.asyncio
async def test_the_work_is_shared_with_who_comes_and_taken_over_from_who_goes(crew: Crew) -> None:
    for name in "abc":
        crew.write(name, "mn", "xyz")
    async with crew.worker("a"):
        await crew.watching("mn")
        await crew.shared(6)
        await crew.tells(2, "xyz")
        async with crew.worker("b"):
            await crew.shared(3, 3)
            await crew.tells(2, "xyz")
            async with crew.worker("c"):
                await crew.shared(2, 2, 2)
                await crew.tells(2, "xyz")
            await crew.shared(3, 3)
            await crew.tells(2, "xyz")
        await crew.shared(6)
        await crew.tells(2, "xyz")


@pytest.mark.asyncio
async def test_that_an_api_ends_is_said_by_who_takes_the_workspace_and_not_by_who_is_only_there(crew: Crew) -> None:
    for name in "ab":
        crew.write(name, "m", "xyz")
    with capture_logs() as logs:
        async with crew.worker("a"):
            await crew.watching("m")
            async with crew.worker("b"):
                await crew.shared(2, 3)
    began = [line for line in logs if line["event"] == "parts of the work are this worker's"]
    taken = [line for line in began if "workspace:m" in line["parts"]]
    assert [line["workspace"] for line in logs if line["event"] == ENDS] == ["m"] * len(taken)
    assert len([line for line in logs if line["event"] == "notifier started"]) == 2


def names(crew: Crew) -> str:
    return "".join(name for (name,) in rows_at(crew.url, "SELECT name FROM workspaces ORDER BY name"))


def states(crew: Crew, receiver: str) -> set[str]:
    return {state for (state,) in rows_at(crew.url, "SELECT state FROM deliveries WHERE receiver = %s", receiver)}


@pytest.mark.asyncio
async def test_nothing_is_forgotten_while_watchlists_differ_and_all_once_they_agree(crew: Crew) -> None:
    for name in "ab":
        crew.write(name, "mn", "xy")
    async with crew.worker("a") as a, crew.worker("b") as b:
        await crew.watching("mn")
        await crew.shared(2, 3)
        crew.simulator.sink.answer(500, path="/y")
        crew.simulator.add_run(52, status="failed")
        await until(lambda: len(crew.simulator.sink.accepted) == 2)
        await until(lambda: rows_at(crew.url, "SELECT FROM deliveries WHERE receiver = 'y' AND attempts > 1"))
        crew.write("a", "mo", "xz")
        a.ask()
        # It has all that there is by its watchlist; nobody has the rest, which is kept.
        await until(lambda: rows_at(crew.url, "SELECT FROM syncs WHERE workspace = 'o' AND marked"))
        wanted = "SELECT count(*), count(DISTINCT owner), count(owner) FROM parts WHERE name <> ALL(%s)"
        await until(lambda: rows_at(crew.url, wanted, ["workspace:n", "webhook:y"]) == [(5, 1, 5)])
        crew.simulator.add_run(52, status="failed")
        await until(lambda: len(crew.simulator.sink.accepted) == 6)
        assert names(crew) == "mno"
        assert states(crew, "y") == {"pending"}
        crew.write("b", "mo", "xz")
        b.ask()
        await until(lambda: names(crew) == "mo")
        await until(lambda: states(crew, "y") == {"dead"})
        await until(lambda: len(rows_at(crew.url, "SELECT FROM parts")) == 5)
        await crew.tells(2, "xz")


@pytest.mark.asyncio
async def test_who_was_expelled_takes_its_share_again_and_nothing_is_told_twice(crew: Crew) -> None:
    for name in "ab":
        crew.write(name, "mn", "xy")
    async with crew.worker("a"), crew.worker("b"):
        await crew.watching("mn")
        await crew.shared(2, 3)
        await crew.tells(2, "xy")
        before = [worker for (worker,) in rows_at(crew.url, "SELECT id FROM replicas ORDER BY id")]
        change_at(crew.url, "DELETE FROM replicas WHERE id = %s", before[0])
        await until(lambda: len(rows_at(crew.url, "SELECT FROM replicas WHERE id <> %s", before[0])) == 2)
        await crew.shared(2, 3)
        await crew.tells(2, "xy")


@pytest.mark.asyncio
async def test_the_work_goes_on_when_the_only_one_with_the_watchlist_in_force_is_gone(crew: Crew) -> None:
    crew.write("a", "m", "x")
    crew.write("b", "n", "x")
    async with crew.worker("a"):
        await crew.watching("m")
        async with crew.worker("b"):
            await crew.watching("mn")
        await until(lambda: not rows_at(crew.url, "SELECT FROM parts WHERE owner IS NULL AND name <> 'workspace:n'"))
        await crew.tells(1, "x")
