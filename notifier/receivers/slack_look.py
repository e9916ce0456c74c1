"""Looking for a message that may have been sent: by the event's ID, in the metadata of messages."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from notifier.receivers.slack_channel import items_of, next_cursor

CLOCKS_DIFFER: Final = timedelta(minutes=5)
HISTORY_PAGE: Final = 200
MOST_HISTORY_PAGES: Final = 20


class CanNotLook(Exception):
    """The channel's history can't be read, or not to its end."""


@dataclass(frozen=True, slots=True)
class Found:
    """A message about an event. `through`: the last event that it tells of, where it tells of several."""

    ts: str
    through: str | None = None


async def find_in_channel(client: AsyncWebClient, channel_id: str, event_id: str, since: datetime) -> Found | None:
    """A message of the channel itself. Raises CanNotLook, what slack-sdk and aiohttp raise."""

    async def page(cursor: str | None) -> AsyncSlackResponse:
        return await client.conversations_history(
            channel=channel_id, oldest=_oldest(since), cursor=cursor, limit=HISTORY_PAGE, include_all_metadata=True
        )

    return await _find(page, event_id, lambda posted: posted.get("thread_ts") in (None, posted.get("ts")))


async def find_in_thread(
    client: AsyncWebClient, channel_id: str, thread_ts: str, event_id: str, since: datetime
) -> Found | None:
    """A reply in a thread. Raises as find_in_channel."""

    async def page(cursor: str | None) -> AsyncSlackResponse:
        return await client.conversations_replies(
            channel=channel_id,
            ts=thread_ts,
            oldest=_oldest(since),
            cursor=cursor,
            limit=HISTORY_PAGE,
            include_all_metadata=True,
        )

    return await _find(page, event_id, lambda posted: posted.get("ts") != thread_ts)


def _oldest(since: datetime) -> str:
    return f"{(since - CLOCKS_DIFFER).timestamp():.6f}"


async def _find(
    page_at: Callable[[str | None], Awaitable[AsyncSlackResponse]],
    event_id: str,
    is_meant: Callable[[Mapping[str, Any]], bool],
) -> Found | None:
    cursor = None
    for _ in range(MOST_HISTORY_PAGES):
        page = await page_at(cursor)
        for posted in items_of(page, "messages"):
            payload = _payload(posted)
            if payload.get("event_id") == event_id and is_meant(posted):
                through = payload.get("through")
                return Found(str(posted.get("ts")), through if isinstance(through, str) else None)
        cursor = next_cursor(page.data)
        if cursor is None:
            return None
    raise CanNotLook


def _payload(posted: Any) -> Mapping[str, Any]:
    metadata = posted.get("metadata") if isinstance(posted, Mapping) else None
    payload = metadata.get("event_payload") if isinstance(metadata, Mapping) else None
    return payload if isinstance(payload, Mapping) else {}
