"""Row 9: the wall clock jumps a day, both ways, and goes through a change of daylight saving, in the middle of retries.

The worker's clock is moved by a shim, the API's in its Date header. The receivers judge by a clock of their own.
"""

import json
import re
import time
from asyncio import StreamWriter
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise, product
from typing import Final

from faults.hostile import Asked, HostileServer, answers, forwarded
from faults.place import a_workplace
from faults.row import Figures, Row, Size, fail, must
from faults.seen import must_stop, write
from faults.world import DAY, World
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

CRITERION: Final = (
    "each run is told once, its sync's in order, with the same ID and bytes at each attempt; no retry waits longer "
    "than longest_retry and 5 s for a slow machine, nor does what waits behind it, which none overtakes, though others "
    "are accepted meanwhile; an incident is opened once, and "
    "a clock that was put forward by a day brings one reminder of it at most, however often it jumps; no message is "
    "given up by a clock that jumps four days, with a kill or without; a run that works is followed to its end, and no "
    "incident is opened or told again, though our clock jumps by a week and more or an answer's Date by a year"
)
LONGEST_RETRY: Final = 1.2  # seconds, with its jitter
LOOK_ASIDE: Final = 6.0  # seconds in which the worker looks whether a message has failed for 15 minutes
SLOW_MACHINE: Final = 5.0
JUMPS: Final = (DAY, 0, -DAY, 0, DAY, 0)
FEW: Final = (-DAY, DAY)
FAR: Final = (4 * DAY, 3 * DAY, -DAY, 0)
"""Where the clock is put amid retries: beyond the three days after which a message is given up; back, so that what
failed did so tomorrow, or in four days; and to the right time."""
AGES: Final = (8 * DAY, 0, -8 * DAY, 0)
WELCOME: Final = 4  # the sync whose messages are accepted while the others' are not
CHANGES: Final = {
    "America/New_York": datetime(2026, 11, 1, 6, tzinfo=UTC),
    "America/St_Johns": datetime(2027, 3, 14, 5, 30, tzinfo=UTC),
}
"""Where the clocks are put back by an hour, and forward."""


class Surroundings:
    """The API, whose clock may be off, and a receiver that can be away; both keep real time for themselves."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.api_is_off = timedelta(0)
        self.is_away = False
        self.hooks: list[tuple[Asked, bool]] = []
        """What was asked, and whether it was accepted."""

    async def __call__(self, asked: Asked, writer: StreamWriter) -> None:
        if asked.target.startswith("/api/"):
            answer = await forwarded(self.upstream, asked, asked.target)
            now = (datetime.now(UTC) + self.api_is_off).strftime("%a, %d %b %Y %H:%M:%S GMT")
            writer.write(re.sub(rb"(?m)^Date: [^\r]*", f"Date: {now}".encode(), answer, count=1))
            await writer.drain()
            writer.close()
        else:
            accepts = not self.is_away or _sync_of(asked) == WELCOME
            self.hooks.append((asked, accepts))
            await answers(200 if accepts else 503)(asked, writer)


def run(size: Size) -> Figures:
    """Jumps while it runs; then a start shortly before each change of daylight saving."""
    jumps = size.pick(FEW, JUMPS)
    figures = {"jumps": len(jumps), **_jumps(jumps)}
    figures |= _give_up(size.pick(FAR[:1], FAR))
    figures |= _ages()
    zones = list(CHANGES)[: size.pick(1, 2)]
    return {**figures, "attempts across changes of daylight saving": sum(_daylight_saving(zone) for zone in zones)}


def start(workplace: Workplace, simulator: SimulatorThread, origin: str) -> None:
    """Four syncs and two receivers; and a workspace that is not there."""
    for number in (1, 2, 3, WELCOME):
        simulator.add_sync(id=number)
    key = "api_key: '${API_KEY}', poll_interval: 500ms, active_poll_interval: 500ms, max_requests_per_second: 100"
    write(
        workplace,
        f"""version: 1
