"""What there is to do for the events of one story that wait: what the channel shows, and what the thread says. Pure.

One message shows how things are now. Of an incident, each event but the first adds a line to its thread; what matters
to the whole channel is shown there too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from notifier.model.body import EventBody
from notifier.model.delivery import Message, Posted, Story
from notifier.model.event import EventType
from notifier.model.incident import Reason
from notifier.receivers.slack.blocks.run import render
from notifier.receivers.slack.blocks.text import Rendered
from notifier.receivers.slack.blocks.thread import lines

_FOR_ALL: Final = frozenset({EventType.INCIDENT_REMINDER.value, EventType.INCIDENT_RESOLVED.value})


@dataclass(frozen=True, slots=True)
class Reference:
    """A message in Slack."""

    channel: str
    ts: str
    showed: str
    """The event whose state it showed when it was posted."""

    def __str__(self) -> str:
        return f"{self.channel}:{self.ts}:{self.showed}"

    @classmethod
    def of(cls, posted: Posted | None) -> "Reference | None":
        """The reference that was kept as text."""
        parts = posted.reference.split(":") if posted is not None else []
        return cls(*parts) if len(parts) == len(cls.__slots__) else None


@dataclass(frozen=True, slots=True)
class Chapter:
    """The events of one story that wait, and how things are now."""

    story: Story
    events: tuple[Message, ...]
    """First to last."""
    told: tuple[Message, ...]
    """Those of them that have something to say, rather than only to change."""
    bodies: tuple[EventBody, ...]
    """What those say."""
    state: EventBody
    """How things are now; where that tells of no run, with the run that was told of last."""
    latest: EventBody | None
    """A run's event that came after that."""

    @classmethod
    def of(cls, message: Message, story: Story) -> "Chapter":
        events = (message, *message.followers)
        read = [(event, EventBody.of(event.body)) for event in events]
        told = [(event, body) for event, body in read if not event.quiet and is_announced(body)]
        state, latest = EventBody.of(story.state), EventBody.of(story.latest) if story.latest is not None else None
        if story.run is not None and not state.run:
            earlier = EventBody.of(story.run)
            state = replace(state, run=earlier.run, previous_run=earlier.previous_run)
        return cls(story, events, tuple(e for e, _ in told), tuple(b for _, b in told), state, latest)

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
        return render(self.state, now, mentions=mentions, latest=self.latest, living=True)

    @property
    def called(self) -> tuple[str, ...]:
        """Who is mentioned in what is posted: nobody is called for what is over."""
        if self._is_over:
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
        called = () if self._is_over else mentions
        over = EventBody.of(self.story.state) if self._was_over else None  # as it is: without a run of another event
        return lines(self.bodies, now, mentions=called, in_channel=in_channel, over=over)

    @property
    def _is_over(self) -> bool:
        return self.state.incident is not None and not self.state.incident.is_open

    @property
    def _was_over(self) -> bool:
        """Whether the incident is over, and how it ended is not what is told now but was, or will be."""
        return self._is_over and all(event.event_id != self.story.state_id for event in self.events)


def is_announced(event: EventBody) -> bool:
    """Whether an event is worth a message: not where an incident just ends, because its check is off, say."""
    if event.type != EventType.INCIDENT_RESOLVED:
        return True
    return event.incident is not None and event.incident.reason == Reason.RECOVERED
