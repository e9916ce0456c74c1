"""Fifty kills at any moment, while runs go on changing: nothing is lost, nothing is out of order."""

import asyncio
import json
import random
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from notifier.simulator import ReceivedWebhook, SimulatorThread

from .conftest import Workplace

KILLS = 50
SYNCS = (51, 52, 53, 54, 55, 56)
FIELDS = ("status", "canceled", "error_code", "error_message", "error_detail")
ENDS = ("completed", "failed", "skipped")


class Story:
    """Runs of several syncs that begin, go on and end, a change every few milliseconds."""

    def __init__(self, simulator: SimulatorThread, seed: int) -> None:
        self.runs: list[int] = []
        self._simulator = simulator
        self._random = random.Random(seed)
        self._open: list[int] = []

    @contextmanager
    def told(self) -> Iterator[None]:
        """Goes on in a thread while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._tell, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=30)
        assert not thread.is_alive()

    def _tell(self, over: threading.Event) -> None:
        while not over.wait(self._random.uniform(0.005, 0.06)):
            if len(self._open) < 8 or self._random.random() < 0.1:
                status = self._random.choice(("queued", "queued", "working", *ENDS))
                run = self._simulator.add_run(self._random.choice(SYNCS), status=status)
                self.runs.append(run["id"])
                if status not in ENDS:
                    self._open.append(run["id"])
            else:
                self._go_on(self._random.choice(self._open))

    def _go_on(self, run_id: int) -> None:
        status = self._random.choice(("working", "preparing", "queued", "working", "retrying", *ENDS))
        error = {"error_code": "BROKE", "error_message": f"the {len(self.runs)}th"} if status == "failed" else {}
        self._simulator.update_run(run_id, status=status, **error)
        if status in ENDS:
            self._open.remove(run_id)


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


def last_told(accepted: list[ReceivedWebhook]) -> dict[int, dict[str, Any]]:
    """What the events tell of each run in the end. Each must go on from where the one before it left the run."""
    runs: dict[int, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(FIELDS))
    seen: set[str] = set()
    for webhook in accepted:
        event_id = webhook.headers["webhook-id"]
        if event_id in seen:
            continue
        seen.add(event_id)
        data = json.loads(webhook.body)["data"]
        told = runs[data["sync_run"]["id"]]
        for change in data["changes"]:
            assert told[change["field"]] == (change["old"] or None), (webhook.body, told)
            told[change["field"]] = change["new"] or None
    return dict(runs)


def truth(simulator: SimulatorThread, run_ids: list[int]) -> dict[int, dict[str, Any]]:
    return {run_id: {name: simulator.run(run_id)[name] or None for name in FIELDS} for run_id in run_ids}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fifty_kills_lose_nothing_and_disorder_nothing(workplace: Workplace, simulator: SimulatorThread) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - to run it again
    chance = random.Random(seed)
    simulator.sink.answer(delay=0.01)  # so that a kill meets messages under way
    workplace.start_watching(*SYNCS)
    story = Story(simulator, seed)
    with story.told():
        kills = [kill_at_any_moment(workplace, simulator, chance) for _ in range(KILLS)]
    final = truth(simulator, story.runs)
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
