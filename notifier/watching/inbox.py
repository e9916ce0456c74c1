"""What Census' lifecycle webhooks of one workspace bring about: its sync is polled soon, an alert becomes an event."""

import asyncio
from collections.abc import Callable

from notifier.census.lifecycle import is_signed, notice_of
from notifier.model.errors import StoreUnavailable
from notifier.model.event import CensusAlert
from notifier.model.identity import Id
from notifier.model.notice import Notice
from notifier.store.watching import WatchingStore
from notifier.watching.record import Recorder
from notifier.watching.roster import Roster
from notifier.watching.target import SyncTarget


class Inbox:
    """Takes the webhooks of one workspace.

    `poll_soon` is called with the ID of a watched sync that a webhook is about. Until `loaded` is set, the roster does
    not know what is watched, and webhooks wait.
    """

    def __init__(
        self,
        secret: str,
        app_url: str,
        roster: Roster,
        recorder: Recorder,
        store: WatchingStore,
        *,
        loaded: asyncio.Event,
        poll_soon: Callable[[Id], None],
    ) -> None:
        self._secret = secret.encode()
        self._app_url = app_url
        self._roster = roster
        self._recorder = recorder
        self._store = store
        self._loaded = loaded
        self._poll_soon = poll_soon
        self._is_closed = False
        self._keeping = asyncio.Lock()  # one alert after the other: two that are the same must not pass together

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        """Whether Census sent this, as far as a signature without a time can say."""
        return is_signed(self._secret, body, signature)

    async def take(self, body: bytes) -> None:
        """Does what a signed webhook asks for; what it says may be anything. Raises StoreUnavailable."""
        notice = notice_of(body, self._app_url)
        if notice is not None:
            await self.accept(notice)

    async def close(self) -> None:
        """The workspace is watched here no more: nothing is taken from now on, also of what waits; returns when what is
        being kept is."""
        self._is_closed = True
        self._loaded.set()
        async with self._keeping:
            pass

    async def until_loaded(self) -> None:
        """Waits until it is known what is watched. Raises StoreUnavailable where that is another worker's to know."""
        await self._loaded.wait()
        self._refuse_if_closed()

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("another worker watches this workspace")

    async def accept(self, notice: Notice) -> None:
        """Does what a webhook asks for that says this. Raises StoreUnavailable."""
        await self.until_loaded()
        target = self._roster.syncs.get(notice.sync_id)
        if target is None:
            return
        self._poll_soon(notice.sync_id)
        if notice.alert is not None:
            await self._keep(target, notice.alert)

    async def _keep(self, target: SyncTarget, alert: CensusAlert) -> None:
        async with self._keeping:
            self._refuse_if_closed()
            if not await self._store.has_told_alert(self._recorder.workspace, alert):
                await self._recorder.take_alert(target, alert)
