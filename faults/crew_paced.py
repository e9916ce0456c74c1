"""Several workers who have more to ask and to tell than they may: whatever one too many does shows at once.

Each workspace has more syncs than its budget allows to poll as often as is asked for, and who takes it begins with a
burst; in Slack the one channel has messages that wait, and the other has edits.
"""

import time
from typing import Final

from faults.account import CHANNEL
from faults.crew import NAMES, Asked, Crew
from faults.crew_watchlist import LIVING
from faults.paces import must_keep_slacks_pace, must_keep_the_budget
from faults.row import Figures, Size
from tests.acceptance.story import Story

SYNCS: Final = tuple(range(51, 63))
QUIET: Final = tuple(range(101, 165))
"""Syncs of which there is nothing to tell: they are polled also by whoever can't keep anything."""
RATE: Final = 8
"""Requests a second to a workspace."""
ASKED: Final = Asked(rate=RATE, living=SYNCS[:4])
WAITING: Final = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND receiver = %s"
MOST_WAITING: Final = 6
LEAST_WAITING: Final = 2
MORE_AFTER: Final = 2.0
"""Seconds after which there are more, if what there was has not come to wait at one time."""
MOST_BUNCHED: Final = 3.0
"""So many requests may be on their way and arrive together."""
BUNCHED_BESIDE_OTHERS: Final = 4.0
"""The same in the short form: who has to wait for a processor sends late what he was allowed earlier."""


def start_paced(crew: Crew) -> None:
    """Starts three workers; all syncs have their baseline, and all parts somebody who keeps them."""
    crew.simulator.slack.enforce_pace = True
    crew.simulator.sink.answer(delay=0.08)
    for sync_id in QUIET:
        crew.simulator.add_sync(id=sync_id)
    crew.start_watching(NAMES, SYNCS)
    crew.wait_until_settled()


class Busy:
    """What keeps Slack busy beside the story: runs that fail, and some that only go on and on."""

    def __init__(self, crew: Crew, story: Story) -> None:
        self._crew = crew
        self._story = story
        self._going_on = [self._begin(sync_id, "queued") for sync_id in ASKED.living]
        self._turns = 0

    def until_so(self) -> None:
        """Until messages wait for the one channel, and edits for the other."""
        more_at = 0.0
        while not self._is_so():
            self._crew.must_live()
            if time.monotonic() >= more_at:
                self.more()
                more_at = time.monotonic() + MORE_AFTER
            time.sleep(0.05)

    def _is_so(self) -> bool:
        return all(self._waiting(receiver) >= LEAST_WAITING for receiver in (CHANNEL, LIVING))

    def more(self) -> None:
        """Some more of both."""
        for place in range(max(0, MOST_WAITING - self._waiting(CHANNEL))):
            self._begin(SYNCS[place % len(SYNCS)], "failed")
        self._turns += 1
        for run_id in self._going_on:
            self._crew.simulator.update_run(run_id, status=("working", "preparing")[self._turns % 2])

    def _waiting(self, receiver: str) -> int:
        return int(self._crew.look(WAITING, receiver)[0][0])

    def _begin(self, sync_id: int, status: str) -> int:
        run = self._crew.simulator.add_run(sync_id, status=status)
        self._story.runs.append(run["id"])
        return int(run["id"])


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
