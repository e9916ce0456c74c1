"""Databases for the integration tests: real files of SQLite, and for what the store promises a real PostgreSQL too."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

from notifier.store.migrate import migrate
from notifier.store.store import Store, open_store
from notifier.watchlist.database import DatabasePlace, ServerUrl
from tests.databases import empty, new_database

if TYPE_CHECKING:
    from tests.postgres.server import Postgres

HERE: Final = Path(__file__).parent
ON_BOTH: Final = tuple(HERE / name for name in ("store", "delivering", "watching"))
"""Whose tests of an open store run on both engines; but for those that look at SQLite's file, by asking for it."""
POSTGRESQL: Final = pytest.param("postgresql", marks=[pytest.mark.postgresql, pytest.mark.slow])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        wants_file = "database" in metafunc.fixturenames or metafunc.definition.get_closest_marker("sqlite")
        both = any(metafunc.definition.path.is_relative_to(place) for place in ON_BOTH) and not wants_file
        metafunc.parametrize("engine", ["sqlite", POSTGRESQL] if both else ["sqlite"], ids=str)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of the newest schema, empty, open nowhere: a file of SQLite."""
    path = tmp_path / "notifier.db"
    if not path.exists():
        new_database(path)
    return path


@pytest.fixture
def database_place(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> DatabasePlace:
    """The same, of the engine that the test runs on."""
    if engine == "sqlite":
        path = tmp_path / "notifier.db"
        if not path.exists():
            new_database(path)
        return path
    url: ServerUrl = request.getfixturevalue("database_of_process")
    empty(url)
    return url


@pytest.fixture(scope="session")
def database_of_process(postgres_server: "Postgres") -> Iterator[ServerUrl]:
    """One for all tests of a process, one after the other: to empty it costs a tenth of making another."""
    with postgres_server.database() as url:
        migrate(ServerUrl(url))
        yield ServerUrl(url)


@pytest_asyncio.fixture
async def store(database_place: DatabasePlace) -> AsyncIterator[Store]:
    """The same database, open as the worker has it."""
    async with open_store(database_place) as opened:
        await opened.seat.until(trusted=True)
        yield opened
