"""Databases for the integration tests: real SQLite files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from notifier.store.store import Store, open_store
from tests.databases import new_database


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of the newest schema, empty, open nowhere."""
    path = tmp_path / "notifier.db"
    new_database(path)
    return path


@pytest_asyncio.fixture
async def store(database: Path) -> AsyncIterator[Store]:
    """The same database, open as the worker has it."""
    async with open_store(database) as opened:
        yield opened
