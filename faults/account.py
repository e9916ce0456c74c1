"""What was received, held against what was recorded, what happened, and when the worker was killed.

Three receivers get what happens: two webhooks all of it, a Slack channel the runs that failed, a message each.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from faults.database import Rows, look, must_be_sound, pending
from faults.row import Figures, must
from notifier.simulator import SimulatorThread
from notifier.simulator.slack.workspace import DEFAULT_TOKEN
from tests.acceptance.story import Story, last_told
from tests.acceptance.workplace import Workplace

WEBHOOKS = ("first", "second")
CHANNEL = "channel"
POST = "chat.postMessage"
RECORDED = (
    "SELECT d.event_id, d.receiver, d.sync_id, d.state, e.type, e.body FROM deliveries AS d "
    "JOIN events AS e ON e.id = d.event_id ORDER BY e.seq"
)
AT_ONCE = 16
"""Requests to one receiver at once, at most (interface, section 4)."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The end of a worker (time.monotonic()), when all that it had sent was in, and by receiver what was unsettled."""

    began: float
    ended: float
    pending: dict[str, set[str]]
    forgot: bool = False
    """Whether the database lost what it had acknowledged: then all that is unsettled there may have been settled."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as a receiver got it."""

    at: float
    event_id: str
    content: bytes


def watch_for_three(workplace: Workplace, simulator: SimulatorThread, syncs: Sequence[int]) -> None:
    """Writes the watchlist for the three receivers, starts the worker and waits until it has its baseline."""
    tell_three(workplace, simulator)
    workplace.start_watching(*syncs)


def tell_three(workplace: Workplace, simulator: SimulatorThread) -> None:
    """Writes the watchlist for the three receivers."""
    receivers, routes = three(workplace, simulator)
    workplace.write_watchlist(receivers=receivers, rest="\n".join(("routes:", *routes)))


def three(workplace: Workplace, simulator: SimulatorThread) -> tuple[str, tuple[str, ...]]:
    """The three receivers as a watchlist has them, and their routes."""
    channel = simulator.slack.add_channel("data-syncs")
    slack = (
        f"{CHANNEL}: {{type: slack, token: {DEFAULT_TOKEN}, channel: {channel}, "
        f"api_url: '{simulator.slack.api_url}', messages: each}}"
    )
    routes = (
        f"  - receivers: [{', '.join(WEBHOOKS)}]",
        f"  - {{events: [sync_run.failed], receivers: [{CHANNEL}]}}",
    )
    return f"{workplace.hooks(*WEBHOOKS)}\n  {slack}", routes


def work_for_a_moment(workplace: Workplace, simulator: SimulatorThread, chance: random.Random) -> None:
    """Starts the worker if need be and lets it work; one time in seven it does not come further than its start."""
    if workplace.worker is None:
        asked = simulator.request_count
        workplace.start()
        if chance.random() < 0.85:
            workplace.wait_until(lambda: simulator.request_count > asked)
    time.sleep(chance.uniform(0, 0.5))


def kill_now(workplace: Workplace, simulator: SimulatorThread) -> Kill:
    """Kills the worker; what it had sent before is received, and its database looked at."""
    began = time.monotonic()
    workplace.kill()
    simulator.submit(asyncio.sleep(0.05)).result(timeout=30)
    return Kill(began, time.monotonic(), pending(workplace.directory / "n.db"))


def is_delivered(database: Path) -> bool:
    """Whether nothing waits any more."""
    return look(database, "SELECT count(*) FROM deliveries WHERE state = 'pending'") == [(0,)]


def has_told_all(workplace: Workplace, simulator: SimulatorThread, story: Story) -> bool:
    """Whether both webhooks know how each run is now, and nothing waits."""
    return has_told_the_truth(simulator, story) and is_delivered(workplace.directory / "n.db")


def has_told_the_truth(simulator: SimulatorThread, story: Story) -> bool:
    """Whether both webhooks know how each run is now."""
    truth = story.truth()
    accepted = simulator.sink.accepted
    return all(last_told(a for a in accepted if a.path == f"/{name}") == truth for name in WEBHOOKS)


def settle_accounts(workplace: Workplace, simulator: SimulatorThread, story: Story, kills: Sequence[Kill]) -> Figures:
    """All checks at once, when the last worker has stopped. The figures, or Failed."""
    database = workplace.directory / "n.db"
    must_be_sound(database)
    must(has_told_all(workplace, simulator, story), "what was told in the end is not how the runs are")
    return settle(look(database, RECORDED), simulator, story, kills)


