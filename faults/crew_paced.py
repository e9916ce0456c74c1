"""Several workers who have more to ask and to tell than they may: whatever one too many does shows at once.

Each workspace has more syncs than its budget allows to poll as often as is asked for, and who takes it begins with a
burst; the channel in Slack has messages that wait.
"""

import time
from typing import Final

from faults.account import CHANNEL
from faults.crew import NAMES, Asked, Crew
from faults.paces import must_keep_slacks_pace, must_keep_the_budget
from faults.row import Figures, Size
from tests.acceptance.story import Story

SYNCS: Final = tuple(range(51, 63))
QUIET: Final = tuple(range(101, 165))
"""Syncs of which there is nothing to tell: they are polled also by whoever can't keep anything."""
RATE: Final = 8
"""Requests a second to a workspace."""
ASKED: Final = Asked(rate=RATE, living=SYNCS[:4])
WAITING: Final = (
    "SELECT count(*) FROM deliveries WHERE state = 'pending' AND receiver = %s"  # to be asked for with its name
)
MOST_BUNCHED: Final = 3.0
"""So many requests may be on their way and arrive together."""
BUNCHED_BESIDE_OTHERS: Final = 5.0
"""The same in the short form: who has to wait for a processor sends late what he was allowed earlier."""


def start_paced(crew: Crew) -> None:
    """Starts three workers; all syncs have their baseline, and all parts somebody who keeps them."""
    crew.simulator.slack.enforce_pace = True
    crew.simulator.sink.answer(delay=0.08)
    for sync_id in QUIET:
        crew.simulator.add_sync(id=sync_id)
    crew.start_watching(NAMES, SYNCS)
    crew.wait_until_settled()


def keep_the_channel_busy(crew: Crew, story: Story, messages: int) -> None:
    """Some runs fail; returns when half of so many messages wait for the channel."""
    waiting = crew.look(WAITING, CHANNEL)[0][0]
    for place in range(max(0, messages - waiting)):
        run = crew.simulator.add_run(SYNCS[place % len(SYNCS)], status="failed", error_code="BROKE")
        story.runs.append(run["id"])
    crew.wait_until(lambda: crew.look(WAITING, CHANNEL)[0][0] >= messages // 2)


def must_have_kept_pace(crew: Crew, size: Size) -> Figures:
    """What the workspaces and Slack saw of all workers together, since the first of them began."""
    asked = {name: [request.at for request in requests] for name, requests in crew.simulator.asked().items()}
    tolerance = size.pick(BUNCHED_BESIDE_OTHERS, MOST_BUNCHED)
    return {
        "a workspace's budget, at the fullest": must_keep_the_budget(asked, RATE, tolerance),
        "Slack, at the least": must_keep_slacks_pace(crew.simulator.slack.requests),
    }


def wait_until_all_are_there(crew: Crew) -> None:
    """Until each has its place, and each part somebody who lives."""
    crew.wait_until(lambda: {name for name, _ in crew.lives()} == set(crew.workers))
    crew.wait_until_owned()


def seconds_since(began: float) -> float:
    """Of the monotonic clock."""
    return time.monotonic() - began
