"""What is on its way to a receiver, how an attempt ended, and what a receiver shows of a story."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from notifier.model.event import RUN_STORY
from notifier.model.incident import Check


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has not gone well, by receiver, and by workspace and check; who is not named has none of it.

    `oldest`: when the event was seen whose delivery has waited longest.
    """

    pending: Mapping[str, int]
    oldest: Mapping[str, datetime]
    dead: Mapping[str, int]
    incidents: Mapping[tuple[str, Check], int]


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """One event on its way to one receiver."""

    id: int
    event_id: str
    event_type: str
    workspace: str
    sync_id: int
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
    """A receiver as the database knows it. `broken_since` is None while it works.

    `note` is what its sender asked to be remembered, and means something to it alone. `failed_since`: the first failed
    attempt since it last took a message; `failing`: it has taken none for five minutes of attempts since.
    """

    name: str
    broken_since: datetime | None = None
    last_error: str | None = None
    last_accepted_at: datetime | None = None
    hold_until: datetime | None = None
    probe_at: datetime | None = None
    note: str | None = None
    failed_since: datetime | None = None
    failing: bool = False

    @property
    def works(self) -> bool:
        """Whether it takes messages as far as is known."""
        return self.broken_since is None and not self.failing


@dataclass(frozen=True, slots=True)
class Posted:
    """What a receiver shows of a story: `reference` means something to its sender alone, `event_id` is the last event
    whose state it shows."""

    reference: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a story of a receiver stands after an attempt. The stories `taken_over` have no message of their own any
    more."""

    receiver: str
    story: str
    posted: Posted
    at: datetime
    taken_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """What a message goes on with, and where its receiver stands with it.

    `posted`: the receiver's message of it; `posted_of_run`: that of a run, whose `run_story` ends with becoming part of
    this one. `state`: the body of the event that tells how things are now, `state_id` its ID; `is_current`: `posted`
    shows that already. `run`: the body of the newest event of the incident that tells of a run, where `state` does not.
    `latest`: the body of a run's event that came after `state`.
    """

    name: str
    state: bytes = field(repr=False)
    state_id: str
    posted: Posted | None = None
    posted_of_run: Posted | None = None
    run_story: str | None = None
    is_current: bool = False
    run: bytes | None = field(default=None, repr=False)
    latest: bytes | None = field(default=None, repr=False)

    @property
    def is_incident(self) -> bool:
        """Whether it is one of an incident, rather than of a run by itself."""
        return not self.name.startswith(RUN_STORY)


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver is asked to send: the event's ID and body, the same at every attempt.

    `maybe_sent_at` is set where an earlier attempt, begun then, may have reached a receiver that can be asked.
    `quiet`: it may change what is shown of its story, and makes no new message. `followers`: the story's next events,
    which wait too.
    """

    event_id: str
    event_type: str
    body: bytes = field(repr=False)
    maybe_sent_at: datetime | None = None
    quiet: bool = False
    mentions: tuple[str, ...] = ()
    story: Story | None = None
    followers: tuple["Message", ...] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it. `hold`: it asked to be left alone that long all the same.

    `note`: what the sender wants to know after a restart. `answer`: what came back, for a person to read. `count`: how
    many of the message and its followers it now has. `posted`: where its story stands. `unsent`: there was nothing to
    send, so that it says nothing of the receiver. `caveat`: what is missing of the message, and why.
    """

    hold: timedelta | None = None
    note: str | None = None
    answer: str = field(default="", compare=False)
    count: int = 1
    posted: Posted | None = None
    unsent: bool = field(default=False, compare=False)
    caveat: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try this message again; `after` is what the receiver asked for (Retry-After).

    `maybe_sent`: the end of this attempt, or of an earlier one, is unknown. `for_all`: it asked so for all messages.
    """

    reason: str
    after: timedelta | None = None
    maybe_sent: bool = False
    for_all: bool = True


@dataclass(frozen=True, slots=True)
class Broken:
    """The receiver itself is wrong (address, credentials): no message gets through until someone acts.

    `maybe_sent`: as in Retry.
    """

    reason: str
    after: timedelta | None = None
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """This message will never be accepted; others may."""

    reason: str
    hold: timedelta | None = None


Outcome: TypeAlias = Delivered | Retry | Broken | Refused


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a receiver would work, as far as can be told without sending. `ok` is None where it can't be told.

    `notes`: what the operator may want to know besides.
    """

    ok: bool | None
    said: str
    notes: tuple[str, ...] = ()