def settle(
    recorded: Rows,
    simulator: SimulatorThread,
    story: Story,
    kills: Sequence[Kill],
    *,
    to_the_channel: int = 0,
    came: Mapping[str, Sequence[Arrival]] | None = None,
) -> Figures:
    """The checks of what was received, given what RECORDED shows. After each kill so many may come again to the
    channel. `came`: what is held against it, if not all."""
    must(all(state == "delivered" for _, _, _, state, _, _ in recorded), "a delivery is dead")
    came = came or arrivals(simulator)
    repeated = {name: repeats(name, came[name], kills) for name in came}
    for name, arrived in came.items():
        due = [(event_id, sync_id) for event_id, receiver, sync_id, *_ in recorded if receiver == name]
        _in_order(name, due, arrived)
    events = {event_id: (kind, bytes(body)) for event_id, _, _, _, kind, body in recorded}
    for name in WEBHOOKS:
        must({a.event_id for a in came[name]} == events.keys(), f"{name} did not get each event")
        for arrival in came[name]:
            must(arrival.content == events[arrival.event_id][1], f"{name}: other bytes of {arrival.event_id}")
    failed = {event_id for event_id, (kind, _) in events.items() if kind == "sync_run.failed"}
    must({a.event_id for a in came[CHANNEL]} == failed, "the channel did not get each failure")
    most = _most(repeated[CHANNEL], kills)
    must(most <= to_the_channel, f"the channel, which can be asked, got a message twice: {repeated[CHANNEL]}")
    return {
        "changes": story.changes,
        "runs": len(story.runs),
        "events": len(events),
        "delivered": len(recorded),
        "kills": len(kills),
        "repeated": ", ".join(f"{name} {sum(each)}" for name, each in repeated.items()),
        "most repeated after one kill, of one receiver": max(max(each, default=0) for each in repeated.values()),
    }


def arrivals(simulator: SimulatorThread) -> dict[str, list[Arrival]]:
    """What each receiver got, in the order in which it came; of Slack what was accepted."""
    came: dict[str, list[Arrival]] = {name: [] for name in (*WEBHOOKS, CHANNEL)}
    for webhook in simulator.sink.received:
        came[webhook.path[1:]].append(Arrival(webhook.at, webhook.headers["webhook-id"], webhook.body))
    for request in simulator.slack.requests:
        if request.method == POST and request.accepted:
            metadata = request.arguments["metadata"]
            known = metadata if isinstance(metadata, dict) else json.loads(metadata)
            if known["event_payload"]["receiver"] == CHANNEL:
                came[CHANNEL].append(Arrival(request.at, known["event_payload"]["event_id"], b""))
    return came


def _in_order(name: str, due: Sequence[tuple[str, int]], arrived: Sequence[Arrival]) -> None:
    """First arrivals are in the order in which the events were recorded, sync by sync; nothing is missing or more."""
    first = list(dict.fromkeys(arrival.event_id for arrival in arrived))
    lanes: dict[int, list[str]] = defaultdict(list)
    for event_id, sync_id in due:
        lanes[sync_id].append(event_id)
    sync_of = dict(due)
    unknown = [event_id for event_id in first if event_id not in sync_of]
    must(not unknown, f"{name} got what is not recorded: {unknown[:5]}")
    for sync_id, lane in lanes.items():
        got = [event_id for event_id in first if sync_of[event_id] == sync_id]
        must(got == lane, f"{name}, sync {sync_id}: {len(got)} of {len(lane)} events, or out of order: {got} {lane}")


def repeats(name: str, arrived: Sequence[Arrival], kills: Sequence[Kill]) -> list[int]:
    """By kill, how many messages came again because of it. Failed where one came again without a kill in between
    that met it on its way, or where more came again than may be on their way."""
    again = [0] * len(kills)
    came: dict[str, list[float]] = defaultdict(list)
    for arrival in arrived:
        came[arrival.event_id].append(arrival.at)
    for event_id, times in came.items():
        for before, after in pairwise(times):
            guilty = [
                place
                for place, kill in enumerate(kills)
                if before < kill.ended and kill.began < after and event_id in kill.pending.get(name, ())
            ]
            must(guilty, f"{name}: {event_id} came again, and no kill met it on its way")
            again[guilty[0]] += 1
    most = _most(again, kills)
    must(most <= AT_ONCE, f"{name}: {most} messages came again after one kill")
    return again


def _most(again: Sequence[int], kills: Sequence[Kill]) -> int:
    """What came again after one kill at most, but for those after which any number may."""
    return max((count for count, kill in zip(again, kills, strict=True) if not kill.forgot), default=0)
