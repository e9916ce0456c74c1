"""The worker behind the server, as questions: the server knows none of its parts.

A reload puts another worker behind the same socket. Whoever answers a request asks `InForce`, and keeps nothing of it
for the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from notifier.model.identity import Id
from notifier.model.sync import Labels, Sync
from notifier.store.views.page import SyncKey
from notifier.watchlist.database import DatabasePlace
from notifier.watchlist.models import Watch, Watchlist, Workspace
from notifier.web.access import Door


class WebhookInbox(Protocol):
    """Takes the signed webhooks of one workspace."""

    def is_signed(self, body: bytes, signature: bytes | None) -> bool:
        """Whether Census sent it."""

    async def take(self, body: bytes) -> None:
        """Raises StoreUnavailable where it can't be kept now."""


@dataclass(frozen=True, slots=True)
class WatchedNow:
    """A watched sync, copied from the worker's memory."""

    workspace: str
    id: Id
    label: str | None
    labels: Labels
    paused: bool | None
    """None until a listing has told."""

    @property
    def key(self) -> SyncKey:
        return self.workspace, self.id


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What the server knows of one worker. All that may change is a function; each is called on the event loop."""

    database: DatabasePlace
    workspaces: Mapping[str, Workspace]
    watches: Sequence[Watch]
    receivers: tuple[str, ...]
    ailment: Callable[[], str | None]
    """Why the worker is not healthy; None while it is."""
    not_ready: Callable[[], str | None]
    """Which workspaces were not polled yet; None once all were."""
    not_in_force: Callable[[], str | None]
    """What is wrong with the newest watchlist: one line for each mistake, none with a secret."""
    listed: Callable[[], Iterable[tuple[str, Sync, bool]]]
    """The syncs of each workspace that it watches itself, as Census last listed them, and whether each is watched."""
    watched: Callable[[], Sequence[WatchedNow]]
    """Those of the same workspaces."""
    elsewhere: Callable[[], frozenset[str]]
    """The workspaces of the watchlist that it does not watch itself now: what is known of them is in the database."""
    inboxes: Mapping[str, WebhookInbox]
    """By workspace; only of those with a `lifecycle_webhook`."""
    exposition: Callable[[], Awaitable[tuple[bytes, str]]]
    """All metrics as Prometheus' text, and the text's content type."""
    token_refused: Callable[[], None]
    """Counts a wrong token."""


def not_polled(workspaces: Iterable[str]) -> str | None:
    """Why a worker is not ready that has not polled these workspaces; None for none."""
    names = ", ".join(workspaces)
    return f"not polled yet: {names}" if names else None


@dataclass(slots=True)
class InForce:
    """What the server goes by now."""

    worker: WorkerFacts
    door: Door
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a webhook is taken. A reload holds it from before the old worker ends until the new one is here, so
    that webhooks wait meanwhile."""


def door_of(watchlist: Watchlist) -> Door:
    """Who may come in, by the watchlist."""
    server = watchlist.server
    token = server.token.get_secret_value().encode() if server.token is not None else None
    return Door(token, server.address is not None and server.address.is_loopback, server.public_url)
