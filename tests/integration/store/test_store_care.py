"""The worker looks after its database also when it has nothing to write: one that takes no writes is noticed soon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.model.errors import StoreUnavailable
from notifier.service import loops
from notifier.store.store import Store
from tests.integration.store.builders import NOW, write_lock_held


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.store.sqlite.files.BUSY_TIMEOUT", 0.01)
    monkeypatch.setattr(loops, "STORE_CHECK", timedelta(milliseconds=5))


@asynccontextmanager
async def looked_after(store: Store) -> AsyncIterator[None]:
    looking = asyncio.create_task(loops.look_after_store(store, lambda: store.save_worker("1", NOW, NOW)))
    yield
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def until_works(store: Store, works: bool) -> None:
    async with asyncio.timeout(20):
        while store.works is not works:
            await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_an_idle_worker_notices_that_the_database_is_locked_and_that_it_is_free_again(
    store: Store, database: Path
) -> None:
    assert store.works
    async with looked_after(store):
        with write_lock_held(database):
            await until_works(store, False)
        await until_works(store, True)


@pytest.mark.asyncio
async def test_a_database_that_was_written_just_now_is_not_tried(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    async def note() -> None:
        tried.append(1)

    monkeypatch.setattr(Store, "idle", timedelta(0))
    looking = asyncio.create_task(loops.look_after_store(store, note))
    for _ in range(5):
        await asyncio.sleep(loops.STORE_CHECK.total_seconds())
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert tried == []


@pytest.mark.asyncio
async def test_who_is_about_to_end_waits_for_no_lock(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.store.sqlite.database.SHORT_PATIENCE", 0.0)
    await store.hurry()
    with write_lock_held(database), pytest.raises(StoreUnavailable):
        await store.save_worker("1", NOW, NOW)
