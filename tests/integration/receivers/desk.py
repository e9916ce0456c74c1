"""The real senders of Slack receivers, and a Slack to send to: real sockets, no account."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from notifier.model.delivery import Message, Outcome, Verdict
from notifier.receivers.base import Receiver
from notifier.receivers.senders import Senders, open_senders
from notifier.receivers.slack.client import api_session
from notifier.receivers.slack.sender import SlackSender
from notifier.simulator import SlackMessage, SlackSimulator
from notifier.simulator.slack.faults import POST_MESSAGE, SlackFault
from notifier.simulator.slack.simulator import SlackRequest
from tests.builders import TOKEN, a_message, a_slack_channel, a_slack_webhook, an_event_body

TLS: Final = ssl.create_default_context()
WEBHOOK: Final = "incoming_webhook"
HISTORY: Final = "conversations.history"
LIST: Final = "conversations.list"
BOTH: Final = pytest.mark.parametrize("kind", [POST_MESSAGE, WEBHOOK])
SHORT: Final = timedelta(seconds=0.3)  # a time-out for those who wait for it


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a machine without proxies."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Desk:
    """A Slack with the channel #data-syncs and a webhook to it, and the senders that post there."""

    def __init__(self, slack: SlackSimulator, senders: Senders) -> None:
        self.slack = slack
        self.senders = senders
        self.channel = slack.add_channel("data-syncs")
        self.path = slack.add_webhook(self.channel)
        slack.add_token(TOKEN)

    @property
    def webhook_url(self) -> str:
        return self.slack.webhook_url(self.path)

    def to_channel(
        self,
        channel: str = "#data-syncs",
        *,
        token: str = TOKEN,
        note: str | None = None,
        name: str = "growth",
        ahead: Callable[[], timedelta] = timedelta,
    ) -> Receiver:
        """A sender to a channel; a new one is what a restart makes of an old one. `ahead`: its clock, of Slack's."""
        settings = a_slack_channel(channel, token=token, api_url=self.slack.api_url)
        return SlackSender(
            name,
            settings,
            self.senders.session(api_session),
            self.senders.paces,
            note=note,
            public_url=self.senders.public_url,
            clock=lambda: datetime.now(UTC) + ahead(),
        )

    def to_webhook(self) -> Receiver:
        return self.senders.build("growth", a_slack_webhook(self.webhook_url))

    def sender(self, kind: str) -> Receiver:
        return self.to_webhook() if kind == WEBHOOK else self.to_channel()

    async def send(self, kind: str, *faults: SlackFault, event_id: str = "evt_1") -> Outcome:
        """One attempt of a new sender, against these faults."""
        for fault in faults:
            self.slack.fault(fault, method=kind, times=1)
        return await self.sender(kind).send(an_event(event_id))

    async def check(self, channel: str = "#data-syncs", *, token: str = TOKEN) -> Verdict:
        return await self.senders.check("growth", a_slack_channel(channel, token=token, api_url=self.slack.api_url))

    def asked(self, method: str) -> list[SlackRequest]:
        return [request for request in self.slack.requests if request.method == method]

    @property
    def methods(self) -> list[str]:
        """What was asked of Slack, in order."""
        return [request.method for request in self.slack.requests]

    @property
    def only_message(self) -> SlackMessage:
        [message] = self.slack.messages()
        return message


def an_event(event_id: str = "evt_1", *, maybe_sent_at: datetime | None = None) -> Message:
    """A message about a run that failed just now."""
    body = an_event_body(seen_at=datetime.now(UTC))
    return a_message(event_id, body=body, maybe_sent_at=maybe_sent_at)


@asynccontextmanager
async def open_desk(timeout: timedelta = timedelta(seconds=10)) -> AsyncIterator[Desk]:
    """`timeout` is of one request."""
    slack = SlackSimulator()
    async with slack.serve(), open_senders(timeout, TLS) as senders:
        yield Desk(slack, senders)


class Canned:
    """A server, or a proxy, that answers every request with the same bytes, and keeps what was asked."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.place = ""

    @asynccontextmanager
    async def answering(self, answer: bytes) -> AsyncIterator["Canned"]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            self.place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self


def pauses_noted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are made from now on; they take no time."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pass_at_once(seconds: float) -> None:
        pauses.extend([seconds] if seconds else [])
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pass_at_once)
    return pauses
