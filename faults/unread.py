"""Workspaces of which the notifier can't read what it came for: who reads `status`, a message or a heartbeat must hear.

Part of row 5. Each workspace has four syncs, and is asked by one version of the API or the other, in the long form by
both, one after the other; a part of its API, or all of it, stops saying what it should, and is well
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
from faults.row import Figures, Size, must
from faults.seen import by_turns, must_stop, write
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
    slow: bool = False
    """Asked about every five minutes only."""


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


def _spaced(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "data": [{**item, "id": f"no ID, {item['id']}"} for item in answer["data"]]}


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
    Part("the list has texts with spaces for IDs", LIST, _changed(_spaced), "list of syncs: .*none of them has an ID"),
    Part("the list has one item without an ID", LIST, _changed(_with({"label": "x"})), "list of syncs: 1 of 5 syncs"),
    Part("the list is empty and claims four", LIST, _changed(_claims), "list of syncs: .*empty list"),
    Part("the list is empty", LIST, _changed(_lacks(*SYNCS)), "list of syncs: it is empty"),
    Part("the list lacks three of four", LIST, _changed(_lacks(1, 2, 3)), "list of syncs: it lacks 3 of 4"),
    Part("all runs are 500", RUNS, _always(500), "HTTP 500"),
    Part("all runs are 404", RUNS, _always(404), "HTTP 404"),
    Part("one sync is 500", OF_ONE, _always(500), "HTTP 500", "unreadable"),
    Part("one sync is 404, and listed", OF_ONE, _always(404, HTML), "HTTP 404", "unreadable"),
    Part(
        "one sync's runs have texts with spaces for IDs",
        OF_ONE,
        _changed(_spaced),
        "none of them has an ID",
        "unreadable",
    ),
    Part("one sync is empty and claims four", OF_ONE, _changed(_claims), "empty list", "unreadable"),
    Part("one sync is 403", OF_ONE, _always(403), "HTTP 403", "unreadable", slow=True),
)


class Front:
    """All the APIs on one socket, at /NUMBER/api/VERSION; and a monitor that hears the heartbeat."""

    def __init__(self, upstream: str, parts: list[Part]) -> None:
        self.upstream = upstream
        self.parts = [(part, part.script(upstream)) for part in parts]
        self.is_broken = False
        self.pings = 0

    async def __call__(self, asked: Asked, writer: StreamWriter) -> None:
        if asked.target == "/ping":
            self.pings += 1
            return await answers(200)(asked, writer)
        number, _, rest = asked.target.removeprefix("/").partition("/api/")
        part, script = self.parts[int(number)]
        if self.is_broken and re.match(rf"v[12]{part.path}", rest):
            return await script(asked, writer)
        return await forwards(self.upstream, len(number) + 1)(asked, writer)


def is_told(size: Size) -> Figures:
    """Each part breaks, is told, is mended, and is told as mended; and what was missed comes."""
    parts = [part for part in PARTS if not (part.slow and size.short)]
    turns = size.pick((size.seed % 2,), (0, 1))
    for turn in turns:
        with a_workplace() as (workplace, simulator):
            for sync in SYNCS:
                simulator.add_sync(id=sync, label=f"Sync {sync}")
            front = Front(simulator.base_url.removesuffix("/api/v1"), parts)
            with HostileServer(front) as server:
                trial = _Trial(workplace, simulator, front, parts, size.pick(75, 400))
                trial.start(server.origin, turn)
                trial.run()
                must_stop(workplace)
                trial.judge()
    return {"parts of APIs that can't be read, each told": len(parts) * len(turns)}


Told = set[tuple[str, str, int | None]]
"""Workspace, check and sync of incidents."""


class _Trial:
    """The worker and its APIs: sound, then broken, then sound again. `patience`: seconds for each of that."""

    def __init__(
        self, workplace: Workplace, simulator: SimulatorThread, front: Front, parts: list[Part], patience: float
    ) -> None:
        self.workplace, self.simulator, self.front, self.patience = workplace, simulator, front, patience
        self.parts = {f"w{number}": part for number, part in enumerate(parts)}
        self.expected: Told = {
            (name, part.check, ONE if part.check == "unreadable" else None) for name, part in self.parts.items()
        }

    def start(self, origin: str, turn: int) -> None:
        pace = "poll_interval: 500ms, active_poll_interval: 500ms, max_requests_per_second: 50"
        numbers = {name: int(name[1:]) for name in self.parts}
        keys = {name: by_turns(f"{origin}/{number}/api", number + turn) for name, number in numbers.items()}
        spaces = "\n".join(f"  {name}: {{{key}, {pace}}}" for name, key in keys.items())
        watches = "\n".join(f"- {{syncs: all, workspace: {name}}}" for name in self.parts)
        write(
            self.workplace,
            f"""version: 1
