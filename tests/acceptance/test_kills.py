"""Fifty kills at any moment, while runs go on changing: nothing is lost, nothing is out of order."""

import asyncio
import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from notifier.simulator import ReceivedWebhook, SimulatorThread

from .conftest import Workplace
from .story import Story, last_told

KILLS = 50
SYNCS = (51, 52, 53, 54, 55, 56)


def kill_at_any_moment(workplace: Workplace, simulator: SimulatorThread, chance: random.Random) -> tuple[float, float]:
    """Starts the worker and kills it; when the kill began, and when all that had been sent before it was received."""
    if workplace.worker is None:
        asked = simulator.request_count
        workplace.start()
        if chance.random() < 0.85:  # while it works; the others while it starts
            workplace.wait_until(lambda: simulator.request_count > asked)
    time.sleep(chance.uniform(0, 0.4))
    began = time.monotonic()
    workplace.kill()
    simulator.submit(asyncio.sleep(0.02)).result(timeout=30)
    return began, time.monotonic()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_kills_lose_nothing_and_disorder_nothing(workplace: Workplace, simulator: SimulatorThread) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - to run it again
    chance = random.Random(seed)
    simulator.sink.answer(delay=0.01)  # so that a kill meets messages under way
    workplace.start_watching(*SYNCS)
    story = Story(simulator, SYNCS, random.Random(seed))
    with story.told():
        kills = [kill_at_any_moment(workplace, simulator, chance) for _ in range(KILLS)]
    final = story.truth()
    workplace.start()
    workplace.wait_until(lambda: last_told(simulator.sink.accepted) == final, timeout=60)
    assert workplace.stop() == 0

    received = simulator.sink.received
    came: dict[str, list[ReceivedWebhook]] = defaultdict(list)
    for webhook in received:
        came[webhook.headers["webhook-id"]].append(webhook)
    again = len(received) - len(came)
    print(f"{KILLS} kills, {len(final)} runs, {len(came)} events, {again} came again")  # noqa: T201
    assert len(final) > KILLS

    for messages in came.values():
        assert len({message.body for message in messages}) == 1
        for first, second in pairwise(messages):
            assert any(began < second.at and first.at < ended for began, ended in kills)

    recorded = [way["event_id"] for way in reversed(workplace.json("deliveries", "--limit", "100000"))]
    assert Counter(recorded) == Counter(list(came))
    sync_of = {event_id: json.loads(messages[0].body)["data"]["sync"]["id"] for event_id, messages in came.items()}
    for sync_id in SYNCS:
        arrived = [event_id for event_id in came if sync_of[event_id] == sync_id]
        assert arrived == [event_id for event_id in recorded if sync_of[event_id] == sync_id]

    connection = sqlite3.connect(workplace.directory / "n.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
