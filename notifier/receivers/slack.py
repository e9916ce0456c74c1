"""A Slack channel, by a bot token and chat.postMessage.

chat.postMessage is not idempotent. After an attempt whose end is unknown, the event's ID is looked for in the metadata
of the channel's messages before it is sent again, where the token may read them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError

from notifier.config.models import SlackReceiver
from notifier.http import retry_after
from notifier.model import Broken, Delivered, Message, Outcome, Retry
from notifier.receivers.slack_channel import find_channel, is_channel_id, items_of, next_cursor
from notifier.receivers.slack_errors import outcome_of_error
from notifier.receivers.slack_http import ErrorCodes, api_client, error_code, error_detail, outcome_of_failure
from notifier.receivers.slack_post import post_in_two_shapes
from notifier.turnstile import Turnstiles

CLOCKS_DIFFER: Final = timedelta(minutes=5)
HISTORY_PAGE: Final = 200
MOST_HISTORY_PAGES: Final = 20


class CanNotLook(Exception):
    """The channel's history can't be read, or not to its end."""


class SlackSender:
    """Posts events to one channel. `note`: what `Delivered.note` said before the last restart."""

    concurrency = 1
    can_be_asked = True

    def __init__(
        self,
        name: str,
        settings: SlackReceiver,
        session: aiohttp.ClientSession,
        turnstiles: Turnstiles,
        *,
        note: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self._client = api_client(settings, session)
        self._token = settings.token
        self._channel = settings.channel
        self._channel_id = self._channel if is_channel_id(self._channel) else _remembered(note, self._channel)
        self._turnstiles = turnstiles
        self.turnstile = turnstiles.of(*self._place(self._channel_id or self._channel.removeprefix("#")))
        self._clock = clock
        self._codes = ErrorCodes()

    async def send(self, message: Message) -> Outcome:
        """One attempt: where an earlier one may have arrived, a look first; if the blocks are refused, plain text."""
        if message.maybe_sent_at is None:
            return await self._post_message(message)
        try:
            found = await self._look_for(message.event_id, message.maybe_sent_at)
        except CanNotLook:
            return _still_open(await self._post_message(message))
        return found or await self._post_message(message)

    async def _post_message(self, message: Message) -> Outcome:
        outcome = await post_in_two_shapes(partial(self._post, message.event_id), message, self._clock())
        return self._codes.ended(message.event_id, outcome)

    async def _post(self, event_id: str, content: dict[str, Any]) -> tuple[Outcome, str]:
        try:
            answer = await self._client.chat_postMessage(channel=self._channel, **content)
        except SlackApiError as error:
            return self._outcome_of(event_id, error), error_code(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return outcome_of_failure(error), ""
        channel, ts = answer.get("channel"), answer.get("ts")
        if isinstance(channel, str):
            self._is(channel)
        return Delivered(note=self._note(), answer=f"ok, channel {channel}, ts {ts}"), ""

    def _outcome_of(self, event_id: str, error: SlackApiError) -> Outcome:
        answer = error.response
        after = retry_after(answer.headers, self._clock())
        return self._codes.outcome(event_id, error_code(error), answer.status_code, after, error_detail(error))

    def _place(self, channel: str) -> tuple[str, str]:
        return self._token.get_secret_value(), channel

    def _is(self, channel_id: str) -> None:
        """The channel turned out to have this ID; another receiver may know it by that, and then shares its pace."""
        self._channel_id = channel_id
        shared = self._turnstiles.same(self.turnstile, *self._place(channel_id))
        if shared is not self.turnstile:
            shared.join(self.name)
            self.turnstile = shared

    def _note(self) -> str | None:
        """The channel's ID beside the name by which it is configured: history is read by ID alone."""
        return f"{self._channel}={self._channel_id}" if self._channel_id else None

    # --- looking for a message that may have been sent ---

    async def _look_for(self, event_id: str, since: datetime) -> Outcome | None:
        """Delivered where the message is in the channel, None where it is not, Retry where Slack can't say now.

        Raises CanNotLook where that may never change.
        """
        try:
            ts = await self._find(event_id, since)
        except SlackApiError as error:
            answer = error.response
            after = retry_after(answer.headers, self._clock())
            failed = outcome_of_error(error_code(error), answer.status_code, after, error_detail(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failed = outcome_of_failure(error)
        else:
            return Delivered(note=self._note(), answer=f"found in the channel, ts {ts}") if ts else None
        if isinstance(failed, Retry):
            return Retry(f"looking for the message: {failed.reason}", failed.after, maybe_sent=True)
        raise CanNotLook  # what is broken for looking may not be for sending, and says so then

    async def _find(self, event_id: str, since: datetime) -> str | None:
        """The `ts` of the channel's message about this event. Raises CanNotLook, what slack-sdk and aiohttp raise."""
        if self._channel_id is None and (found := await find_channel(self._client, self._channel)):
            self._is(found.id)
        if self._channel_id is None:
            raise CanNotLook
        oldest = f"{(since - CLOCKS_DIFFER).timestamp():.6f}"
        cursor = None
        for _ in range(MOST_HISTORY_PAGES):
            page = await self._client.conversations_history(
                channel=self._channel_id, oldest=oldest, cursor=cursor, limit=HISTORY_PAGE, include_all_metadata=True
            )
            for posted in items_of(page, "messages"):
                if _event_id(posted) == event_id:
                    return str(posted.get("ts"))
            cursor = next_cursor(page.data)
            if cursor is None:
                return None
        raise CanNotLook


def _still_open(outcome: Outcome) -> Outcome:
    """The outcome of an attempt before which nobody could look: the end of the earlier one is as unknown as it was."""
    return replace(outcome, maybe_sent=True) if isinstance(outcome, Retry | Broken) else outcome


def _event_id(posted: Any) -> str | None:
    metadata = posted.get("metadata") if isinstance(posted, Mapping) else None
    payload = metadata.get("event_payload") if isinstance(metadata, Mapping) else None
    found = payload.get("event_id") if isinstance(payload, Mapping) else None
    return found if isinstance(found, str) else None


def _remembered(note: str | None, channel: str) -> str | None:
    """The channel's ID out of a note, unless the watchlist names another channel by now."""
    name, _, channel_id = (note or "").rpartition("=")
    return channel_id if name == channel and channel_id else None
