"""What the list of syncs announces is news at once, and saves requests; what it keeps to itself is found as well."""

import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from notifier.simulator import SimulatorThread
from notifier.simulator.conditional import Tags
from notifier.simulator.listing import Announced

from .conftest import Workplace
from .test_pace import polls

SYNCS = range(1, 13)
NEEDED = 50
TENTH = 10 * 2.0
"""Ten poll_intervals, in seconds."""
LOST = "the list of syncs did not announce a change: all syncs are polled at their intervals again"


@pytest.fixture
def watching(workplace: Workplace, simulator: SimulatorThread) -> Iterator[Workplace]:
    """A worker that has a baseline of all, and an API whose list announces each run."""
    simulator.announce_runs(Announced.STATUSES)
    workplace.write_watchlist(poll_interval="2s")
    workplace.start_watching(*SYNCS)
    yield workplace
    workplace.stop()


def hints(workplace: Workplace) -> str:
    value: str = workplace.json("status")["workspaces"][0]["hints"]
    return value


def told(simulator: SimulatorThread) -> Counter[int]:
    return Counter(json.loads(hook.body)["data"]["sync_run"]["id"] for hook in simulator.sink.accepted)


def happens(workplace: Workplace, simulator: SimulatorThread, sync_id: int) -> float:
    """A run fails; the seconds until that is told."""
    begun, run = time.monotonic(), simulator.add_run(sync_id, status="failed")["id"]
    workplace.wait_until(lambda: told(simulator)[run])
    return time.monotonic() - begun


def learns(workplace: Workplace, simulator: SimulatorThread) -> None:
    """The worker finds as many changes as it takes, each announced."""
    rounds = -(-NEEDED // len(SYNCS)) + 1
    for _ in range(rounds):
        runs = [simulator.add_run(sync_id, status="completed")["id"] for sync_id in SYNCS]
        workplace.wait_until(lambda: told(simulator).keys() >= set(runs))  # noqa: B023 - called here only
    workplace.wait_until(lambda: hints(workplace) == "trusted")


def test_what_is_announced_is_told_at_once_and_the_rest_is_polled_seldom(
    watching: Workplace, simulator: SimulatorThread
) -> None:
    assert hints(watching) == "learning"
    learns(watching, simulator)
    time.sleep(3)  # each sync is polled once more at its place of before
    simulator.forget_requests()
    begun = time.monotonic()
    quickly = [happens(watching, simulator, sync_id) for sync_id in (1, 5, 9)]
    watching.wait_until(lambda: time.monotonic() - begun > 8)
    asked = polls(simulator)
    assert sum(asked[sync_id] for sync_id in SYNCS if sync_id not in (1, 5, 9)) <= 9  # 36 at the old pace
    assert sum(quickly) < TENTH  # at the seldom pace, thrice half of it
    assert set(told(simulator).values()) == {1}


def test_a_change_that_is_not_announced_is_found_and_ends_the_trust(
    watching: Workplace, simulator: SimulatorThread
) -> None:
    learns(watching, simulator)
    simulator.announce_runs(Announced.NOTHING)
    assert happens(watching, simulator, 3) < 3 * TENTH
    watching.wait_until(lambda: hints(watching) == "learning")
    watching.wait_for_log(LOST)
    simulator.forget_requests()
    time.sleep(6)
    asked = polls(simulator)
    assert min(asked[sync_id] for sync_id in SYNCS) >= 2
    assert sum(line["event"] == LOST for line in watching.logged()) == 1


def test_what_was_learned_outlives_a_restart(watching: Workplace, simulator: SimulatorThread) -> None:
    learns(watching, simulator)
    watching.stop()
    watching.start()
    watching.wait_until(lambda: watching.json("status")["worker"]["running"])
    assert hints(watching) == "trusted"


@pytest.mark.parametrize("tags", [Tags.HONEST, Tags.ALWAYS_304, Tags.SAME])
def test_whatever_an_api_says_of_the_age_of_its_answers_each_change_is_told(
    watching: Workplace, simulator: SimulatorThread, tags: Tags
) -> None:
    simulator.tag_answers(tags)
    watching.wait_until(lambda: simulator.not_modified > 20 or tags is Tags.SAME)
    assert happens(watching, simulator, 3) < 3 * TENTH
    assert happens(watching, simulator, 3) < 3 * TENTH
    assert set(told(simulator).values()) == {1}


def test_hints_can_be_turned_off(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.announce_runs(Announced.STATUSES)
    workplace.write_watchlist(poll_interval="2s", workspace="hints: false")
    workplace.start_watching(*SYNCS)
    for _ in range(5):
        for sync_id in SYNCS:
            simulator.add_run(sync_id, status="completed")
        time.sleep(2.2)
    workplace.wait_until(lambda: len(told(simulator)) == 5 * len(SYNCS))
    assert hints(workplace) == "off"
    assert workplace.json("status")["workspaces"][0]["requests_per_minute"] > 0
    simulator.forget_requests()
    time.sleep(5)
    assert min(polls(simulator)[sync_id] for sync_id in SYNCS) >= 2
    assert workplace.stop() == 0
    assert workplace.json("status")["workspaces"][0]["requests_per_minute"] is None