database: sqlite:///n.db
delivery: {{first_retry: 200ms, longest_retry: 1s}}
checks: {{unreachable: {{after: 2s}}, reminders: {{first: 24h}}}}
workspaces:
  w: {{base_url: '{origin}/api/v1', {key}}}
  gone: {{base_url: 'http://127.0.0.1:1/api/v1', {key}}}
watches:
  - {{syncs: all, workspace: w}}
  - {{sync: 9, workspace: gone}}
receivers:
  hook: {{type: webhook, url: '{origin}/hook', secret: '${{SECRET}}'}}
  other: {{type: webhook, url: '{origin}/other'}}
""",
    )
    workplace.start()
    workplace.wait_for_baseline(1, 2, 3, WELCOME)


def _jumps(jumps: tuple[int, ...]) -> Figures:
    with a_workplace() as (workplace, simulator):
        clock, world = World(workplace), Surroundings(simulator.base_url.removesuffix("/api/v1"))
        with HostileServer(world) as server:
            start(workplace, simulator, server.origin)
            runs = {1: [simulator.add_run(1, status="failed")["id"]], 2: [], 3: []}
            _wait(workplace, lambda: len(told(world, "incident.opened")) == 4, "both incidents at both receivers")
            for jump in jumps:
                world.is_away, began = True, len(world.hooks)
                for sync, known in [*runs.items()] * 2:  # one to be tried, and one behind it
                    known.append(simulator.add_run(sync, status="failed" if sync == 1 else "completed")["id"])
                _attempts(workplace, world, 2)
                clock.move(jump)
                world.api_is_off = timedelta(seconds=jump)
                welcome = simulator.add_run(WELCOME, status="completed")["id"]
                _wait(workplace, partial(_are_told, world, {("hook", welcome), ("other", welcome)}), "what is welcome")
                time.sleep(LOOK_ASIDE)
                _attempts(workplace, world, 2)
                _must_wait_its_turn(world, began)
                ways = workplace.json("deliveries", "--state", "pending", "--receiver", "hook")
                # Another process writes: the worker reads its queues anew, with times by a clock that was.
                must(workplace.run("deliveries", "retry", str(ways[0]["id"])).returncode == 0, "retry failed")
                _attempts(workplace, world, 2)
                world.is_away = False
                due = {(receiver, run) for receiver in ("hook", "other") for known in runs.values() for run in known}
                _wait(workplace, partial(_are_told, world, due), f"all runs after a jump to {jump} s")
            must_stop(workplace)
            reminders = Counter(told(world, "incident.reminder"))
            must(all(times == 2 for times in Counter(told(world, "incident.opened")).values()), "opened twice")
            must(all(times <= 2 for times in reminders.values()), f"reminders, by incident: {reminders}")
            return {**_judged(world, runs), "reminders": sum(reminders.values()) // 2}


def _give_up(places: tuple[int, ...]) -> Figures:
    """The clock is put to each of these places amid retries; the worker is killed there, and goes on."""
    with a_workplace() as (workplace, simulator):
        clock, world = World(workplace), Surroundings(simulator.base_url.removesuffix("/api/v1"))
        with HostileServer(world) as server:
            start(workplace, simulator, server.origin)
            world.is_away = True
            runs: dict[int, list[int]] = {1: [], 2: [], 3: []}
            for place in places:
                for sync, known in runs.items():
                    known.append(simulator.add_run(sync, status="completed")["id"])
                _attempts(workplace, world, 2)
                clock.move(place)
                _attempts(workplace, world, 2)
                _must_live(workplace, f"after a jump to {place} s")
                workplace.kill()
                clock.move(place)
                workplace.start()
                _attempts(workplace, world, 2)
                _must_live(workplace, f"after a jump to {place} s and a kill")
                _must_wait_its_turn(world, 0)
            world.is_away = False
            due = {(receiver, run) for receiver in ("hook", "other") for known in runs.values() for run in known}
            _wait(workplace, lambda: _are_told(world, due), "all runs after the last jump")
            must_stop(workplace)
            _must_live(workplace, "at the end")
            told_once = Counter(runs_told(world))
            must(all(times == 1 for times in told_once.values()), f"told more than once: {told_once}")
            for receiver, (sync, known) in product(("hook", "other"), runs.items()):
                order = [run for target, run in runs_told(world) if target == receiver and run in known]
                must(order == known, f"{receiver}, sync {sync}: told {order}, not {known}")
    return {"jumps amid retries, and kills": len(places), "given up": 0}


def _ages() -> Figures:
    """A run works on, below those that the list shows, while our clock and then the API's are put elsewhere for some
    polls each."""
    with a_workplace() as (workplace, simulator):
        clock, world = World(workplace), Surroundings(simulator.base_url.removesuffix("/api/v1"))
        with HostileServer(world) as server:
            simulator.add_sync(id=1)
            simulator.add_run(1, status="completed")
            checks = "{stale: {after: 26h}, slow_run: {after: 26h}, reminders: {first: 24h}}"
            write(
                workplace,
                f"""version: 1
