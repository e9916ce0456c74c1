"""Census' lifecycle webhooks of one workspace, once they are known to be signed: polls soon, and alerts as events."""

import asyncio
from collections.abc import Callable

from notifier.census.lifecycle import is_signed, notice_of
from notifier.model.event import CensusAlert
from notifier.store.watching import WatchingStore
from notifier.watching.record import Recorder
from notifier.watching.roster import Roster
from notifier.watching.target import SyncTarget


class Inbox:
    """`poll_soon` has a sync looked at, if it is watched; `loaded` is set once the roster knows what is watched."""

    def __init__(
        self,
        secret: str,
        app_url: str,
        roster: Roster,
        recorder: Recorder,
        store: WatchingStore,
        *,
        loaded: asyncio.Event,
        poll_soon: Callable[[int], None],
    ) -> None:
        self._secret = secret.encode()
        self._app_url = app_url
        self._roster = roster
        self._recorder = recorder
        self._store = store
        self._loaded = loaded
        self._poll_soon = poll_soon
        self._keeping = asyncio.Lock()  # one alert after the other: two that are the same must not pass together

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        """Whether Census sent this, as far as a signature without a time can say."""
        return is_signed(self._secret, body, signature)

    async def take(self, body: bytes) -> None:
        """Does what a signed webhook asks for; what it says may be anything. Raises StoreUnavailable."""
        notice = notice_of(body, self._app_url)
        if notice is None:
            return
        await self._loaded.wait()
        target = self._roster.syncs.get(notice.sync_id)
        if target is None:
            return
        self._poll_soon(notice.sync_id)
        if notice.alert is not None:
            await self._keep(target, notice.alert)

    async def _keep(self, target: SyncTarget, alert: CensusAlert) -> None:
        async with self._keeping:
            if not await self._store.has_told_alert(self._recorder.workspace, alert):
                await self._recorder.take_alert(target, alert)
