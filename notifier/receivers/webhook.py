"""Webhooks, signed as Standard Webhooks has it (https://www.standardwebhooks.com)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
from multidict import CIMultiDict
from standardwebhooks import Webhook

from notifier.http.client import as_written, describe, proxy_for, rest_of, retry_after, sending_session
from notifier.model.delivery import Broken, Delivered, Message, Outcome, Refused, Retry
from notifier.model.errors import status_in_words
from notifier.receivers.base import Kind, Shared
from notifier.receivers.pace import Turnstile
from notifier.watchlist.receivers import WebhookReceiver

CONCURRENCY: Final = 16
MESSAGE_REFUSED: Final = frozenset({400, 413, 415, 422})
RECEIVER_BROKEN: Final = frozenset({401, 403, 404, 405, 410})


def outcome_of(status: int, after: timedelta | None) -> Outcome:
    """What a status means for the message and for the receiver."""
    reason = status_in_words(status)
    if 200 <= status < 300:
        return Delivered(after, answer=reason)
    if status in MESSAGE_REFUSED:
        return Refused(reason, after)
    if status in RECEIVER_BROKEN:
        return Broken(reason, after)
    if 300 <= status < 400:
        return Broken(f"{reason}: redirects are not followed", after)
    return Retry(reason, after)


class WebhookSender:
    """Posts events to one HTTP endpoint."""

    concurrency = CONCURRENCY
    can_be_asked = False
    most_at_once = 1

    def __init__(
        self,
        name: str,
        settings: WebhookReceiver,
        session: aiohttp.ClientSession,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        heard: Callable[[bytes], None] | None = None,
    ) -> None:
        """`heard` is given the answers' bodies; the worker has no use for them."""
        self.name = name
        self.turnstile = Turnstile()
        self._session = session
        url = settings.url.get_secret_value()
        self._url = as_written(url)
        self._headers = CIMultiDict({key: value.get_secret_value() for key, value in settings.headers.items()})
        self._headers.update({"Content-Type": "application/json", "Accept-Encoding": "identity"})
        self._signer = Webhook(settings.secret.get_secret_value()) if settings.secret else None
        self._proxy = proxy_for(url)
        self._clock = clock
        self._heard = heard

    def gate(self, message: Message) -> Turnstile | None:
        """Nothing but the turnstile."""
        return None

    async def send(self, message: Message) -> Outcome:
        """One POST. A time-out or a dropped connection leaves open whether the receiver has the message."""
        now = self._clock().astimezone(UTC)
        headers = self._headers.copy()
        headers.update({"webhook-id": message.event_id, "webhook-timestamp": str(int(now.timestamp()))})
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message.event_id, now, message.body.decode())
        try:
            async with self._session.post(
                self._url, data=message.body, headers=headers, proxy=self._proxy, allow_redirects=False
            ) as answer:
                outcome = outcome_of(answer.status, retry_after(answer.headers, now))
                body = await rest_of(answer)
                if self._heard is not None and body is not None:
                    self._heard(body)
                return outcome
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Retry(describe(error))
        except ValueError:
            # aiohttp's complaint about a URL or a header would show it
            return Broken("the request can't be made: its URL or a header is not valid")


def _build(name: str, settings: WebhookReceiver, shared: Shared, _note: str | None) -> WebhookSender:
    return WebhookSender(name, settings, shared.session(sending_session), heard=shared.heard)


KIND: Final = Kind(WebhookReceiver, _build)