database: sqlite:///n.db
checks: {checks}
workspaces: {{w: {{base_url: '{server.origin}/api/v1', api_key: '${{API_KEY}}', poll_interval: 300ms}}}}
watches: [{{syncs: all}}]
receivers: {{hook: {{type: webhook, url: '{server.origin}/hook'}}}}
""",
            )
            workplace.start()
            workplace.wait_for_baseline(1)
            elder = simulator.add_run(1, status="working")["id"]
            failed = simulator.add_run(1, status="failed")["id"]
            newer = [simulator.add_run(1, status="skipped")["id"] for _ in range(7)]
            _wait(workplace, lambda: len(runs_told(world)) == 9, "all runs as they are at first")
            _polls(workplace, simulator)
            for place in AGES:
                clock.move(place)
                _polls(workplace, simulator)
            for place in AGES:
                world.api_is_off = timedelta(seconds=50 * place)
                _polls(workplace, simulator)
            simulator.update_run(elder, status="canceled")
            _wait(workplace, lambda: ("hook", elder) in runs_told(world)[9:], "the end of the run that worked on")
            must_stop(workplace)
            incidents = [json.loads(asked.body) for asked, _ in world.hooks if b'"type":"incident.' in asked.body]
            kinds = [(body["type"], body["data"]["incident"]["check"]) for body in incidents]
            must(kinds == [("incident.opened", "failing")], f"incidents: {kinds}")
            must(len(runs_told(world)) == 10, f"told are {runs_told(world)}, of {[elder, failed, *newer]}")
    return {"jumps of either clock under a run that works": 2 * len(AGES)}


def _polls(workplace: Workplace, simulator: SimulatorThread) -> None:
    """Until the worker has asked some more."""
    before = simulator.request_count
    _wait(workplace, lambda: simulator.request_count >= before + 8, "polls")


def _must_live(workplace: Workplace, when: str) -> None:
    dead = workplace.json("deliveries", "--state", "dead")
    must(not dead, f"{when}: dead are {dead}")


def _must_wait_its_turn(world: Surroundings, began: int) -> None:
    """Of each sync whose messages are refused, only the first was tried since."""
    tried: dict[tuple[str, int], set[str]] = defaultdict(set)
    for asked, accepted in world.hooks[began:]:
        if not accepted and _sync_of(asked):
            tried[asked.target, _sync_of(asked)].add(asked.headers["webhook-id"])
    must(all(len(ids) == 1 for ids in tried.values()), f"one overtook another: {dict(tried)}")


def _daylight_saving(zone: str) -> int:
    """The worker's clock comes to the change eight seconds after it started."""
    with a_workplace() as (workplace, simulator):
        clock, world = World(workplace), Surroundings(simulator.base_url.removesuffix("/api/v1"))
        workplace.environment["TZ"] = zone
        off = CHANGES[zone] - datetime.now(UTC) - timedelta(seconds=8)
        clock.move(int(off.total_seconds()))
        with HostileServer(world) as server:
            start(workplace, simulator, server.origin)
            world.is_away = True
            runs = {sync: [simulator.add_run(sync, status="completed")["id"] for _ in range(2)] for sync in (1, 2, 3)}
            _attempts(workplace, world, 2)
            at_change = time.monotonic() + (CHANGES[zone] - off - datetime.now(UTC)).total_seconds()
            _wait(workplace, lambda: time.monotonic() > at_change, "the change")
            _attempts(workplace, world, 2)
            world.is_away = False
            _wait(workplace, lambda: len(set(runs_told(world))) == 12, "all runs")
            must_stop(workplace)
            judged = _judged(world, runs)
            return int(str(judged["attempts"]))


