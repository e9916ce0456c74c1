"""What is told to those who count what the worker does. The meters here do nothing; service/metrics.py has those that
count."""

from enum import StrEnum

from notifier.model.delivery import Broken, DeliveryState, Outcome
from notifier.model.errors import CensusError, NotFound, Throttled, Unauthorized, Unreachable
from notifier.model.event import EventType


class PollOutcome(StrEnum):
    """What a poll came to."""

    OK = "ok"
    NOT_FOUND = "not_found"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    UNUSABLE = "unusable"
    NOT_KEPT = "not_kept"
    """The database could not be written."""
    FAULT = "fault"
    """A fault of the notifier."""


class DeliveryOutcome(StrEnum):
    """What an attempt came to. Dead: refused, or tried for too long."""

    DELIVERED = "delivered"
    RETRY = "retry"
    BROKEN = "broken"
    DEAD = "dead"


def poll_outcome(error: CensusError) -> PollOutcome:
    """What a poll came to that got no answer to use."""
    match error:
        case NotFound():
            return PollOutcome.NOT_FOUND
        case Unauthorized():
            return PollOutcome.UNAUTHORIZED
        case Throttled():
            return PollOutcome.THROTTLED
        case Unreachable():
            return PollOutcome.UNREACHABLE
        case _:
            return PollOutcome.UNUSABLE


def delivery_outcome(outcome: Outcome, state: DeliveryState) -> DeliveryOutcome:
    """What an attempt came to that left its delivery in a state."""
    if state is DeliveryState.PENDING:
        return DeliveryOutcome.BROKEN if isinstance(outcome, Broken) else DeliveryOutcome.RETRY
    return DeliveryOutcome.DELIVERED if state is DeliveryState.DELIVERED else DeliveryOutcome.DEAD


class WorkspaceMeter:
    """Is told what happens in one workspace. This one does nothing, for whoever does not count."""

    def poll_begins(self, lag: float) -> None:
        """A poll begins, `lag` seconds after it was due."""

    def poll_ended(self, outcome: PollOutcome, seconds: float) -> None:
        """A poll ended, so long after it began."""

    def request_ended(self, status: int | None) -> None:
        """The API answered with an HTTP status; None where there was no answer."""

    def event_recorded(self, event_type: EventType) -> None:
        """An event is in the database."""


class ReceiverMeter:
    """Is told what becomes of one receiver's deliveries. This one does nothing."""

    def attempt_ended(self, outcome: DeliveryOutcome, since_seen: float) -> None:
        """What an attempt came to is in the database, so many seconds after its event was seen."""


NO_WORKSPACE_METER = WorkspaceMeter()
NO_RECEIVER_METER = ReceiverMeter()
