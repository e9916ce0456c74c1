"""What was received, held against what was recorded, where the database lost what it had acknowledged.

What the lost commits had recorded may have been told; it is told again by what is recorded afterwards. So the
receivers' stories are those of what the database holds in the end, whole, and beside it is nothing but what was lost.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from faults.account import WEBHOOKS, Arrival, Kill, arrivals
from faults.database import Rows
from faults.row import must
from notifier.simulator import SimulatorThread
from tests.acceptance.story import Story, last_told


@dataclass(frozen=True, slots=True)
class Loss:
    """A fail-over that lost commits: what the old server had recorded when it was last looked at, and when that was."""

    kill: Kill
    """From when commits came to be lost until all workers had noticed; what was unsettled at the new server."""
    looked_at: float
    recorded: frozenset[str]


def has_told_the_truth(simulator: SimulatorThread, story: Story, recorded: Rows) -> bool:
    """Whether both webhooks know how each run is now, by what is in the database."""
    held = {event_id for event_id, *_ in recorded}
    truth = story.truth()
    accepted = [each for each in simulator.sink.accepted if each.headers["webhook-id"] in held]
    return all(last_told(each for each in accepted if each.path == f"/{name}") == truth for name in WEBHOOKS)


def set_apart(
    simulator: SimulatorThread, recorded: Rows, losses: Sequence[Loss]
) -> tuple[dict[str, list[Arrival]], Mapping[str, int]]:
    """By receiver, what came of that which is in the database, and how much beside that. Failed where that is more
    than the lost commits had recorded, or came after they were known to be lost."""
    held = {event_id for event_id, *_ in recorded}
    came = arrivals(simulator)
    for name, arrived in came.items():
        lost = [arrival for arrival in arrived if arrival.event_id not in held]
        for arrival in lost:
            must(
                any(_is_of(loss, arrival) for loss in losses),
                f"{name} got {arrival.event_id} at {arrival.at:.2f}, which is not in the database; lost was "
                f"{[(loss.kill.began, loss.looked_at, loss.kill.ended) for loss in losses]}",
            )
    whole = {name: [arrival for arrival in arrived if arrival.event_id in held] for name, arrived in came.items()}
    return whole, {name: len({a.event_id for a in came[name]} - held) for name in came}


def _is_of(loss: Loss, arrival: Arrival) -> bool:
    """Whether a message tells what was lost there. What was recorded after the last look came after it too."""
    known = arrival.event_id in loss.recorded or arrival.at > loss.looked_at
    return known and loss.kill.began < arrival.at < loss.kill.ended


def ids(recorded: Rows) -> Collection[str]:
    """Of the events."""
    return {event_id for event_id, *_ in recorded}
