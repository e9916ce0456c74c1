"""The simulated Slack workspace: its channels, what was posted to them, tokens and incoming webhooks. Knows no HTTP."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from notifier.simulator.workspace import UnknownObjectError

TEAM_ID: Final = "T0000000001"
BOT_ID: Final = "B0000000001"
BOT_USER: Final = "U0000000001"
ANOTHER_USER: Final = "U0000000002"
DEFAULT_TOKEN: Final = "xoxb-simulated"
DEFAULT_SCOPES: Final = ("chat:write", "channels:history", "groups:history", "channels:read", "groups:read")


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """A channel as the bot sees it: `member` is whether the bot is in it.

    `threads`, `posts` and `broadcasts`: whether it takes replies, anything but replies, and messages that call all.
    """

    id: str
    name: str
    private: bool = False
    member: bool = True
    archived: bool = False
    threads: bool = True
    posts: bool = True
    broadcasts: bool = True


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says, after it was found to be in order."""

    text: str
    blocks: list[Any]
    metadata: dict[str, Any] | None
    mrkdwn: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a message: what it said from then on, the arguments as they were given, when (time.monotonic()), and
    the time that Slack shows for it."""

    text: str
    blocks: list[Any]
    request: Mapping[str, Any]
    at: float
    ts: str


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message in a channel, as it is now. `request` holds the arguments with which it was posted, as they were given;
    `at` is time.monotonic() then."""

    ts: str
    channel: str
    text: str
    blocks: list[Any]
    metadata: dict[str, Any] | None
    thread_ts: str | None
    mrkdwn: bool
    request: Mapping[str, Any]
    at: float
    user: str = BOT_USER
    broadcast: bool = False
    """Whether a reply in a thread is shown in the channel too."""
    edits: tuple[Edit, ...] = ()
    """Oldest first: the last one says what `text` and `blocks` say. What was posted at first is in `request`."""


