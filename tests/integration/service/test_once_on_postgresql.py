"""`run --once` at a PostgreSQL server: a round is work, so it waits for the work, and makes none beside another's."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notifier.model.errors import AlreadyRunning, DatabaseUnusable
from notifier.service.round import run_once
from notifier.simulator import SimulatorThread
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist
from tests.acceptance.workplace import Workplace
from tests.databases import postgres_template
from tests.integration.store.postgres.kit import change_at, rows_at
from tests.postgres.server import Postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgres_server: Postgres, database_from: Callable[[str], str]) -> str:
    return database_from(postgres_template(postgres_server))


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as simulated:
        simulated.add_sync(id=52)
        yield simulated


@pytest.fixture
def watchlist(tmp_path: Path, simulator: SimulatorThread, url: str) -> Watchlist:
    workplace = Workplace(tmp_path, simulator)
    path = tmp_path / "watchlist.yaml"
    path.write_text(path.read_text().replace("sqlite:///n.db", "${DATABASE}"))
    return load_watchlist(path, {**workplace.environment, "DATABASE": url})


@pytest.mark.asyncio
async def test_a_round_watches_and_leaves(watchlist: Watchlist, url: str) -> None:
    done = await run_once(watchlist)
    assert not done.unread
    assert rows_at(url, "SELECT marked FROM syncs") == [(True,)]
    assert rows_at(url, "SELECT FROM replicas") == []


@pytest.mark.asyncio
async def test_no_round_is_made_beside_a_worker(watchlist: Watchlist, url: str, simulator: SimulatorThread) -> None:
    change_at(url, "INSERT INTO replicas VALUES ('other', 'other', 1, '', '', '', 0, 0)")
    change_at(url, "INSERT INTO parts VALUES ('everything', 'other', 0)")
    round_ = asyncio.create_task(run_once(watchlist))
    while not round_.done():
        await asyncio.to_thread(change_at, url, "UPDATE replicas SET beats = beats + 1 WHERE id = 'other'")
        await asyncio.sleep(0.1)
    with pytest.raises(AlreadyRunning, match="other"):
        await round_
    assert simulator.request_count == 0
    assert rows_at(url, "SELECT id FROM replicas") == [("other",)]


@pytest.mark.asyncio
async def test_a_round_that_is_refused_takes_nothing_from_those_that_live(watchlist: Watchlist, url: str) -> None:
    change_at(url, "INSERT INTO replicas VALUES ('other', 'other', 1, '', '', 'another watchlist', 0, 0)")
    change_at(url, "INSERT INTO in_force VALUES (1, 'another watchlist', 0)")
    change_at(url, "INSERT INTO parts VALUES ('upkeep', NULL, 0)")
    round_ = asyncio.create_task(run_once(watchlist))
    while not round_.done():
        await asyncio.to_thread(change_at, url, "UPDATE replicas SET beats = beats + 1 WHERE id = 'other'")
        await asyncio.sleep(0.1)
    with pytest.raises(AlreadyRunning, match="other"):
        await round_
    assert rows_at(url, "SELECT watchlist FROM in_force") == [("another watchlist",)]
    assert rows_at(url, "SELECT name, since FROM parts") == [("upkeep", 0)]


@pytest.mark.asyncio
async def test_a_round_at_a_database_that_is_not_what_it_was_ends_with_the_reason(
    watchlist: Watchlist, url: str
) -> None:
    change_at(url, "DROP TABLE parts")
    async with asyncio.timeout(60):
        with pytest.raises(DatabaseUnusable, match="a table is missing"):
            await run_once(watchlist)
