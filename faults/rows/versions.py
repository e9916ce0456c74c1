"""Row 22: version 1 of the API ends amid a story, and the watchlist is switched to version 2, under kills."""

import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from faults.account import Arrival, Kill, is_delivered, kill_now, repeats, work_for_a_moment
from faults.database import look, must_be_sound
from faults.place import a_workplace, must_stop_well
from faults.row import Figures, Row, Size, must, say
from notifier.simulator import Redirect, SimulatorThread
from tests.acceptance.story import Story, last_told
from tests.acceptance.workplace import V1, V2, Workplace, v2_of

SYNCS: Final = (51, 52, "glimmering_donkey", "007")
LASTING: Final = 60
"""A sync whose incident opens under version 1 and is over under version 2; the story is not about it."""
CHECKS: Final = "{rejected_records: false, unreachable: {after: 1s}, unreadable: {after: 1s}, reminders: false}"
THE_END: Final = "version 1 of the API ends on 2027-01-15; give the workspace a token"
NEVER_FIRST: Final = ("sync_run.", "incident.opened", "incident.changed", "incident.resolved")
ENDS: Final = (410, 404, 301)
PAUSE: Final = (0.01, 0.15)
"""Seconds between two changes of the story, the shortest and the longest."""


def switches(size: Size) -> Figures:
    """Each round is a story of its own, at one end of version 1 and one way to switch."""
    chance, rounds = size.chance(), size.pick(2, 12)
    told: dict[str, int] = defaultdict(int)
    first = chance.randrange(len(ENDS))
    for number in range(rounds):
        with a_workplace() as (workplace, simulator):
            one = _Switch(workplace, simulator, chance, ENDS[(first + number) % len(ENDS)], lives=number % 2 == 0)
            for name, figure in one.run(size).items():
                told[name] = max(told[name], figure) if name.startswith("most") else told[name] + figure
        if number % 6 == 5:
            say(f"{number + 1} switches, {told['changes']} changes, {told['kills']} kills")
    return {"switches": rounds, **told}