database: sqlite:///n.db
checks: {{unreachable: {{after: 3s}}, unreadable: {{after: 3s}}, reminders: false}}
heartbeat: {{url: '{origin}/ping', every: 200ms}}
workspaces:
{spaces}
watches:
{watches}
receivers:
  hook: {{type: webhook, url: '{self.simulator.sink_url}/hook'}}
""",
        )
        self.workplace.start()
        self.workplace.wait_for_baseline(*SYNCS)
        syncs = len(SYNCS) * len(self.parts)
        self.workplace.wait_until(lambda: len(self.workplace.json("status")["syncs"]) == syncs, timeout=60)

    def run(self) -> None:
        self._wait(lambda: [] if self.front.pings >= 2 else ["a heartbeat while all is well"])
        self.front.is_broken = True
        missed = self._complete_everywhere()
        self._wait(self._without_a_word)
        self._wait(lambda: self._without_incident("opened"))
        self.workplace.wait_for_log("heartbeat is held back: not all is well")
        before = self.front.pings
        time.sleep(1)
        must(self.front.pings == before, "the heartbeat goes on though little can be read")
        self.front.is_broken = False
        self._wait(lambda: self._without_incident("resolved"))
        self.workplace.wait_for_log("heartbeat goes on: all is well")
        self._wait(self._not_well)
        due = {(name, run) for name in self.parts for run in missed | self._complete_everywhere()}
        self._wait(lambda: sorted(due - set(self._runs()))[:9])

    def judge(self) -> None:
        """Nothing was told twice, and nothing that is not true."""
        runs = self._runs()
        must(len(runs) == len(set(runs)), "a run was told twice")
        kinds = {body["type"] for body in self._bodies()}
        must(kinds == {"sync_run.completed", "incident.opened", "incident.resolved"}, f"told of {kinds}")

    def _complete_everywhere(self) -> set[int]:
        return {self.simulator.add_run(sync, status="completed")["id"] for sync in SYNCS}

    def _without_a_word(self) -> list[str]:
        """The parts of which `status` does not say that they can't be read, and why."""
        shown = self.workplace.json("status")
        spaces = {each["name"]: each for each in shown["workspaces"]}
        syncs = {each["workspace"]: each for each in shown["syncs"] if each["id"] == ONE}
        missing = []
        for name, part in self.parts.items():
            of_workspace = part.check == "unreachable"
            said = (spaces if of_workspace else syncs)[name]["last_error"]
            if spaces[name]["ok"] == of_workspace or not re.search(part.reason, said or ""):
                missing.append(f"{part.name}: status says {said!r}")
        return missing

    def _not_well(self) -> list[str]:
        shown = self.workplace.json("status")
        return [str(each) for each in shown["workspaces"] + shown["syncs"] if each["last_error"]]

    def _without_incident(self, kind: str) -> list[str]:
        """The parts of which there is no such event yet; and there may be none of any other."""
        found = [body["data"] for body in self._bodies() if body["type"] == f"incident.{kind}"]
        told = [(data["workspace"], data["incident"]["check"], data["sync"] and data["sync"]["id"]) for data in found]
        must(len(told) == len(set(told)), f"{kind} twice: {told}")
        must(set(told) <= self.expected, f"{kind} without a reason: {set(told) - self.expected}")
        return sorted(f"{self.parts[name].name}: not {kind}" for name, _, _ in self.expected - set(told))

    def _accepted(self) -> dict[str, dict[str, Any]]:
        """The bodies by their event's ID."""
        took = [webhook for webhook in self.simulator.sink.received if webhook.accepted]
        return {webhook.headers["webhook-id"]: json.loads(webhook.body) for webhook in took}

    def _bodies(self) -> list[dict[str, Any]]:
        return list(self._accepted().values())

    def _runs(self) -> list[tuple[str, int]]:
        told = [body["data"] for body in self._bodies() if body["type"].startswith("sync_run.")]
        return [(data["workspace"], data["sync_run"]["id"]) for data in told]

    def _wait(self, missing: Callable[[], list[Any]]) -> None:
        """Until nothing is missing; a workspace that was down is left alone for up to a minute here."""
        end = time.monotonic() + self.patience
        while left := missing():
            must(time.monotonic() < end, f"not in {self.patience:g} s: {left}")
            time.sleep(0.2)
