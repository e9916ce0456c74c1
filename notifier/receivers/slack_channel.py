"""Finding a channel: by its ID with conversations.info, by its name in the pages of conversations.list."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from notifier.receivers.slack_http import NotSlacks, error_code

LIST_PAGE: Final = 200  # Slack recommends no more
MOST_LIST_PAGES: Final = 50


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as Slack shows it to the token."""

    id: str
    name: str
    is_member: bool
    is_archived: bool


def is_channel_id(channel: str) -> bool:
    """C0123ABCD: the IDs of channels begin with C or G, those of direct messages with D; no name has a capital."""
    return channel[:1] in ("C", "G", "D") and channel.isalnum() and channel.isupper()


async def find_channel(client: AsyncWebClient, channel: str) -> Channel | None:
    """The channel of an ID or a name, None for a name that is not listed.

    Raises what slack-sdk and aiohttp raise: SlackApiError with `missing_scope` where the token may not ask.
    """
    if is_channel_id(channel):
        answer = await client.conversations_info(channel=channel)
        return _channel(answer.get("channel"))
    name = channel.removeprefix("#")
    try:
        return await _named(client, name, "public_channel,private_channel")
    except SlackApiError as error:
        # A token without groups:read may list public channels alone; where it is not among those, nobody can tell.
        if error_code(error) == "missing_scope" and (found := await _named(client, name, "public_channel")):
            return found
        raise


async def _named(client: AsyncWebClient, name: str, types: str) -> Channel | None:
    async for found in _listed(client, types):
        if found.name == name:
            return found
    return None


async def _listed(client: AsyncWebClient, types: str) -> AsyncIterator[Channel]:
    cursor = None
    for _ in range(MOST_LIST_PAGES):
        page = await client.conversations_list(types=types, limit=LIST_PAGE, cursor=cursor)
        for item in items_of(page, "channels"):
            if (found := _channel(item)) is not None:
                yield found
        cursor = next_cursor(page.data)
        if cursor is None:
            return


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
