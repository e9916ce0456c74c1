"""What a receiver is to the rest of the notifier, and what the file of each kind has to give."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, Protocol, TypeAlias, TypeVar

import aiohttp

from notifier.model.delivery import Message, Outcome, Verdict
from notifier.receivers.pace import Paces, Turnstile
from notifier.watchlist.receivers import ReceiverSettings


class Receiver(Protocol):
    """Where messages go. `send` makes one attempt and never raises for what the other side does."""

    name: str
    """Its name in the watchlist."""
    concurrency: int
    """How many attempts may be under way at once."""
    can_be_asked: bool
    """Whether it can look up a message that it may have sent before, and so wants to know when that attempt began."""
    most_at_once: int
    """How many waiting events of one story it takes together."""

    @property
    def turnstile(self) -> Turnstile:
        """What each message has to pass; shared by all receivers of one destination."""
        ...

    def gate(self, message: Message) -> Turnstile | None:
        """What this message has to pass besides, if anything."""
        ...

    async def send(self, message: Message) -> Outcome:
        """One attempt; the outcome says what happens next."""
        ...


OpenSession: TypeAlias = Callable[[timedelta, ssl.SSLContext], aiohttp.ClientSession]
"""Opens a session as one kind of receiver needs it. The time is of one request."""


@dataclass(frozen=True, slots=True, repr=False)
class Shared:
    """What the receivers of one watchlist share."""

    session: Callable[[OpenSession], aiohttp.ClientSession]
    """The session that this opens, one for all who ask for it."""
    paces: Paces = field(default_factory=Paces)
    """When each destination of Slack's may be sent to next."""
    public_url: str | None = None
    """Where people find the status page, for links."""
    heard: Callable[[bytes], None] | None = None
    """Is given the bodies of webhooks' answers; the worker has no use for them."""


Settings = TypeVar("Settings", bound=ReceiverSettings)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Settings]):
    """One kind of receiver: what its file gives."""

    settings: type[Settings]
    """What the watchlist says of one."""
    build: Callable[[str, Settings, Shared, str | None], Receiver]
    """Makes the sender for a name and its settings; at the end, what it wanted remembered before the last restart
    (`Delivered.note`). Raises ProxyUnusable."""
    check: Callable[[Settings, Shared], Awaitable[Verdict]] | None = None
    """Whether one would work, asked without sending; None where nobody can be asked. Raises ProxyUnusable."""
