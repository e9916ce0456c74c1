"""All kinds of receivers, and the senders of one watchlist.

A kind is loaded when a watchlist has one: what draws for Slack, and slack-sdk, take memory and time.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import Any, Final

import aiohttp

from notifier.model.delivery import Verdict
from notifier.receivers.base import Kind, OpenSession, Receiver, Shared
from notifier.receivers.pace import Paces
from notifier.watchlist.receivers import ReceiverSettings, SlackReceiver, SlackWebhookReceiver, WebhookReceiver

KINDS: Final[Mapping[type[ReceiverSettings], str]] = {
    SlackReceiver: "notifier.receivers.slack.sender",
    SlackWebhookReceiver: "notifier.receivers.slack.incoming",
    WebhookReceiver: "notifier.receivers.webhook",
}
"""The module of each kind; a new one is a member of the union in `watchlist/receivers.py`, a file here, and in this
list."""


def kind_of(settings: ReceiverSettings) -> Kind[Any]:
    """What the file of a receiver's kind gives."""
    kind: Kind[Any] = import_module(KINDS[type(settings)]).KIND
    return kind


@dataclass(frozen=True, slots=True, repr=False)
class Senders(Shared):
    """Builds senders, of whatever kind, and checks whether they would work."""

    def build(self, name: str, settings: ReceiverSettings, note: str | None = None) -> Receiver:
        """The sender for a receiver of the watchlist. `note`: what it wanted remembered. Raises ProxyUnusable."""
        return kind_of(settings).build(name, settings, self, note)

    async def check(self, name: str, settings: ReceiverSettings) -> Verdict:
        """Whether a receiver would work, without sending. Raises ProxyUnusable."""
        check = kind_of(settings).check
        if check is None:
            return Verdict(ok=None, said=f"can't be checked without sending; try: notifier send-test {name}")
        return await check(settings, self)


@asynccontextmanager
async def open_senders(
    timeout: timedelta,
    tls: ssl.SSLContext,
    paces: Paces | None = None,
    public_url: str | None = None,
    heard: Callable[[bytes], None] | None = None,
) -> AsyncIterator[Senders]:
    """Opens sessions as they are asked for, and closes them again. `timeout` is of one request; `paces` may outlast
    them."""
    async with AsyncExitStack() as stack:

        @cache
        def session(opened: OpenSession) -> aiohttp.ClientSession:
            new = opened(timeout, tls)
            stack.push_async_callback(new.close)
            return new

        yield Senders(session, paces or Paces(), public_url, heard)
