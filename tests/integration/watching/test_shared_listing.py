"""A workspace's list of syncs is there for workers that do not watch it, and is written no more than it must be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.model.errors import DatabaseUnusable, StoreUnavailable
from notifier.model.identity import Id
from notifier.model.sync import Sync
from notifier.store.sql.listing import SyncAsListed, packed, unpacked
from notifier.store.store import Store
from notifier.store.views.listings import read_listings
from notifier.watching.shared_listing import EVERY, SOON, SharedListing
from notifier.watchlist.database import ServerUrl
from notifier.watchlist.models import Watch
from tests.integration.watching.kit import LoopClock, Scene, until

SAID = "the list of syncs could not be kept by a fault of the notifier; please report it"


def a_sync(sync_id: Id = 52, label: str | None = "Leads", **given: Any) -> Sync:
    return Sync(**{"id": sync_id, "label": label, "status": None, "paused": False, "created_at": None, **given})


class Kept:
    """Stands for the store: what was written, or what becomes of a write."""

    def __init__(self) -> None:
        self.is_shared = True
        self.bodies: list[bytes] = []
        self.fails: Exception | None = None

    async def save_listing(self, workspace: str, listed_at: object, body: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        self.bodies.append(body)


class Counted(SharedListing):
    """Says how many looks are over."""

    looks = 0

    async def _look(self) -> bool:
        has_list = await super()._look()
        self.looks += has_list
        return has_list


class Desk:
    """A list that a test may change, and who shares it."""

    def __init__(self) -> None:
        self.listed: list[tuple[Sync, bool]] | None = None
        self.kept = Kept()
        store: Any = self.kept
        self.shared = Counted("main", self.read, lambda: self.listed is not None, store)
        self.reads = 0

    def read(self) -> list[tuple[Sync, bool]]:
        self.reads += 1
        assert self.listed is not None
        return self.listed

    async def looked(self, times: int) -> None:
        """Waits until so many looks at a list are over."""
        await until(lambda: self.shared.looks == times)

    @asynccontextmanager
    async def running(self) -> "AsyncIterator[asyncio.Task[None]]":
        task = asyncio.create_task(self.shared.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_list_is_written_when_it_differs_and_once_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, desk = LoopClock(monkeypatch), Desk()
    async with desk.running():
        await clock.advance(10 * SOON)
        assert desk.reads == 0
        desk.listed = [(a_sync(), True)]
        await clock.advance(SOON)
        await desk.looked(1)  # at once, when there is one
        assert len(desk.kept.bodies) == 1
        for n in range(5):
            desk.listed = [(a_sync(), True), (a_sync(100 + n), False)]
            await clock.advance(EVERY / 10)
        assert desk.reads == 1
        await clock.advance(EVERY / 2)
        await desk.looked(2)
        assert len(desk.kept.bodies) == 2
        for looks in range(3, 8):
            await clock.advance(EVERY)
            await desk.looked(looks)
    first, second = (unpacked("main", body) for body in desk.kept.bodies)
    assert [each.id for each in first] == [52]
    assert [each.id for each in second] == [52, 104]


@pytest.mark.asyncio
async def test_only_a_list_that_differs_is_written() -> None:
    desk = Desk()
    desk.listed = [(a_sync(), True)]
    for _ in range(3):
        await desk.shared._look()
    assert len(desk.kept.bodies) == 1
    desk.listed = [(a_sync(), False)]  # the same syncs, but none is watched
    await desk.shared._look()
    assert len(desk.kept.bodies) == 2
    store: Any = desk.kept
    await SharedListing("main", desk.read, lambda: True, store)._look()  # who takes the workspace over
    assert len(desk.kept.bodies) == 3


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_what_can_not_be_written_is_written_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, desk = LoopClock(monkeypatch), Desk()
    desk.listed = []
    with capture_logs() as logs:
        async with desk.running():
            for looks, error in enumerate((StoreUnavailable("away"), RuntimeError("ours"), None), start=1):
                desk.kept.fails = error
                await clock.advance(EVERY)
                await desk.looked(looks)
    assert unpacked("main", desk.kept.bodies[0]) == []  # a workspace without syncs is a list as well
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [SAID]


@pytest.mark.asyncio
async def test_a_database_that_is_unusable_ends_it() -> None:
    desk = Desk()
    desk.listed, desk.kept.fails = [], DatabaseUnusable("gone")
    with pytest.raises(DatabaseUnusable):
        await desk.shared.run()


@pytest.mark.standing_clock
@pytest.mark.asyncio
async def test_a_worker_that_is_alone_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, desk = LoopClock(monkeypatch), Desk()
    desk.listed, desk.kept.is_shared = [(a_sync(), True)], False
    async with desk.running() as task:
        await clock.advance(10 * EVERY)
        assert not task.done()
    assert desk.reads == 0


def test_ten_thousand_syncs_are_a_few_hundred_kilobytes_and_come_back_as_they_were() -> None:
    syncs = [(a_sync(n, f"Sync {n} ⚡\x00", status="Ready", paused=n % 2 == 0), n % 3 == 0) for n in range(1, 10_001)]
    body = packed(syncs)
    assert len(body) < 400_000
    assert body == packed(syncs)
    assert unpacked("main", body) == [
        SyncAsListed("main", sync.id, sync.label, sync.status, sync.paused, watched) for sync, watched in syncs
    ]


# --- with a store, on both engines ---


@pytest.mark.asyncio
async def test_what_the_watcher_lists_is_there_for_others_and_is_forgotten_with_the_workspace(
    store: Store, scene: Scene
) -> None:
    scene.sync(53)
    watcher = await scene.watcher(Watch(sync=52))
    assert not watcher.has_listed
    assert await watcher.run_once()
    assert watcher.has_listed
    assert store.watching.is_shared == isinstance(store.place, ServerUrl)
    shared = SharedListing(watcher.name, watcher.listed, lambda: watcher.has_listed, store.watching)
    if store.watching.is_shared:
        assert await shared._look()
        listing = read_listings(store.place, [watcher.name, "another"])
        assert {name: [(each.id, each.watched) for each in syncs] for name, syncs in listing.items()} == {
            watcher.name: [(52, True), (53, False)]
        }
        assert read_listings(store.place, ["another"]) == {}
    await store.watching.forget_workspace(watcher.name)  # at a file, which has no such table, too
    if store.watching.is_shared:
        assert read_listings(store.place, [watcher.name]) == {}
