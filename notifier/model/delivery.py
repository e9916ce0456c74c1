"""What is on its way to a receiver, how an attempt ended, and what a receiver shows of a story."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from notifier.model.delivery_state import DeliveryState as DeliveryState
from notifier.model.event import RUN_STORY
from notifier.model.identity import Id
from notifier.model.incident import Check


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, has failed for good or is wrong. A receiver or workspace without any of it is left out."""

    pending: Mapping[str, int]
    """By receiver, how many deliveries wait."""
    oldest: Mapping[str, datetime]
    """By receiver, when the event was seen whose delivery has waited longest."""
    dead: Mapping[str, int]
    """By receiver, how many deliveries were given up."""
    incidents: Mapping[tuple[str, Check], int]
    """By workspace and check, how many incidents are open."""


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """One event on its way to one receiver."""

    id: int
    event_id: str
    event_type: str
    workspace: str
    sync_id: Id
    attempts: int
    created_at: datetime
    """When the event was seen."""
    next_attempt_at: datetime
    clock_started_at: datetime
    """When its time to give up began."""
    first_failed_at: datetime | None
    aside: bool
    """Others of its sync may overtake it."""
    maybe_sent_at: datetime | None = None
    """When the first attempt began whose end nobody knows: the receiver may have the message."""
    story: str | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one attempt; written before the next attempt of the same lane."""

    delivery_id: int
    state: DeliveryState
    attempts: int
    settled_at: datetime
    next_attempt_at: datetime | None
    first_failed_at: datetime | None
    aside: bool
    last_error: str | None
    maybe_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """A receiver as the database knows it."""

    name: str
    broken_since: datetime | None = None
    """Since when no message gets through until someone acts."""
    last_error: str | None = None
    last_accepted_at: datetime | None = None
    hold_until: datetime | None = None
    """Until when it asked to be left alone."""
    probe_at: datetime | None = None
    """When a command asked last that it is tried though it is broken."""
    note: str | None = None
    """What its sender asked to be remembered; it means something to the sender alone."""
    failed_since: datetime | None = None
    """The first failed attempt since it last took a message."""
    failing: bool = False
    """It has taken no message in five minutes of attempts or more."""

    @property
    def works(self) -> bool:
        """Whether it takes messages as far as is known."""
        return self.broken_since is None and not self.failing


@dataclass(frozen=True, slots=True)
class Posted:
    """What a receiver shows of a story."""

    reference: str
    """Where; it means something to its sender alone."""
    event_id: str
    """The last event whose state it shows."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a story stands at a receiver after an attempt."""

    receiver: str
    story: str
    posted: Posted
    at: datetime
    taken_over: tuple[str, ...] = ()
    """Stories that became part of this one, and have no message of their own any more."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a message goes on with, and what its receiver shows of it."""

    name: str
    state: bytes = field(repr=False)
    """The body of the event that tells how things are now."""
    state_id: str
    """The ID of that event."""
    posted: Posted | None = None
    """The receiver's message of the story."""
    posted_of_run: Posted | None = None
    """Its message of a run that becomes part of this story."""
    run_story: str | None = None
    """The story of that run, which ends with it."""
    is_current: bool = False
    """`posted` shows `state` already."""
    run: bytes | None = field(default=None, repr=False)
    """The body of the incident's newest event that tells of a run, where `state` does not."""
    latest: bytes | None = field(default=None, repr=False)
    """The body of a run's event that came after `state`."""

    @property
    def is_incident(self) -> bool:
        """Whether it is one of an incident, rather than of a run by itself."""
        return not self.name.startswith(RUN_STORY)


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver is asked to send: an event, whose ID and body are the same at every attempt."""

    event_id: str
    event_type: str
    body: bytes = field(repr=False)
    maybe_sent_at: datetime | None = None
    """When an earlier attempt began that may have reached the receiver, if that can be asked."""
    quiet: bool = False
    """It may change what is shown of its story, and makes no new message."""
    mentions: tuple[str, ...] = ()
    story: Story | None = None
    followers: tuple["Message", ...] = ()
    """The story's next events, which wait too."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""

    hold: timedelta | None = None
    """For how long it asked to be left alone all the same."""
    note: str | None = None
    """What the sender wants to know after a restart."""
    answer: str = field(default="", compare=False)
    """What came back, for a person to read."""
    count: int = 1
    """How many of the message and its followers it has now."""
    posted: Posted | None = None
    """What it shows of the story now."""
    unsent: bool = field(default=False, compare=False)
    """There was nothing to send, so that this says nothing of the receiver."""
    caveat: str | None = None
    """What is missing of the message, and why."""


@dataclass(frozen=True, slots=True)
class Retry:
    """This message is to be tried again."""

    reason: str
    after: timedelta | None = None
    """For how long the receiver asked to be left alone (Retry-After)."""
    maybe_sent: bool = False
    """How this attempt, or an earlier one, ended is not known: the receiver may have the message."""
    for_all: bool = True
    """It asked so for all messages, and not for those alone that pass the same gate."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The receiver itself is wrong (address, credentials): no message gets through until someone acts."""

    reason: str
    after: timedelta | None = None
    """As in Retry."""
    maybe_sent: bool = False
    """As in Retry."""


@dataclass(frozen=True, slots=True)
class Refused:
    """This message will never be accepted; others may."""

    reason: str
    hold: timedelta | None = None
    """As in Delivered."""


Outcome: TypeAlias = Delivered | Retry | Broken | Refused


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a receiver would work, as far as can be told without sending."""

    ok: bool | None
    """None where it can't be told."""
    said: str
    notes: tuple[str, ...] = ()
    """What the operator may want to know besides."""
