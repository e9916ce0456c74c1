"""Signed webhooks of Census that come at the same moment."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from notifier.model.errors import StoreUnavailable
from notifier.model.identity import Id
from notifier.store.store import Store
from notifier.watching.inbox import Inbox
from notifier.watchlist.models import Watch
from tests.integration.watching.kit import Scene, a_scene, settled


@pytest_asyncio.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with a_scene(store) as made:
        yield made


def alert(number: int, word: str = "raised") -> bytes:
    return json.dumps({"event": f"sync.alert.{word}", "sync_id": 52, "alert_instance_id": number}).encode()


@pytest.mark.asyncio
async def test_equal_alerts_at_the_same_moment_are_one_event(scene: Scene) -> None:
    """Census sends one again that was not answered in time, while the first may still be under way."""
    scene.sync(52)
    roster, _ = await scene.roster(Watch(sync=52))
    await scene.listed(roster)
    loaded, hints = asyncio.Event(), list[Id]()
    loaded.set()
    inbox = Inbox("x", "https://x", roster, scene.recorder, scene.store.watching, loaded=loaded, poll_soon=hints.append)
    await asyncio.gather(*(inbox.take(body) for body in [alert(1), alert(2), alert(1, "resolved")] * 5))
    told = [(body["type"], body["data"]["alert"]["id"]) for body in scene.bodies()]
    assert sorted(told) == [("census_alert.raised", 1), ("census_alert.raised", 2), ("census_alert.resolved", 1)]
    assert hints == [52] * 15


@pytest.mark.asyncio
async def test_an_alert_that_waited_while_its_sync_was_forgotten_is_not_told(scene: Scene) -> None:
    """Nothing is told of a sync behind its last words."""
    scene.sync(52)
    roster, _ = await scene.roster(Watch(sync=52))
    await scene.listed(roster)
    loaded = asyncio.Event()
    loaded.set()
    inbox = Inbox(
        "x", "https://x", roster, scene.recorder, scene.store.watching, loaded=loaded, poll_soon=lambda _: None
    )
    target = roster.syncs[52]
    async with target.lock:
        waiting = asyncio.create_task(inbox.take(alert(1)))
        await settled()
        assert scene.bodies() == []
        target.gone = True
    await waiting
    assert scene.bodies() == []


@pytest.mark.asyncio
@pytest.mark.parametrize("is_known", [True, False], ids=["loaded", "not loaded yet"])
async def test_an_inbox_of_a_workspace_that_another_worker_watches_now_takes_nothing(
    scene: Scene, is_known: bool
) -> None:
    """Also of what waits in it: it would wait for ever, and all webhooks behind it."""
    scene.sync(52)
    roster, _ = await scene.roster(Watch(sync=52))
    await scene.listed(roster)
    loaded, hints = asyncio.Event(), list[Id]()
    if is_known:
        loaded.set()
    inbox = Inbox("x", "https://x", roster, scene.recorder, scene.store.watching, loaded=loaded, poll_soon=hints.append)
    waiting = asyncio.create_task(inbox.take(alert(1))) if not is_known else None
    await settled()
    await inbox.close()
    if waiting is not None:
        with pytest.raises(StoreUnavailable):
            await waiting
    with pytest.raises(StoreUnavailable):
        await inbox.take(alert(2))
    assert (scene.bodies(), hints) == ([], [])


@pytest.mark.asyncio
async def test_an_inbox_closes_when_the_alert_that_is_being_kept_is_and_keeps_none_behind_it(scene: Scene) -> None:
    scene.sync(52)
    roster, _ = await scene.roster(Watch(sync=52))
    await scene.listed(roster)
    loaded = asyncio.Event()
    loaded.set()
    inbox = Inbox(
        "x", "https://x", roster, scene.recorder, scene.store.watching, loaded=loaded, poll_soon=lambda _: None
    )
    async with roster.syncs[52].lock:
        first = asyncio.create_task(inbox.take(alert(1)))
        await settled()
        second = asyncio.create_task(inbox.take(alert(2)))
        closing = asyncio.create_task(inbox.close())
        await settled()
        assert not closing.done()
    await closing
    assert first.done()
    with pytest.raises(StoreUnavailable):
        await second
    assert [body["data"]["alert"]["id"] for body in scene.bodies()] == [1]
