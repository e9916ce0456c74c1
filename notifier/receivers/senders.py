"""Where messages go. A new kind of receiver is one file here, one member of the union in `watchlist/models.py`, and one
test file."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never

import aiohttp

from notifier.http.client import sending_session
from notifier.model.delivery import Verdict
from notifier.receivers.base import Receiver
from notifier.receivers.pace import Turnstiles
from notifier.receivers.slack.check import check_slack
from notifier.receivers.slack.client import EDIT_PACE, PACE, api_session, webhook_session
from notifier.receivers.slack.incoming import SlackWebhookSender
from notifier.receivers.slack.sender import SlackSender
from notifier.receivers.webhook import WebhookSender
from notifier.watchlist.models import Receiver as Settings
from notifier.watchlist.models import SlackReceiver, SlackWebhookReceiver, WebhookReceiver


@dataclass(frozen=True, slots=True, repr=False)
class Paces:
    """When each destination of Slack's may be sent to next: messages by channel, edits by token."""

    messages: Turnstiles = field(default_factory=lambda: Turnstiles(PACE))
    edits: Turnstiles = field(default_factory=lambda: Turnstiles(EDIT_PACE))

    def disband(self) -> None:
        """Before the receivers of another watchlist join: who is gone keeps no turn."""
        self.messages.disband()
        self.edits.disband()


@dataclass(slots=True)
class Senders:
    """Builds senders: a session for each kind of receiver, a turnstile for each destination of Slack's.

    `public_url`: where the status page is, for links. `heard` is given the bodies of webhooks' answers.
    """

    plain: aiohttp.ClientSession
    slack_api: aiohttp.ClientSession
    slack_webhooks: aiohttp.ClientSession
    paces: Paces = field(default_factory=Paces)
    public_url: str | None = None
    heard: Callable[[bytes], None] | None = None

    def build(self, name: str, settings: Settings, note: str | None = None) -> Receiver:
        """The sender for a receiver of the watchlist. `note`: what it wanted remembered. Raises ProxyUnusable."""
        match settings:
            case WebhookReceiver():
                return WebhookSender(name, settings, self.plain, heard=self.heard)
            case SlackReceiver():
                messages, edits = self.paces.messages, self.paces.edits
                return SlackSender(
                    name, settings, self.slack_api, messages, edits, note=note, public_url=self.public_url
                )
            case SlackWebhookReceiver():
                turnstile = self.paces.messages.of(settings.url.get_secret_value())
                return SlackWebhookSender(name, settings, self.slack_webhooks, turnstile, public_url=self.public_url)
            case _:
                assert_never(settings)

    async def check(self, name: str, settings: Settings) -> Verdict:
        """Whether a receiver would work, without sending. Raises ProxyUnusable."""
        if isinstance(settings, SlackReceiver):
            return await check_slack(settings, self.slack_api)
        return Verdict(ok=None, said=f"can't be checked without sending; try: notifier send-test {name}")


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
