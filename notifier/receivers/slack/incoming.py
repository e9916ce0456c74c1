"""A Slack incoming webhook. It answers `ok` and no more: what was sent can't be looked up."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

import aiohttp

from notifier.http.client import retry_after
from notifier.model.body import EventBody
from notifier.model.delivery import Delivered, Message, Outcome
from notifier.model.errors import status_in_words
from notifier.receivers.base import Kind, Shared
from notifier.receivers.pace import Turnstile
from notifier.receivers.slack.blocks.page_link import with_page
from notifier.receivers.slack.blocks.run import render
from notifier.receivers.slack.client import (
    ErrorCodes,
    HalfRead,
    NotSlacks,
    outcome_of_failure,
    webhook_client,
    webhook_session,
)
from notifier.receivers.slack.draft import Draft
from notifier.receivers.slack.post import LeftOut, post_arguments
from notifier.receivers.slack.story import is_announced
from notifier.receivers.webhook_answer import STAND_IN, echo
from notifier.receivers.words.event import line
from notifier.watchlist.receivers import SlackWebhookReceiver

LONGEST_ECHO: Final = 100  # characters of an answer that are shown
_TOKEN: Final = re.compile(r"[A-Za-z0-9_+/=.~%-]{16,}")  # of which nobody can tell whether it is a secret
_WORD: Final = re.compile("[a-z0-9_]{1,80}")


class SlackWebhookSender:
    """Posts events by one incoming webhook."""

    concurrency = 1
    can_be_asked = False
    most_at_once = 1

    def __init__(
        self,
        name: str,
        settings: SlackWebhookReceiver,
        session: aiohttp.ClientSession,
        turnstile: Turnstile,
        *,
        public_url: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`public_url`: where the status page is, for links."""
        self.name = name
        self._public_url = public_url
        self.turnstile = turnstile
        self._settings = settings
        self._left_out = LeftOut(name, clock)
        self._client = webhook_client(settings.url.get_secret_value(), session)
        self._clock = clock
        self._codes = ErrorCodes()

    def gate(self, message: Message) -> Turnstile | None:
        """Nothing but the turnstile."""
        return None

    async def send(self, message: Message) -> Outcome:
        """One attempt; what Slack refuses of the message is left out."""
        event = EventBody.of(message.body)
        if not is_announced(event):
            return Delivered(answer="nothing to show", unsent=True)
        outcome, _ = await self._left_out.send(partial(self._post, message.event_id, event), Draft(message.mentions))
        return self._codes.ended(message.event_id, outcome)

    async def _post(self, event_id: str, event: EventBody, draft: Draft) -> tuple[Outcome, str]:
        rendered = with_page(render(event, self._clock(), mentions=draft.mentions), event, self._public_url)
        content = post_arguments(event_id, self.name, rendered, None, draft.refused)
        try:
            answer = await self._client.send_dict(content)
        except HalfRead as error:
            return self._codes.not_ok(event_id, str(error), None), ""
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return outcome_of_failure(error), ""
        said, status = answer.body.strip(), answer.status_code
        if 200 <= status < 300 and said == "ok":
            return Delivered(answer=f"HTTP {status} ok"), ""
        after = retry_after(answer.headers, self._clock())
        if 200 <= status < 300:
            reason = f"{status_in_words(status)}, but not with an answer of Slack's{self._echo(said)}"
            return self._codes.not_ok(event_id, reason, after), ""
        if not _WORD.fullmatch(said):
            return outcome_of_failure(NotSlacks(status, after)), ""
        return self._codes.outcome(event_id, said, status, after), said if status != 429 else ""

    def _echo(self, said: str) -> str:
        """What came back, for a person to read. It may repeat the URL, and a proxy may say what it was given."""
        text = line(_TOKEN.sub(STAND_IN, echo(said.encode(), self._settings, self._client.proxy)), LONGEST_ECHO)
        return f': "{text}"' if text else ""


def _build(name: str, settings: SlackWebhookReceiver, shared: Shared, _note: str | None) -> SlackWebhookSender:
    turnstile = shared.paces.messages.of(settings.url.get_secret_value())
    return SlackWebhookSender(name, settings, shared.session(webhook_session), turnstile, public_url=shared.public_url)


KIND: Final = Kind(SlackWebhookReceiver, _build)
