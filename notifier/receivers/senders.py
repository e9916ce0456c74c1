"""All kinds of receivers, and the senders of one watchlist."""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from notifier.http.client import sending_session
from notifier.model.delivery import Verdict
from notifier.receivers import webhook
from notifier.receivers.base import Kind, Receiver, Shared
from notifier.receivers.pace import Paces
from notifier.receivers.slack import incoming, sender
from notifier.receivers.slack.client import api_session, webhook_session
from notifier.watchlist.receivers import ReceiverSettings

KINDS: Final[Mapping[type[ReceiverSettings], Kind[Any]]] = {
    kind.settings: kind for kind in (sender.KIND, incoming.KIND, webhook.KIND)
}
"""All kinds; a new one is a member of the union in `watchlist/receivers.py`, a file here, and in this list."""


@dataclass(frozen=True, slots=True, repr=False)
class Senders(Shared):
    """Builds senders, of whatever kind, and checks whether they would work."""

    def build(self, name: str, settings: ReceiverSettings, note: str | None = None) -> Receiver:
        """The sender for a receiver of the watchlist. `note`: what it wanted remembered. Raises ProxyUnusable."""
        return KINDS[type(settings)].build(name, settings, self, note)

    async def check(self, name: str, settings: ReceiverSettings) -> Verdict:
        """Whether a receiver would work, without sending. Raises ProxyUnusable."""
        check = KINDS[type(settings)].check
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
    """Opens the sessions and closes them again. `timeout` is of one request; `paces` may outlast them."""
    async with (
        sending_session(timeout, tls) as plain,
        api_session(timeout, tls) as slack_api,
        webhook_session(timeout, tls) as slack_webhooks,
    ):
        yield Senders(plain, slack_api, slack_webhooks, paces or Paces(), public_url, heard)
