"""Census' lifecycle webhooks that reach another replica than the one that watches their workspace; on PostgreSQL.

What one says is kept in the database, from where the workspace's replica takes it to its own inbox. A flood of the same
webhook is one row, whose presence is a read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from notifier.census.lifecycle import is_signed, notice_of
from notifier.model.errors import DatabaseUnusable, StoreError, StoreUnavailable
from notifier.model.notice import Notice
from notifier.store.watching import MOST_HINTS, WatchingStore
from notifier.watching.inbox import Inbox
from notifier.watchlist.models import Workspace

log = structlog.get_logger(__name__)

AGAIN: Final = 0.5  # seconds until what could not be taken up is tried again


class HintBox:
    """Takes the webhooks of a workspace that another replica watches."""

    def __init__(self, secret: str, workspace: str, app_url: str, store: WatchingStore) -> None:
        self._secret = secret.encode()
        self._workspace = workspace
        self._app_url = app_url
        self._store = store

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        """Whether Census sent this, as far as a signature without a time can say."""
        return is_signed(self._secret, body, signature)

    async def take(self, body: bytes) -> None:
        """Keeps what a signed webhook asks for; what it says may be anything. Raises StoreUnavailable."""
        notice = notice_of(body, self._app_url)
        if notice is None:
            return
        try:
            if not await self._store.has_hint(self._workspace, notice):
                await self._store.add_hint(self._workspace, notice)
        except DatabaseUnusable as error:  # for which the worker ends; Census sends it again, to another
            raise StoreUnavailable(str(error)) from error


def hint_boxes(workspaces: Mapping[str, Workspace], store: WatchingStore) -> dict[str, HintBox]:
    """By workspace that has webhooks, who takes them while another replica watches it."""
    hooks = {name: (each.app_url, each.lifecycle_webhook) for name, each in workspaces.items()}
    return {
        name: HintBox(hook.secret.get_secret_value(), name, app_url, store)
        for name, (app_url, hook) in hooks.items()
        if hook is not None
    }


class Pickup:
    """Takes what the other replicas kept of one workspace's webhooks to its inbox."""

    def __init__(self, workspace: str, inbox: Inbox, store: WatchingStore) -> None:
        self._workspace = workspace
        self._inbox = inbox
        self._store = store
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Says that there may be more."""
        self._woken.set()

    async def run(self) -> None:
        """Takes up what waits, once it is known what is watched; then at each `wake`. Raises DatabaseUnusable."""
        await self._inbox.until_loaded()
        while True:
            self._woken.clear()  # before the look, so that who wakes during it brings another
            try:
                await self.take()
                patience = None
            except StoreUnavailable:
                patience = AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._woken.wait()

    async def take(self) -> None:
        """All that waits. Raises StoreError; what is left then is still there the next time."""
        while True:
            waiting = await self._store.hints(self._workspace)
            await self._forget_unreadable([number for number, notice in waiting if notice is None])
            known = [(number, notice) for number, notice in waiting if notice is not None]
            await self._take_polls([each for each in known if each[1].alert is None])
            for number, notice in known:
                if notice.alert is not None:
                    await self._take_alert(number, notice)
            if len(waiting) < MOST_HINTS:
                return

    async def _forget_unreadable(self, numbers: Sequence[int]) -> None:
        await self._store.forget_hints(numbers)
        for number in numbers:
            log.warning(
                "a webhook that another replica took can't be read and is dropped",
                workspace=self._workspace,
                number=number,
            )

    async def _take_polls(self, waiting: Sequence[tuple[int, Notice]]) -> None:
        """Forgotten before they are done: the row may stand for a webhook that comes until then, but for none that
        comes after the poll was asked for. What ends this in between leaves no more undone than what ends it before
        the poll; polling finds it at its time."""
        await self._store.forget_hints(number for number, _ in waiting)
        for _, notice in waiting:
            await self._inbox.accept(notice)

    async def _take_alert(self, number: int, notice: Notice) -> None:
        """Forgotten when it is kept: one that comes again is told once."""
        try:
            await self._inbox.accept(notice)
        except StoreError:
            raise
        except Exception:  # the others must not wait for ever behind it
            log.exception(
                "an alert that another replica took can't be told by a fault of the notifier; please report it",
                workspace=self._workspace,
            )
        await self._store.forget_hints([number])