class SlackWorkspace:
    """What the API and the incoming webhooks work on."""

    def __init__(self) -> None:
        self.channels: dict[str, SlackChannel] = {}
        self.messages: list[SlackMessage] = []
        self.aliases: dict[str, str] = {}
        """The channel's ID by one that it had before, under which it can still be posted to."""
        self.locked: set[tuple[str, str]] = set()
        """The messages, by channel and time, to whose threads nobody may add."""
        self.webhooks: dict[str, str] = {}
        """The channel's ID by the path of the webhook."""
        self._scopes: dict[str, tuple[str, ...]] = {DEFAULT_TOKEN: DEFAULT_SCOPES}
        self._revoked: set[str] = set()
        self._channels_made = 0
        self._webhooks_made = 0
        self._last_microsecond = 0

    def add_channel(self, channel_id: str | None, name: str, *, private: bool, member: bool, archived: bool) -> str:
        """Adds a channel and gives its ID. Raises ValueError for a name or an ID that is taken."""
        if channel_id is None:
            self._channels_made += 1
            channel_id = f"C{self._channels_made:010d}"
        channel = SlackChannel(channel_id, name.removeprefix("#"), private, member, archived)
        if channel_id in self.channels or any(other.name == channel.name for other in self.channels.values()):
            raise ValueError(f"there is a channel {channel_id} or one that is named {name} already")
        self.channels[channel_id] = channel
        return channel_id

    def update_channel(self, channel_id: str, fields: Mapping[str, Any]) -> None:
        """Changes fields of a channel. Raises UnknownObjectError."""
        self.channels[channel_id] = replace(self._known(channel_id), **fields)

    def remove_channel(self, channel_id: str) -> None:
        """Removes a channel; its webhooks lead nowhere from then on. Raises UnknownObjectError."""
        self._known(channel_id)
        del self.channels[channel_id]

    def add_alias(self, channel_id: str, earlier_id: str) -> None:
        """Lets a channel be posted to by an ID that it had before. Raises UnknownObjectError."""
        self._known(channel_id)
        self.aliases[earlier_id] = channel_id

    def lock_thread(self, channel_id: str, ts: str) -> None:
        """Nobody may reply to a message any more. Raises UnknownObjectError."""
        if self.parent(channel_id, ts) is None:
            raise UnknownObjectError(f"{channel_id} {ts}")
        self.locked.add((channel_id, ts))

    def find_channel(self, wanted: str) -> SlackChannel | None:
        """The channel of that ID, or of that name, with or without "#"."""
        name, wanted = wanted.removeprefix("#"), self.aliases.get(wanted, wanted)
        by_name = (channel for channel in self.channels.values() if channel.name == name)
        return self.channels.get(wanted) or next(by_name, None)

    def add_token(self, token: str, scopes: tuple[str, ...]) -> None:
        """Makes a token valid, with these scopes; one that was valid before changes them."""
        self._scopes[token] = scopes
        self._revoked.discard(token)

    def revoke_token(self, token: str) -> None:
        """Ends a token. Raises UnknownObjectError."""
        if self._scopes.pop(token, None) is None:
            raise UnknownObjectError("no such token")
        self._revoked.add(token)

    def scopes_of(self, token: str) -> tuple[str, ...] | None:
        """What a token may do; None for one that is not valid."""
        return self._scopes.get(token)

    def is_revoked(self, token: str) -> bool:
        """Whether a token was valid once."""
        return token in self._revoked

    def add_webhook(self, channel_id: str) -> str:
        """Makes an incoming webhook and gives its path. Raises UnknownObjectError."""
        self._known(channel_id)
        self._webhooks_made += 1
        path = f"/services/{TEAM_ID}/B{self._webhooks_made:010d}/{self._webhooks_made:024d}"
        self.webhooks[path] = channel_id
        return path

    def remove_webhook(self, path: str) -> None:
        """Removes an incoming webhook. Raises UnknownObjectError."""
        if self.webhooks.pop(path, None) is None:
            raise UnknownObjectError(path)

    def post(
        self,
        channel_id: str,
        content: Content,
        request: Mapping[str, Any],
        *,
        thread_ts: str | None = None,
        broadcast: bool = False,
        user: str = BOT_USER,
    ) -> SlackMessage:
        """Keeps a message."""
        message = SlackMessage(
            ts=self._next_ts(),
            channel=channel_id,
            text=content.text,
            blocks=content.blocks,
            metadata=content.metadata,
            thread_ts=thread_ts,
            mrkdwn=content.mrkdwn,
            request=request,
            at=time.monotonic(),
            user=user,
            broadcast=broadcast,
        )
        self.messages.append(message)
        return message

    def post_elsewhere(self, channel_id: str, text: str) -> SlackMessage:
        """Keeps a message that some other person wrote. Raises UnknownObjectError."""
        self._known(channel_id)
        return self.post(channel_id, Content(text, [], None, mrkdwn=True), {}, user=ANOTHER_USER)

    def edit(self, message: SlackMessage, content: Content, request: Mapping[str, Any]) -> SlackMessage:
        """Makes a message say something else, in its place, and gives it as it is now."""
        edit = Edit(content.text, content.blocks, request, time.monotonic(), self._next_ts())
        edited = replace(
            message,
            text=content.text,
            blocks=content.blocks,
            metadata=content.metadata,
            mrkdwn=content.mrkdwn,
            edits=(*message.edits, edit),
        )
        self.messages[self.messages.index(message)] = edited
        return edited

    def delete(self, channel_id: str, ts: str) -> None:
        """Takes a message away; its replies stay, out of reach of the API. Raises UnknownObjectError."""
        message = self.find_message(channel_id, ts)
        if message is None:
            raise UnknownObjectError(f"{channel_id} {ts}")
        self.messages.remove(message)

    def posted(self, channel_id: str | None) -> list[SlackMessage]:
        """What came in through the API and the webhooks, oldest first: of one channel, or of all."""
        return [m for m in self.messages if m.user == BOT_USER and channel_id in (None, m.channel)]

    def find_message(self, channel_id: str, ts: object) -> SlackMessage | None:
        """The message of that channel and time, in a thread or not."""
        return next((m for m in self.messages if (m.channel, m.ts) == (channel_id, ts)), None)

    def parent(self, channel_id: str, ts: object) -> SlackMessage | None:
        """The message of that channel under which a thread may hang."""
        found = self.find_message(channel_id, ts)
        return found if found is not None and found.thread_ts is None else None

    def replies(self, channel_id: str, ts: str) -> list[SlackMessage]:
        """The thread under a message, oldest first, without the message."""
        return [m for m in self.messages if m.channel == channel_id and m.thread_ts == ts]

    def _known(self, channel_id: str) -> SlackChannel:
        if channel_id not in self.channels:
            raise UnknownObjectError(channel_id)
        return self.channels[channel_id]

    def _next_ts(self) -> str:
        # The wall clock, because clients ask for what was posted since a time of theirs; but never the same one twice.
        self._last_microsecond = max(time.time_ns() // 1000, self._last_microsecond + 1)
        return f"{self._last_microsecond // 1_000_000}.{self._last_microsecond % 1_000_000:06d}"
