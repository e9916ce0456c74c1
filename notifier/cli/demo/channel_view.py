"""What the simulated Slack was sent, in order of time: drawn as a reader of the channels would notice it, or as JSON.

For the demo.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import typer
from rich.console import Console, RenderableType

from notifier.cli.demo.slack_terminal import drawn, drawn_broadcast, drawn_edit, drawn_reply, headline_of
from notifier.simulator import SlackMessage, SlackSimulator


class Action(StrEnum):
    """What was done to a channel."""

    POST = "post"
    EDIT = "edit"
    REPLY = "reply"


_COUNTED: Final = {
    Action.POST: ("message", "messages"),
    Action.EDIT: ("edit", "edits"),
    Action.REPLY: ("reply", "replies"),
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that Slack was sent."""

    action: Action
    message: SlackMessage
    """As it is by now."""
    text: str
    """What the message said from then on."""
    blocks: Sequence[Any]
    """Its blocks from then on."""
    before: Sequence[Any]
    """Its blocks until then."""
    at: float
    """time.monotonic()."""
    ts: str
    """The time that Slack gave to it: an edit's is not its message's."""


def happenings(messages: Sequence[SlackMessage]) -> list[Happening]:
    """All that was done, first to last."""
    return sorted((one for message in messages for one in _of(message)), key=lambda one: one.at)


def _of(message: SlackMessage) -> Iterator[Happening]:
    action = Action.POST if message.thread_ts is None else Action.REPLY
    text, blocks = _at_first(message.request) if message.edits else (message.text, message.blocks)
    yield Happening(action, message, text, blocks, (), message.at, message.ts)
    for edit in message.edits:
        yield Happening(Action.EDIT, message, edit.text, edit.blocks, blocks, edit.at, edit.ts)
        blocks = edit.blocks


def _at_first(request: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    """What a message said when it was posted; in a form, the blocks are JSON."""
    blocks = request.get("blocks") or []
    return str(request.get("text", "")), json.loads(blocks) if isinstance(blocks, str) else blocks


@dataclass(slots=True)
class ChannelView:
    """Shows each thing once, when it happens. `channels`: their names by their ID."""

    out: Console
    slack: SlackSimulator
    channels: Mapping[str, str]
    as_json: bool = False
    shown: Counter[Action] = field(default_factory=Counter)

    async def follow(self, longest: timedelta) -> None:
        """Shows what happens until it is canceled, which has to be before so much time is over."""
        while True:
            await self.slack.wait_for(self._has_news, timeout=longest.total_seconds())
            self.look()

    def look(self) -> None:
        """Shows what happened since the last look."""
        for one in happenings(self.slack.messages())[self.shown.total() :]:
            self.shown[one.action] += 1
            if self.as_json:
                typer.echo(json.dumps(self._document(one), ensure_ascii=False))
            else:
                self.out.print(self._drawn(one))

    @property
    def summary(self) -> str:
        """How much was shown: "3 messages, 1 edit, no replies"."""
        return ", ".join(
            f"{self.shown[action] or 'no'} {one if self.shown[action] == 1 else many}"
            for action, (one, many) in _COUNTED.items()
        )

    def _has_news(self, messages: list[SlackMessage]) -> bool:
        return sum(1 + len(message.edits) for message in messages) > self.shown.total()

    def _document(self, one: Happening) -> dict[str, Any]:
        message = one.message
        return {
            "channel": self.channels[message.channel],
            "action": one.action,
            "ts": message.ts,
            "thread_ts": message.thread_ts,
            "broadcast": message.broadcast,
            "text": one.text,
            "blocks": one.blocks,
            "metadata": message.metadata,
        }

    def _drawn(self, one: Happening) -> RenderableType:
        message, at = one.message, _time(one.ts)
        said = (self.channels[message.channel], one.text, one.blocks, at)
        if one.action is Action.EDIT:
            return drawn_edit(*said, before=one.before, posted_at=_time(message.ts))
        if message.thread_ts is None:
            return drawn(*said)
        if message.broadcast:
            return drawn_broadcast(*said, parent_at=_time(message.thread_ts))
        return drawn_reply(*said, headline=self._parent(message))

    def _parent(self, reply: SlackMessage) -> str:
        """The headline of a thread's message, as it is by now."""
        messages = self.slack.messages(reply.channel)
        parent = next((message for message in messages if message.ts == reply.thread_ts), None)
        return headline_of(parent.text, parent.blocks) if parent is not None else "a message that is gone"


def _time(ts: str) -> datetime:
    return datetime.fromtimestamp(float(ts), UTC)
