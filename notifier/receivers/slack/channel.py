"""Finding a channel: by its ID with conversations.info, by its name in the pages of conversations.list."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from notifier.http.client import retry_after
from notifier.receivers.slack.client import NotSlacks, error_code

LIST_PAGE: Final = 200  # Slack recommends no more
MOST_LIST_PAGES: Final = 50
UNSAID: Final = timedelta(seconds=1)  # how long to wait where Slack does not say


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as Slack shows it to the token."""

    id: str
    name: str
    is_member: bool
    is_archived: bool


class CanNotTell(Exception):
    """Whether there is such a channel can't be found out; the text says why. It may be there all the same."""


class Patience:
    """Waits as a 429 asks, for so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    async def asked(self, ask: Callable[[], Awaitable[AsyncSlackResponse]]) -> AsyncSlackResponse:
        """The answer, in the end. Raises what slack-sdk and aiohttp raise: that 429 too which asks for too much."""
        while True:
            try:
                return await ask()
            except SlackApiError as error:
                answer = error.response
                wait = retry_after(answer.headers, datetime.now(UTC)) if answer.status_code == 429 else None
                if answer.status_code != 429 or not self._has(wait or UNSAID):
                    raise
            except NotSlacks as error:
                wait = error.after
                if error.status != 429 or not self._has(wait or UNSAID):
                    raise
            self._left -= (wait or UNSAID).total_seconds()
            await asyncio.sleep((wait or UNSAID).total_seconds())

    def _has(self, wait: timedelta) -> bool:
        return wait.total_seconds() <= self._left


def is_channel_id(channel: str) -> bool:
    """C0123ABCD: the IDs of channels begin with C or G, those of direct messages with D; no name has a capital."""
    return channel[:1] in ("C", "G", "D") and channel.isalnum() and channel.isupper()


def is_user_id(channel: str) -> bool:
    """U0123ABCD: a person's, whose direct message with the app is the channel. Slack takes it for posting alone."""
    return channel[:1] in ("U", "W") and channel.isalnum() and channel.isupper()


async def find_channel(client: AsyncWebClient, channel: str, patience: Patience | None = None) -> Channel | None:
    """The channel of an ID or a name, None for a name that is not listed. Without `patience` no 429 is waited out.

    Raises CanNotTell, what slack-sdk and aiohttp raise: SlackApiError with `missing_scope` where the token may not ask.
    """
    patience = patience or Patience(0)
    if is_channel_id(channel):
        return channel_of(await patience.asked(partial(client.conversations_info, channel=channel)))
    if is_user_id(channel):
        raise CanNotTell("a person can only be asked for by posting to them")
    name = channel.removeprefix("#")
    try:
        return await _named(client, patience, name, "public_channel,private_channel")
    except SlackApiError as error:
        # A token without groups:read may list public channels alone; where it is not among those, nobody can tell.
        if error_code(error) == "missing_scope" and (found := await _named(client, patience, name, "public_channel")):
            return found
        raise


async def _named(client: AsyncWebClient, patience: Patience, name: str, types: str) -> Channel | None:
    async for found in _listed(client, patience, types):
        if found.name == name:
            return found
    return None


async def _listed(client: AsyncWebClient, patience: Patience, types: str) -> AsyncIterator[Channel]:
    cursor = None
    for _ in range(MOST_LIST_PAGES):
        page = await patience.asked(partial(client.conversations_list, types=types, limit=LIST_PAGE, cursor=cursor))
        for item in items_of(page, "channels"):
            if (found := _channel(item)) is not None:
                yield found
        cursor = next_cursor(page.data)
        if cursor is None:
            return
    raise CanNotTell(f"it is not among the first {LIST_PAGE * MOST_LIST_PAGES:,}; its ID would be found")


def channel_of(answer: AsyncSlackResponse) -> Channel:
    """The channel that conversations.info shows. Raises NotSlacks where it shows none."""
    found = _channel(answer.get("channel"))
    if found is None:
        raise NotSlacks(answer.status_code, None)
    return found


def items_of(page: AsyncSlackResponse, name: str) -> list[Any]:
    """What a page lists. Raises NotSlacks where it has no such list."""
    items = page.get(name)
    if not isinstance(items, list):
        raise NotSlacks(page.status_code, None)
    return items


def next_cursor(answer: Any) -> str | None:
    """Where the next page of an answer begins; None after the last one."""
    metadata = answer.get("response_metadata") if isinstance(answer, Mapping) else None
    cursor = metadata.get("next_cursor") if isinstance(metadata, Mapping) else None
    return cursor if isinstance(cursor, str) and cursor else None


def _channel(item: Any) -> Channel | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
        return None
    member = item.get("is_member") or item.get("is_im")  # a direct message has no members to be one of
    archived = item.get("is_archived")
    return Channel(item["id"], str(item.get("name", "")), bool(member), bool(archived))
