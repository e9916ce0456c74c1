"""Workspaces of which the notifier can't read what it came for: who reads `status`, a message or a heartbeat must hear.

Part of row 5. Each workspace has four syncs; a part of its API, or all of it, stops saying what it should, and is well
again later. Nobody may hear of anything that is not true meanwhile, and nothing may be lost.
"""

import json
import re
import time
from asyncio import StreamWriter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from faults.hostile import Asked, HostileServer, Script, answers, fetched, forwards
from faults.place import a_workplace
from faults.row import Figures, must
from faults.seen import must_stop, write
from notifier.simulator import SimulatorThread
from tests.acceptance.workplace import Workplace

SYNCS: Final = (1, 2, 3, 4)
ONE: Final = 2
"""The sync that alone can't be read where it is one."""
LIST, RUNS, OF_ONE, ANY = r"/syncs\?", r"/syncs/\d+/sync_runs", rf"/syncs/{ONE}/sync_runs", r"/"
HTML: Final = b"<!doctype html><title>default backend - 404</title>"

Change = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """What of an API is broken (`path`), how, and what `status` has to say: of the workspace, or of sync ONE alone."""

    name: str
    path: str
    script: Callable[[str], Script]
    reason: str
    check: str = "unreachable"


def _always(status: int, body: bytes = b"{}") -> Callable[[str], Script]:
    return lambda _: answers(status, body)


def _changed(change: Change) -> Callable[[str], Script]:
    """The truth, but for a change of it."""

    def of(upstream: str) -> Script:
        async def script(asked: Asked, writer: StreamWriter) -> None:
            target = asked.target[asked.target.index("/", 1) :]
            body = json.dumps(change(json.loads(await fetched(upstream, target, asked.headers)))).encode()
            await answers(200, body)(asked, writer)

        return script

    return of


def _lacks(*ids: int) -> Change:
    """A list that is whole by its own words."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        left = [item for item in answer["data"] if item["id"] not in ids]
        return {**answer, "data": left, "pagination": {**answer["pagination"], "total_records": len(left)}}

    return change


def _with(*items: dict[str, Any]) -> Change:
    return lambda answer: {**answer, "data": [*answer["data"], *items]}


def _words(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "data": [{**item, "id": f"wandering_{item['id']}"} for item in answer["data"]]}


def _claims(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "data": [], "pagination": {**answer["pagination"], "total_records": 4}}


PARTS: Final = (
    Part("404 on everything", ANY, _always(404, HTML), "404 Not Found"),
    Part("410 on everything", ANY, _always(410), "410 Gone"),
    Part("403 on everything", ANY, _always(403), "403 Forbidden"),
    Part("the list is 404", LIST, _always(404, HTML), "list of syncs: HTTP 404.*base_url"),
    Part("the list is 500", LIST, _always(500), "list of syncs: HTTP 500"),
    Part("the list may not be read", LIST, _always(403), "list of syncs: HTTP 403"),
    Part("the list is HTML", LIST, _always(200, HTML), "list of syncs: the answer is not JSON"),
    Part("the list has words for IDs", LIST, _changed(_words), "list of syncs: .*none of them has an ID"),
    Part("the list has one item without an ID", LIST, _changed(_with({"label": "x"})), "list of syncs: 1 of 5 syncs"),
    Part("the list is empty and claims four", LIST, _changed(_claims), "list of syncs: .*empty list"),
    Part("the list is empty", LIST, _changed(_lacks(*SYNCS)), "list of syncs: it is empty"),
    Part("the list lacks three of four", LIST, _changed(_lacks(1, 2, 3)), "list of syncs: it lacks 3 of 4"),
    Part("all runs are 500", RUNS, _always(500), "HTTP 500"),
    Part("all runs are 404", RUNS, _always(404), "HTTP 404"),
    Part("one sync is 500", OF_ONE, _always(500), "HTTP 500", "unreadable"),
    Part("one sync is 404, and listed", OF_ONE, _always(404, HTML), "HTTP 404", "unreadable"),
    Part("one sync is 403", OF_ONE, _always(403), "HTTP 403", "unreadable"),
    Part("one sync's runs have words for IDs", OF_ONE, _changed(_words), "none of them has an ID", "unreadable"),
    Part("one sync is empty and claims four", OF_ONE, _changed(_claims), "empty list", "unreadable"),
)


class Front:
    """All the APIs on one socket, at /NUMBER/api/v1; broken between `breaks` and `mends`."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.is_broken = False
        self.scripts = {f"/{number}": part.script(upstream) for number, part in enumerate(PARTS)}
        self.pings = 0

    async def __call__(self, asked: Asked, writer: StreamWriter) -> None:
        if asked.target == "/ping":
            self.pings += 1
            return await answers(200)(asked, writer)
        prefix, _, rest = asked.target.removeprefix("/").partition("/api/v1")
        part = PARTS[int(prefix)]
        if self.is_broken and re.match(part.path, rest):
            return await self.scripts[f"/{prefix}"](asked, writer)
        return await forwards(self.upstream, len(prefix) + 1)(asked, writer)


