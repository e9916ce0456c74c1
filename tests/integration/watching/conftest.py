"""What the tests of watching begin with, unless they say otherwise."""

from collections.abc import AsyncIterator

import pytest_asyncio

from notifier.store.store import Store
from tests.integration.watching.kit import Scene, a_scene


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    """A workspace with one sync."""
    async with a_scene(store) as made:
        made.sync(52, label="Leads")
        yield made
