"""A Slack channel, by a bot token and chat.postMessage.

chat.postMessage is not idempotent. After an attempt whose end is unknown, the event's ID is looked for in the metadata
of the channel's messages before it is sent again, where the token may read them.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError

from notifier.config.models import SlackReceiver
from notifier.http import retry_after
from notifier.model import Broken, Delivered, Message, Outcome, Retry
from notifier.receivers.slack_channel import find_channel, is_channel_id, next_cursor
from notifier.receivers.slack_errors import Meaning, explained, meaning_of
from notifier.receivers.slack_http import (
    ErrorCodes,
    NotSlacks,
    api_client,
    error_code,
    error_detail,
    outcome_of_failure,
)
from notifier.receivers.slack_post import post_in_two_shapes
from notifier.turnstile import Turnstile

CLOCKS_DIFFER: Final = timedelta(minutes=5)
HISTORY_PAGE: Final = 200
MOST_HISTORY_PAGES: Final = 20


class SlackSender:
    """Posts events to one channel. `note`: what `Delivered.note` said before the last restart."""

    concurrency = 1
    can_be_asked = True

    def __init__(
        self,
        name: str,
        settings: SlackReceiver,
        session: aiohttp.ClientSession,
        turnstile: Turnstile,
        *,
        note: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self.turnstile = turnstile
        self._client = api_client(settings, session)
        self._channel = settings.channel
        self._channel_id = self._channel if is_channel_id(self._channel) else _remembered(note, self._channel)
        self._clock = clock
        self._codes = ErrorCodes()

    async def send(self, message: Message) -> Outcome:
        """One attempt: where an earlier one may have arrived, a look first; if the blocks are refused, plain text."""
        if message.maybe_sent_at is not None:
            found = await self._look_for(message.event_id, message.maybe_sent_at)
            if found is not None:
                return found
        return await post_in_two_shapes(partial(self._post, message.event_id), message, self._clock())

    async def _post(self, event_id: str, content: dict[str, Any]) -> tuple[Outcome, str]:
        try:
            answer = await self._client.chat_postMessage(channel=self._channel, **content)
        except SlackApiError as error:
            return self._outcome_of(event_id, error), error_code(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return outcome_of_failure(error), ""
        channel, ts = answer.get("channel"), answer.get("ts")
        if isinstance(channel, str):
            self._channel_id = channel
        return Delivered(note=self._note(), answer=f"ok, channel {channel}, ts {ts}"), ""

    def _outcome_of(self, event_id: str, error: SlackApiError) -> Outcome:
        answer = error.response
        after = retry_after(answer.headers, self._clock())
        if not error_code(error):
            return outcome_of_failure(NotSlacks(answer.status_code, after))
        return self._codes.outcome(event_id, error_code(error), answer.status_code, after, error_detail(error))

    def _note(self) -> str | None:
        """The channel's ID beside the name by which it is configured: history is read by ID alone."""
        return f"{self._channel}={self._channel_id}" if self._channel_id else None

    # --- looking for a message that may have been sent ---

    async def _look_for(self, event_id: str, since: datetime) -> Outcome | None:
        """Delivered where the message is in the channel, None where it is not or can't be looked for."""
        try:
            ts = await self._find(event_id, since)
        except SlackApiError as error:
            return _undecided(error, self._clock())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _still_open(outcome_of_failure(error))
        return Delivered(note=self._note(), answer=f"found in the channel, ts {ts}") if ts else None

    async def _find(self, event_id: str, since: datetime) -> str | None:
        """The `ts` of the channel's message about this event. Raises what slack-sdk and aiohttp raise."""
        if self._channel_id is None and (found := await find_channel(self._client, self._channel)):
            self._channel_id = found.id
        if self._channel_id is None:
            return None
        oldest = f"{(since - CLOCKS_DIFFER).timestamp():.6f}"
        cursor = None
        for _ in range(MOST_HISTORY_PAGES):
            page = await self._client.conversations_history(
                channel=self._channel_id, oldest=oldest, cursor=cursor, limit=HISTORY_PAGE, include_all_metadata=True
            )
            for posted in page.get("messages") or ():
                if _event_id(posted) == event_id:
                    return str(posted.get("ts"))
            cursor = next_cursor(page.data)
            if cursor is None:
                break
        return None


def _undecided(error: SlackApiError, now: datetime) -> Outcome | None:
    """A look that failed: try again where that may help; where the token may not look, send without."""
    answer = error.response
    if answer.status_code == 429 or answer.status_code >= 500:
        after = retry_after(answer.headers, now)
        return Retry(f"looking for the message: HTTP {answer.status_code}", after, maybe_sent=True)
    if meaning_of(error_code(error)) in (Meaning.NOT_PROCESSED, Meaning.MAYBE_SENT):
        return Retry(f"looking for the message: {explained(error_code(error))}", maybe_sent=True)
    return None


def _still_open(outcome: Retry | Broken) -> Outcome | None:
    if isinstance(outcome, Retry):
        return Retry(f"looking for the message: {outcome.reason}", outcome.after, maybe_sent=True)
    return None  # what is broken for looking may not be for sending, and says so then


def _event_id(posted: Any) -> str | None:
    metadata = posted.get("metadata") if isinstance(posted, Mapping) else None
    payload = metadata.get("event_payload") if isinstance(metadata, Mapping) else None
    found = payload.get("event_id") if isinstance(payload, Mapping) else None
    return found if isinstance(found, str) else None


def _remembered(note: str | None, channel: str) -> str | None:
    """The channel's ID out of a note, unless the watchlist names another channel by now."""
    name, _, channel_id = (note or "").rpartition("=")
    return channel_id if name == channel and channel_id else None