class _Switch:
    """One story. `lives`: the watchlist is switched while the worker works, else while it is dead."""

    def __init__(
        self, workplace: Workplace, simulator: SimulatorThread, chance: random.Random, end: int, *, lives: bool
    ) -> None:
        self.workplace, self.simulator, self.chance, self.end, self.lives = workplace, simulator, chance, end, lives
        self.story = Story(simulator, SYNCS, chance, PAUSE)
        self.kills: list[Kill] = []

    def run(self, size: Size) -> dict[str, int]:
        times = size.pick(1, 3)
        self._write(V1)
        self.workplace.start_watching(*SYNCS, LASTING)
        with self.story.told():
            lasting = self.simulator.add_run(LASTING, status="failed", error_code="E1")["id"]
            self._is_killed(times)
            self._works_until(lambda: lasting in self._incidents()[LASTING])
            self._version_1_ends()
            self._is_killed(times)
            self._works_until(lambda: THE_END in (self._unreachable() or ""))
            self._switches()
            self._is_killed(times)
            self.simulator.add_run(LASTING, id="restless_owl", status="completed")
            self._is_killed(times)
        self._works_until(self._has_told_all)
        self.simulator.forget_requests()
        must_stop_well(self.workplace)
        asked = {request.version for request in self.simulator.requests}
        must(asked == {"v2"}, f"after the switch {asked} are asked")
        return self._judged()

    # --- what is done ---

    def _write(self, *keys: str, name: str = "watchlist.yaml") -> None:
        self.workplace.write_watchlist(keys=keys, checks=CHECKS, name=name)

    def _is_killed(self, times: int) -> None:
        for _ in range(times):
            work_for_a_moment(self.workplace, self.simulator, self.chance)
            self.kills.append(kill_now(self.workplace, self.simulator))

    def _works_until(self, true: Any) -> None:
        if self.workplace.worker is None:
            self.workplace.start()
        self.workplace.wait_until(true)

    def _version_1_ends(self) -> None:
        if self.end == 301:  # to where a key of version 1 must not be sent
            self.simulator.fault(Redirect(v2_of(self.simulator.base_url) + "/syncs", self.end), path="/syncs*")
        else:
            self.simulator.retire_v1(datetime.now(UTC), self.end)

    def _switches(self) -> None:
        """By another file that takes the watchlist's place; with both keys first, or at once. The worker dies before,
        or soon after, wherever that meets it."""
        if not self.lives:
            self.kills.append(kill_now(self.workplace, self.simulator))
        self.simulator.retire_v1(datetime.now(UTC))
        self.simulator.clear_faults()
        for keys in self.chance.choice([((V1, V2), (V2,)), ((V2,),)]):
            self._write(*keys, name="watchlist.yaml~")
            (self.workplace.directory / "watchlist.yaml~").replace(self.workplace.directory / "watchlist.yaml")
            if self.workplace.worker is not None:
                time.sleep(self.chance.uniform(0, 1.5))  # it looks at the file each second
                self.kills.append(kill_now(self.workplace, self.simulator))
            work_for_a_moment(self.workplace, self.simulator, self.chance)

    # --- what came of it ---

    def _accepted(self) -> dict[str, Any]:
        """Bodies by their event's ID, in the order in which they came."""
        return {hook.headers["webhook-id"]: json.loads(hook.body) for hook in self.simulator.sink.accepted}

    def _incidents(self) -> dict[int | str | None, list[Any]]:
        """By sync the runs of what was told of incidents; None stands for the workspace."""
        found: dict[int | str | None, list[Any]] = defaultdict(list)
        for body in self._accepted().values():
            if body["type"].startswith("incident."):
                sync, run = ((body["data"].get(name) or {}).get("id") for name in ("sync", "sync_run"))
                found[sync].append(run)
        return found

    def _unreachable(self) -> str | None:
        found = look(self.workplace.directory / "n.db", "SELECT last_error FROM workspaces WHERE NOT ok")
        return str(found[0][0]) if found and self._incidents()[None] else None

    def _has_told_all(self) -> bool:
        of_story = []
        for hook in self.simulator.sink.accepted:
            body = json.loads(hook.body)
            if body["type"].startswith("sync_run.") and body["data"]["sync"]["id"] != LASTING:
                of_story.append(hook)
        incidents = self._incidents()
        must(len(incidents[None]) <= 2, f"of incidents of the workspace was told {len(incidents[None])} times")
        over = "restless_owl" in incidents[LASTING] and len(incidents[None]) == 2
        return over and last_told(of_story) == self.story.truth() and is_delivered(self.workplace.directory / "n.db")

    def _judged(self) -> dict[str, int]:
        must_be_sound(self.workplace.directory / "n.db")
        bodies = self._accepted()
        odd = {body["type"] for body in bodies.values() if not body["type"].startswith(NEVER_FIRST)}
        must(not odd, f"told of {odd}")
        arrived = [Arrival(hook.at, hook.headers["webhook-id"], hook.body) for hook in self.simulator.sink.received]
        must(len({(each.event_id, each.content) for each in arrived}) == len(bodies), "an event came with other bytes")
        again = repeats("hook", arrived, self.kills)
        _go_on(list(bodies.values()))
        lost = look(self.workplace.directory / "n.db", "SELECT sync_id FROM syncs WHERE NOT watched OR gap_noticed_at")
        must(not lost, f"syncs that were forgotten, or of which some is not known: {lost}")
        return {
            "changes": self.story.changes,
            "events": len(bodies),
            "incidents": sum(body["type"] == "incident.opened" for body in bodies.values()),
            "kills": len(self.kills),
            "repeated": sum(again),
            "most repeated after one kill": max(again, default=0),
        }


def _go_on(bodies: Sequence[Any]) -> None:
    """Each incident is opened once and ends once at most; a sync has one at a time, LASTING one in all, the workspace
    one, which says why."""
    told: dict[Any, list[tuple[str, str]]] = defaultdict(list)
    why = [body["data"]["summary"] for body in bodies if body["type"] == "incident.opened" and not body["data"]["sync"]]
    must(all(THE_END in summary for summary in why), f"of the workspace was told: {why}")
    for body in bodies:
        if (kind := body["type"]).startswith("incident."):
            incident = body["data"]["incident"]
            told[((body["data"]["sync"] or {}).get("id"), incident["check"])].append((kind[9:], incident["id"]))
    for which, steps in told.items():
        is_open: str | None = None
        for kind, incident_id in steps:
            must(
                (is_open is None) == (kind == "opened"), f"{which}: {kind} of {incident_id}, open is {is_open}: {steps}"
            )
            must(is_open in (None, incident_id), f"{which}: {kind} of {incident_id}, open is {is_open}")
            is_open = None if kind == "resolved" else incident_id
    must({check for _, check in told} == {"failing", "unreachable"}, f"incidents of {sorted(map(str, told))}")
    for which in ((LASTING, "failing"), (None, "unreachable")):
        must([kind for kind, _ in told[which]] == ["opened", "resolved"], f"{which}: {told[which]}")


ROW: Final = Row(
    number=22,
    title="version 1 of the API ends amid a story, and the watchlist is switched to version 2, under kills",
    criterion=(
        "each change is told once, in order; what came again was on its way at a kill; no baseline, no gap, nothing "
        "deleted; incidents go on, and the workspace has one, which names version 1's end and the token"
    ),
    run=switches,
    limits=(150, 1800),
)