def is_told() -> Figures:
    """Each part breaks, is told, is mended, and is told as mended; and what was missed comes."""
    with a_workplace() as (workplace, simulator):
        for sync in SYNCS:
            simulator.add_sync(id=sync, label=f"Sync {sync}")
        front = Front(simulator.base_url.removesuffix("/api/v1"))
        with HostileServer(front) as server:
            _start(workplace, simulator, server.origin)
            _wait(workplace, lambda: front.pings >= 2, "a heartbeat while all is well")
            front.is_broken = True
            missed = {simulator.add_run(sync, status="completed")["id"] for sync in SYNCS}
            _wait(workplace, lambda: not _untold(workplace), lambda: f"told nowhere: {_untold(workplace)}")
            _wait(workplace, lambda: not _left(simulator, "opened"), lambda: f"no incident: {_left(simulator, 'opened')}")
            workplace.wait_for_log("heartbeat is held back: not all is well")
            before = front.pings
            time.sleep(1)
            must(front.pings == before, "the heartbeat goes on though little can be read")
            front.is_broken = False
            _wait(workplace, lambda: not _left(simulator, "resolved"), lambda: f"no end: {_left(simulator, 'resolved')}")
            workplace.wait_for_log("heartbeat goes on: all is well")
            _wait(workplace, lambda: _all_well(workplace), "status to be well again")
            later = {simulator.add_run(sync, status="completed")["id"] for sync in SYNCS}
            due = {(f"w{n}", run) for n in range(len(PARTS)) for run in missed | later}
            _wait(workplace, lambda: due <= set(_runs(simulator)), "the runs that were missed")
            must_stop(workplace)
            runs = _runs(simulator)
            must(len(runs) == len(set(runs)), "a run was told twice")
            kinds = {body["type"] for body in _bodies(simulator)}
            must(kinds == {"sync_run.completed", "incident.opened", "incident.resolved"}, f"told of {kinds}")
            return {
                "parts of APIs that can't be read": len(PARTS),
                "of these told": len(_incidents(simulator, "opened")),
            }


def _start(workplace: Workplace, simulator: SimulatorThread, origin: str) -> None:
    key = "api_key: '${API_KEY}', poll_interval: 500ms, active_poll_interval: 500ms, max_requests_per_second: 50"
    spaces = "\n".join(f"  w{n}: {{base_url: '{origin}/{n}/api/v1', {key}}}" for n in range(len(PARTS)))
    watches = "\n".join(f"- {{syncs: all, workspace: w{n}}}" for n in range(len(PARTS)))
    write(
        workplace,
        f"""version: 1
database: sqlite:///n.db
checks: {{unreachable: {{after: 3s}}, unreadable: {{after: 3s}}, reminders: false}}
heartbeat: {{url: '{origin}/ping', every: 200ms}}
workspaces:
{spaces}
watches:
{watches}
receivers:
  hook: {{type: webhook, url: '{simulator.sink_url}/hook'}}
""",
    )
    workplace.start()
    workplace.wait_for_baseline(*SYNCS)
    workplace.wait_until(lambda: len(workplace.json("status")["syncs"]) == len(SYNCS) * len(PARTS), timeout=60)


def _untold(workplace: Workplace) -> list[str]:
    """The parts of which `status` does not say that they can't be read, and why."""
    shown = workplace.json("status")
    spaces = {each["name"]: each for each in shown["workspaces"]}
    syncs = {(each["workspace"], each["id"]): each for each in shown["syncs"]}
    untold = []
    for number, part in enumerate(PARTS):
        space, sync = spaces[f"w{number}"], syncs[f"w{number}", ONE]
        said = space["last_error"] if part.check == "unreachable" else sync["last_error"]
        if space["ok"] == (part.check == "unreachable") or not re.search(part.reason, said or ""):
            untold.append(f"{part.name} ({said})")
    return untold


def _all_well(workplace: Workplace) -> bool:
    shown = workplace.json("status")
    return all(each["ok"] for each in shown["workspaces"]) and not any(each["last_error"] for each in shown["syncs"])


def _left(simulator: SimulatorThread, kind: str) -> list[str]:
    """The parts of which there is no such event yet; and there may be none of any other."""
    known = _incidents(simulator, kind)
    must(known <= _expected(), f"{kind} without a reason: {known - _expected()}")
    return sorted(PARTS[int(workspace[1:])].name for workspace, _, _ in _expected() - known)


def _expected() -> set[tuple[str, str, int | None]]:
    return {(f"w{n}", part.check, ONE if part.check == "unreadable" else None) for n, part in enumerate(PARTS)}


def _bodies(simulator: SimulatorThread) -> list[dict[str, Any]]:
    return [json.loads(webhook.body) for webhook in simulator.sink.received if webhook.accepted]


def _incidents(simulator: SimulatorThread, kind: str) -> set[tuple[str, str, int | None]]:
    found = [body["data"] for body in _bodies(simulator) if body["type"] == f"incident.{kind}"]
    told = [(data["workspace"], data["incident"]["check"], data["sync"] and data["sync"]["id"]) for data in found]
    must(len(told) == len(set(told)), f"{kind} twice: {told}")
    return set(told)


def _runs(simulator: SimulatorThread) -> list[tuple[str, int]]:
    seen = {}
    for webhook in simulator.sink.received:
        body = json.loads(webhook.body)
        if webhook.accepted and body["type"].startswith("sync_run."):
            seen[webhook.headers["webhook-id"]] = (body["data"]["workspace"], body["data"]["sync_run"]["id"])
    return list(seen.values())


def _wait(workplace: Workplace, true: Callable[[], Any], what: str | Callable[[], str]) -> None:
    """Half a minute, and more where a workspace that was down is left alone for so long."""
    end = time.monotonic() + 75
    while not true():
        must(time.monotonic() < end, f"not in 75 s: {what if isinstance(what, str) else what()}")
        time.sleep(0.2)
