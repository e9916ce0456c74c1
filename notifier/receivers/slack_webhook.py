"""A Slack incoming webhook. It answers `ok` and no more: what was sent can't be looked up."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import aiohttp

from notifier.config.models import SlackWebhookReceiver
from notifier.http import retry_after
from notifier.model import Delivered, Message, Outcome
from notifier.receivers.blocks import render
from notifier.receivers.page_link import with_page
from notifier.receivers.slack_chapter import is_announced
from notifier.receivers.slack_http import ErrorCodes, NotSlacks, outcome_of_failure, webhook_client
from notifier.receivers.slack_post import post_arguments, send_in_two_shapes
from notifier.turnstile import Turnstile

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
        self._client = webhook_client(settings.url.get_secret_value(), session)
        self._clock = clock
        self._codes = ErrorCodes()

    def gate(self, message: Message) -> Turnstile | None:
        """Nothing but the turnstile."""
        return None

    async def send(self, message: Message) -> Outcome:
        """One attempt, and one more as plain text where the message was refused for its shape."""
        if not is_announced(message):
            return Delivered(answer="nothing to show", unsent=True)
        rendered = render(message.body, self._clock(), mentions=message.mentions)
        rendered = with_page(rendered, message.body, self._public_url)
        shape = partial(post_arguments, message.event_id, rendered, None)
        outcome, _ = await send_in_two_shapes(partial(self._post, message.event_id), shape)
        return self._codes.ended(message.event_id, outcome)

    async def _post(self, event_id: str, content: dict[str, Any]) -> tuple[Outcome, str]:
        try:
            answer = await self._client.send_dict(content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return outcome_of_failure(error), ""
        said = answer.body.strip()
        if answer.status_code == 200 and said == "ok":
            return Delivered(answer="HTTP 200 ok"), ""
        after = retry_after(answer.headers, self._clock())
        if 200 <= answer.status_code < 300 or not _WORD.fullmatch(said):
            return outcome_of_failure(NotSlacks(answer.status_code, after)), ""
        return self._codes.outcome(event_id, said, answer.status_code, after), said
