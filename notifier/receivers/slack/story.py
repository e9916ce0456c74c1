"""What there is to do for the events of one story that wait: what the channel shows, and what the thread says. Pure.

One message shows how things are now. Of an incident, each event but the first adds a line to its thread; what matters
to the whole channel is shown there too.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from notifier.model.delivery import Message, Posted, Story
from notifier.model.event import EventType
from notifier.model.incident import Reason
from notifier.receivers.slack.blocks.run import render
from notifier.receivers.slack.blocks.text import Rendered
from notifier.receivers.slack.blocks.thread import lines

_FOR_ALL: Final = frozenset({EventType.INCIDENT_REMINDER.value, EventType.INCIDENT_RESOLVED.value})


@dataclass(frozen=True, slots=True)
class Reference:
    """A message in Slack. `showed`: the event whose state it showed when it was posted."""

    channel: str
    ts: str
    showed: str

    def __str__(self) -> str:
        return f"{self.channel}:{self.ts}:{self.showed}"

    @classmethod
    def of(cls, posted: Posted | None) -> "Reference | None":
        """The reference that was kept as text."""
        parts = posted.reference.split(":") if posted is not None else []
        return cls(*parts) if len(parts) == len(cls.__slots__) else None


@dataclass(frozen=True, slots=True)
class Chapter:
    """The events of one story that wait, first to last."""

    events: tuple[Message, ...]
    story: Story

    @classmethod
    def of(cls, message: Message, story: Story) -> "Chapter":
        return cls((message, *message.followers), story)

    @property
    def told(self) -> tuple[Message, ...]:
        """Those that have something to say, rather than only to change."""
        return tuple(event for event in self.events if not event.quiet and is_announced(event))

    def count_through(self, event_id: str | None) -> int:
        """How many events there are up to this one, or just the first."""
        ids = [event.event_id for event in self.events]
        return ids.index(event_id) + 1 if event_id in ids else 1

    @property
    def count_of_first_message(self) -> int:
        """How many events are done once the story's message is posted: those behind have a line in its thread."""
        if not self.story.is_incident or not self.told:
            return len(self.events)
        return self.count_through(self.told[0].event_id)

    def root(self, now: datetime, *, mentions: Sequence[str] = ()) -> Rendered:
        """The story's message as it is now. Edits mention nobody."""
        return render(_with_run(self.story), now, mentions=mentions, latest=self.story.latest, living=True)

    @property
    def called(self) -> tuple[str, ...]:
        """Who is mentioned in what is posted: nobody is called for what is over."""
        if _is_over(self.story.state):
            return ()
        return tuple(dict.fromkeys(name for event in self.told for name in event.mentions))

    def in_channel(self, reference: Reference, *, taken_over: bool) -> bool:
        """Whether the reply is shown in the channel too: not what the message itself showed there when it was new."""
        shown = {event.event_id for event in self.events[: self.count_through(reference.showed)]}
        fresh = shown if reference.showed in shown else frozenset()
        for_all = _FOR_ALL | ({EventType.INCIDENT_OPENED.value} if taken_over else frozenset())
        if self._was_over:
            for_all = frozenset()
        return any(event.event_type in for_all and event.event_id not in fresh for event in self.told)

    def reply(self, now: datetime, *, in_channel: bool, mentions: Sequence[str] = ()) -> Rendered:
        """The lines for the thread, all in one."""
        called = () if _is_over(self.story.state) else mentions
        over = self.story.state if self._was_over else None
        return lines([event.body for event in self.told], now, mentions=called, in_channel=in_channel, over=over)

    @property
    def _was_over(self) -> bool:
        """Whether the incident is over, and how it ended is not what is told now but was, or will be."""
        return _is_over(self.story.state) and all(event.event_id != self.story.state_id for event in self.events)


def is_announced(message: Message) -> bool:
    """Whether an event is worth a message: not where an incident just ends, because its check is off, say."""
    if message.event_type != EventType.INCIDENT_RESOLVED:
        return True
    return bool(_incident(message.body).get("reason") == Reason.RECOVERED)


def _is_over(body: bytes) -> bool:
    return bool(_incident(body).get("state") == "resolved")


def _incident(body: bytes) -> dict[str, Any]:
    incident = json.loads(body)["data"].get("incident")
    return incident if isinstance(incident, dict) else {}


def _with_run(story: Story) -> bytes:
    """The state's body; where it tells of no run, with the run that was told of last."""
    if story.run is None:
        return story.state
    event, earlier = json.loads(story.state), json.loads(story.run)
    run = {key: earlier["data"].get(key) for key in ("sync_run", "previous_run")}
    event["data"] = {**run, "changes": [], **event["data"]}
    return json.dumps(event).encode()