def told(world: Surroundings, kind: str) -> list[str]:
    """The incidents of the accepted events of a type."""
    bodies = [json.loads(asked.body) for asked, accepted in list(world.hooks) if accepted]
    return [body["data"]["incident"]["id"] for body in bodies if body["type"] == kind]


def runs_told(world: Surroundings) -> list[tuple[str, int]]:
    """Receivers, and the runs whose own events they have accepted."""
    found = []
    for asked, accepted in list(world.hooks):
        body = json.loads(asked.body)
        if accepted and body["type"].startswith("sync_run."):
            found.append((asked.target.strip("/"), body["data"]["sync_run"]["id"]))
    return found


def _are_told(world: Surroundings, due: set[tuple[str, int]]) -> bool:
    return due <= set(runs_told(world))


def _attempts(workplace: Workplace, world: Surroundings, number: int) -> None:
    """Until each message that waits at the head of a sync has been tried so many times more."""
    began = len(world.hooks)

    def tried() -> bool:
        times = Counter((asked.target, _sync_of(asked)) for asked, _ in world.hooks[began:])
        return all(times[f"/{receiver}", sync] >= number for receiver in ("hook", "other") for sync in (1, 2, 3))

    _wait(workplace, tried, f"{number} more attempts of each")


def _sync_of(asked: Asked) -> int:
    sync = json.loads(asked.body)["data"]["sync"]
    return sync["id"] if sync else 0


def _judged(world: Surroundings, runs: dict[int, list[int]]) -> Figures:
    again = {what: times for what, times in Counter(runs_told(world)).items() if times > 1}
    must(not again, f"told more than once: {again}")
    attempts: dict[tuple[str, str], list[Asked]] = defaultdict(list)
    for asked, _ in world.hooks:
        attempts[asked.target, asked.headers["webhook-id"]].append(asked)
    longest = 0.0
    for (target, _), times in attempts.items():
        must(len({each.body for each in times}) == 1, f"{target}: other bytes under one ID")
        longest = max([longest, *(after.at - before.at for before, after in pairwise(times))])
    must(longest <= LONGEST_RETRY + SLOW_MACHINE, f"a retry waited for {longest:.1f} s")
    for receiver in ("hook", "other"):
        for sync, known in runs.items():
            order = [run for place, run in runs_told(world) if place == receiver and run in known]
            must(order == known, f"{receiver}, sync {sync}: told {order}, not {known}")
    return {"messages": len(attempts), "attempts": len(world.hooks), "longest wait": f"{longest:.1f} s"}


def _wait(workplace: Workplace, true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 25
    while not true():
        if time.monotonic() > end:
            fail(f"{what}: not in 25 s\n{workplace.log.read_text()[-3000:]}")
        time.sleep(0.05)


ROW: Final = Row(
    9, "the clock jumps a day and through daylight saving, amid retries and reminders", CRITERION, run, (900, 1200)
)
