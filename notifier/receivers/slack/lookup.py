"""Looking for a message that may have been sent: by the event's ID and the receiver, in the metadata of messages."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from notifier.http.client import date_of
from notifier.receivers.slack.channel import items_of, next_cursor
from notifier.receivers.slack.post import LONGEST_NAME

CLOCKS_DIFFER: Final = timedelta(minutes=5)
WORTH_ANOTHER_PAGE: Final = timedelta(minutes=1)
LONGEST_LOOK_BACK: Final = timedelta(days=1)
HISTORY_PAGE: Final = 200
MOST_HISTORY_PAGES: Final = 20


class CanNotLook(Exception):
    """The channel's history can't be read, or not to its end."""


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message about an event. `through`: the last event that it tells of, where it tells of several."""

    ts: str
    through: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whose message is looked for, and when it was sent: `began_at` by our wall clock then, and `now` by the same one,
    which may be wrong, and may have been set meanwhile. `age`: how long ago that is by a clock that nobody sets, where
    the attempt was made by this process.
    """

    event_id: str
    receiver: str
    began_at: datetime
    now: datetime
    age: timedelta | None = None

    def began(self, slacks_now: datetime | None) -> datetime:
        """When it began by Slack's clock, or somewhat earlier. Without `slacks_now`, by our own."""
        if slacks_now is None:
            return min(self.began_at, self.now if self.age is None else self.now - self.age)
        if self.age is not None:
            return slacks_now - self.age
        wrong_by = slacks_now - self.now
        began = self.began_at + wrong_by
        if began > slacks_now + CLOCKS_DIFFER:  # our clock was set back since, nobody knows how long after
            return slacks_now - LONGEST_LOOK_BACK
        # It may have been set right since, unless it is wrong by more than such a correction would be.
        as_it_was = self.began_at if abs(wrong_by) <= LONGEST_LOOK_BACK else began
        return min(began, as_it_was, slacks_now)

    def is_of(self, payload: Mapping[str, Any]) -> bool:
        """Whether a message's metadata is of this event and receiver; older versions did not write the receiver."""
        receiver = self.receiver[:LONGEST_NAME]
        return payload.get("event_id") == self.event_id and payload.get("receiver", receiver) == receiver


async def find_in_channel(client: AsyncWebClient, channel_id: str, attempt: Attempt) -> FoundMessage | None:
    """A message of the channel itself. Raises CanNotLook, what slack-sdk and aiohttp raise."""

    async def page(oldest: str, cursor: str | None) -> AsyncSlackResponse:
        return await client.conversations_history(
            channel=channel_id, oldest=oldest, cursor=cursor, limit=HISTORY_PAGE, include_all_metadata=True
        )

    return await _find(page, attempt, _is_in_channel, newest_first=True)


async def find_in_thread(
    client: AsyncWebClient, channel_id: str, thread_ts: str, attempt: Attempt
) -> FoundMessage | None:
    """A reply in a thread. Raises as find_in_channel."""

    async def page(oldest: str, cursor: str | None) -> AsyncSlackResponse:
        return await client.conversations_replies(
            channel=channel_id,
            ts=thread_ts,
            oldest=oldest,
            cursor=cursor,
            limit=HISTORY_PAGE,
            include_all_metadata=True,
        )

    return await _find(page, attempt, lambda posted: posted.get("ts") != thread_ts, newest_first=False)


async def _find(
    page_at: Callable[[str, str | None], Awaitable[AsyncSlackResponse]],
    attempt: Attempt,
    is_meant: Callable[[Mapping[str, Any]], bool],
    *,
    newest_first: bool,
) -> FoundMessage | None:
    asked_from = attempt.began(None)
    page = await page_at(_oldest(asked_from), None)
    began = attempt.began(date_of(page.headers))  # only its answer says what time it is at Slack
    if began < asked_from - WORTH_ANOTHER_PAGE:
        asked_from = began
        page = await page_at(_oldest(asked_from), None)
    for _ in range(MOST_HISTORY_PAGES - 1):
        if (found := _found(page, attempt, is_meant)) is not None:
            return found
        cursor = next_cursor(page.data)
        if cursor is None or (newest_first and _ends_before(page, _oldest(began))):
            return None
        page = await page_at(_oldest(asked_from), cursor)
    if (found := _found(page, attempt, is_meant)) is not None or next_cursor(page.data) is None:
        return found
    raise CanNotLook


def _is_in_channel(posted: Mapping[str, Any]) -> bool:
    return posted.get("thread_ts") in (None, posted.get("ts"))


def _oldest(began: datetime) -> str:
    return f"{(began - CLOCKS_DIFFER).timestamp():.6f}"


def _found(
    page: AsyncSlackResponse, attempt: Attempt, is_meant: Callable[[Mapping[str, Any]], bool]
) -> FoundMessage | None:
    for posted in items_of(page, "messages"):
        payload = _payload(posted)
        if attempt.is_of(payload) and is_meant(posted):
            through = payload.get("through")
            return FoundMessage(str(posted.get("ts")), through if isinstance(through, str) else None)
    return None


def _ends_before(page: AsyncSlackResponse, oldest: str) -> bool:
    """Whether the last message of a page is older than that, and so all that come behind it."""
    last = next(iter(items_of(page, "messages")[-1:]), None)
    ts = last.get("ts") if isinstance(last, Mapping) else None
    try:
        return isinstance(ts, str) and float(ts) < float(oldest)
    except ValueError:
        return False


def _payload(posted: Any) -> Mapping[str, Any]:
    metadata = posted.get("metadata") if isinstance(posted, Mapping) else None
    payload = metadata.get("event_payload") if isinstance(metadata, Mapping) else None
    return payload if isinstance(payload, Mapping) else {}
