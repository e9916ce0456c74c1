"""The switch from version 1 of the API to version 2: a story told over it, in every way in which people switch; what is
said when version 1 ends first; and tokens and groups that show something else than the workspace."""

import json
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from notifier.simulator import Redirect, SimulatorThread, Transform
from tests.acceptance.conftest import V1, V2, Workplace, v2_of
from tests.integration.store.builders import rows

RELOADED = "watchlist reloaded"
DONKEY = "glimmering_donkey"
MEND = "check its key, group, region and base_url, and give another workspace a name of its own"
FAILING = "{rejected_records: false, unreachable: false, reminders: false}"

Event = tuple[str, Any]
Switch = Callable[..., None]


def told(simulator: SimulatorThread) -> dict[Any, list[Event]]:
    """What the receiver accepted of each sync: the type's last words and the run, in the order in which it came."""
    events: dict[Any, list[Event]] = defaultdict(list)
    for webhook in simulator.sink.accepted:
        body = json.loads(webhook.body)
        sync, run = ((body["data"].get(name) or {}).get("id") for name in ("sync", "sync_run"))
        events[sync].append((body["type"].removeprefix("sync_run."), run))
    return dict(events)


def count(simulator: SimulatorThread) -> int:
    return len(simulator.sink.accepted)


def begun(workplace: Workplace, *keys: str, syncs: tuple[int | str, ...] = (51, 52, DONKEY), **more: Any) -> None:
    """The worker, once it has the baseline of each sync: a run that completed."""
    for sync_id in syncs:
        workplace.simulator.add_sync(id=sync_id)
        workplace.simulator.add_run(sync_id, status="completed")
    workplace.write_watchlist(keys=keys, checks=more.pop("checks", FAILING), **more)
    workplace.start()
    workplace.wait_for_baseline(*syncs)


def wait_for(workplace: Workplace, events: int) -> None:
    workplace.wait_until(lambda: count(workplace.simulator) >= events)
    workplace.wait_until(workplace.all_delivered)
    assert count(workplace.simulator) == events, told(workplace.simulator)


# --- ways to switch ---


def rewritten(workplace: Workplace, keys: tuple[str, ...], **more: Any) -> None:
    """The watchlist is written anew, in place, and nobody says so."""
    before = reloads(workplace)
    workplace.write_watchlist(keys=keys, checks=more.pop("checks", FAILING), **more)
    workplace.wait_for_log(RELOADED, times=before + 1)


def replaced(workplace: Workplace, keys: tuple[str, ...], **more: Any) -> None:
    """Another file takes the watchlist's place at once, as editors do it; and SIGHUP."""
    before = reloads(workplace)
    workplace.write_watchlist(keys=keys, checks=more.pop("checks", FAILING), name="watchlist.yaml~", **more)
    (workplace.directory / "watchlist.yaml~").replace(workplace.directory / "watchlist.yaml")
    assert workplace.worker is not None
    workplace.worker.send_signal(signal.SIGHUP)
    workplace.wait_for_log(RELOADED, times=before + 1)


def restarted(workplace: Workplace, keys: tuple[str, ...], **more: Any) -> None:
    """The worker is stopped, and started with the other watchlist."""
    assert workplace.stop() == 0
    workplace.write_watchlist(keys=keys, checks=more.pop("checks", FAILING), **more)
    workplace.start()


def reloads(workplace: Workplace) -> int:
    return sum(line["event"] == RELOADED for line in workplace.logged())


def asks_only(workplace: Workplace, version: str) -> None:
    """From now on each sync is asked for, and for a listing, by this version alone."""
    simulator = workplace.simulator
    simulator.forget_requests()
    workplace.wait_for_baseline(51, 52, DONKEY)
    key = simulator.api_key if version == "v1" else simulator.token
    asked = {(request.version, request.headers["Authorization"]) for request in simulator.requests}
    assert asked == {(version, f"Bearer {key}")}


@pytest.mark.parametrize("switch", [rewritten, replaced, restarted])
def test_a_story_is_told_over_the_switch_and_none_of_it_twice(
    workplace: Workplace, simulator: SimulatorThread, switch: Switch
) -> None:
    begun(workplace, V1)
    simulator.add_run(52, id=1, status="failed", error_code="E1")
    simulator.add_run(51, id=2, status="working")
    simulator.add_run(DONKEY, id="zealous_ant", status="queued")
    wait_for(workplace, 4)
    asks_only(workplace, "v1")

    simulator.update_run(2, status="failed", error_code="E2")  # seen by whichever version asks first
    switch(workplace, (V1, V2))
    simulator.update_run("zealous_ant", status="working")
    wait_for(workplace, 7)
    asks_only(workplace, "v2")

    simulator.add_run(DONKEY, id="able_bat", status="failed", error_code="E3")
    simulator.add_run(52, id=3, status="failed", error_code="E3")
    switch(workplace, (V2,))
    wait_for(workplace, 11)
    simulator.add_run(52, id="restless_owl", status="completed")
    simulator.update_run("zealous_ant", status="completed")  # older than the one that failed
    simulator.add_run(DONKEY, id=4, status="completed")
    simulator.add_run(51, id=5, status="completed")
    wait_for(workplace, 18)
    asks_only(workplace, "v2")
    assert workplace.stop() == 0

    told_of_donkey = told(simulator).pop(DONKEY)
    of_ant = [event for event in told_of_donkey if event[1] == "zealous_ant"]
    assert of_ant == [("queued", "zealous_ant"), ("working", "zealous_ant"), ("completed", "zealous_ant")]
    assert [event for event in told_of_donkey if event not in of_ant] == [
        ("failed", "able_bat"),
        ("incident.opened", "able_bat"),
        ("completed", 4),
        ("incident.resolved", 4),
    ]
    assert told(simulator) == {
        51: [("working", 2), ("failed", 2), ("incident.opened", 2), ("completed", 5), ("incident.resolved", 5)],
        52: [
            ("failed", 1),
            ("incident.opened", 1),
            ("failed", 3),
            ("incident.changed", 3),
            ("completed", "restless_owl"),
            ("incident.resolved", "restless_owl"),
        ],
        DONKEY: told_of_donkey,
    }
    changes = {(hook.headers["webhook-id"], hook.body) for hook in simulator.sink.received}
    assert len(changes) == 18, "no message came twice"


# --- version 1 ends ---

ENDED = "{failing: {}, rejected_records: false, unreachable: {after: 2s}, unreadable: {after: 2s}, reminders: false}"
THE_END = "version 1 of the API ends on 2027-01-15; give the workspace a token"


def ends_with(status: int) -> Callable[[SimulatorThread], None]:
    def end(simulator: SimulatorThread) -> None:
        simulator.retire_v1(datetime.now(UTC), status)

    return end


def redirects(simulator: SimulatorThread) -> None:
    """To version 2, which a key of version 1 must not be sent to."""
    location = v2_of(simulator.base_url) + "/syncs"
    simulator.fault(Redirect(location, 301), path="/syncs*")


@pytest.mark.parametrize(
    ("end", "switch"),
    [(ends_with(410), replaced), (ends_with(404), restarted), (redirects, rewritten)],
    ids=["410", "404", "redirect"],
)
def test_version_1_ends_and_a_token_is_told_of_what_came_meanwhile(
    workplace: Workplace, simulator: SimulatorThread, end: Callable[[SimulatorThread], None], switch: Switch
) -> None:
    begun(workplace, V1, checks=ENDED)
    simulator.add_run(52, id=1, status="failed", error_code="E1")
    wait_for(workplace, 2)
    simulator.add_run(51, id=2, status="working")
    wait_for(workplace, 3)

    end(simulator)
    simulator.update_run(2, status="failed")
    simulator.add_run(52, id=3, status="completed")
    simulator.add_run(DONKEY, id="zealous_ant", status="failed")
    wait_for(workplace, 4)
    simulator.forget_requests()
    workplace.wait_until(lambda: simulator.request_count >= 4)  # it goes on asking, and finds no more to tell
    assert count(simulator) == 4, told(simulator)
    assert {request.version for request in simulator.requests} == {"v1"}
    [opened] = told(simulator)[None]
    assert opened == ("incident.opened", None)
    [incident] = [each for each in workplace.json("incidents") if each["check"] == "unreachable"]
    [workspace] = workplace.json("status")["workspaces"]
    assert not workspace["ok"]
    assert THE_END in workspace["last_error"]
    assert THE_END in incident["summary"]

    simulator.retire_v1(datetime.now(UTC))
    simulator.clear_faults()
    switch(workplace, (V2,), checks=ENDED)
    wait_for(workplace, 11)
    asks_only(workplace, "v2")
    assert workplace.stop() == 0
    assert told(simulator) == {
        51: [("working", 2), ("failed", 2), ("incident.opened", 2)],
        52: [("failed", 1), ("incident.opened", 1), ("completed", 3), ("incident.resolved", 3)],
        DONKEY: [("failed", "zealous_ant"), ("incident.opened", "zealous_ant")],
        None: [("incident.opened", None), ("incident.resolved", None)],
    }


# --- a token or a group of another workspace ---


@dataclass(frozen=True, slots=True)
class Strange:
    """Keys that show none of the syncs that are known, and what is said of their list.

    `elsewhere`: at another simulator, which does not know them by their IDs either. `runs`: whether the runs of a sync
    of another group are shown all the same.
    """

    keys: tuple[str, ...]
    shows: str = ""
    elsewhere: bool = False
    runs: bool = True


KNOWN = (51, 52, DONKEY)
OURS = (V2, "group: ours")
STRANGE = {
    "another group": Strange((V2, "group: theirs"), ", and shows 2 others"),
    "an empty group": Strange((V2, "group: nobodys"), runs=False),
    "another account": Strange((V2,), ", and shows 2 others", elsewhere=True),
}
LACKS_ALL = "the list of syncs: it lacks all 3 syncs that the notifier knows of this workspace"
KNOWN_SYNCS = "SELECT sync_id, watched, deleted, marked, mark_run_id, missing_listings FROM syncs"
ALL = "- syncs: all\n  - sync: 61"


def memory(workplace: Workplace) -> list[tuple[Any, ...]]:
    """What the database knows of the syncs, with their marks, and which incidents of theirs are open."""
    database = workplace.directory / "n.db"
    return sorted(
        [*rows(database, KNOWN_SYNCS), *rows(database, "SELECT sync_id, id FROM incidents WHERE open")], key=str
    )


def last_error(workplace: Workplace) -> str | None:
    [(said,)] = rows(workplace.directory / "n.db", "SELECT last_error FROM workspaces")
    return None if said is None else str(said)


def listed_again(workplace: Workplace, simulator: SimulatorThread, times: int = 3) -> None:
    """Until the list of syncs was read so often from now on, and what the last but one says was taken in."""
    simulator.forget_requests()
    workplace.wait_until(lambda: [request.path for request in simulator.requests].count("/syncs") >= times)


@pytest.fixture
def others() -> Iterator[SimulatorThread]:
    """Another account's Census."""
    with SimulatorThread() as running:
        running.add_sync(id=61)
        running.add_sync(id="stray_cat")
        yield running


@pytest.mark.parametrize(("name", "switch"), [*zip(STRANGE, (replaced, restarted, rewritten), strict=True)])
def test_keys_that_show_none_of_the_known_syncs_are_told_at_once_and_nothing_is_forgotten(
    workplace: Workplace, simulator: SimulatorThread, others: SimulatorThread, name: str, switch: Switch
) -> None:
    strange = STRANGE[name]
    begun(workplace, V1, watches=ALL)
    for sync_id in KNOWN:
        simulator.update_sync(sync_id, group_id="ours")
    simulator.add_run(52, id=1, status="failed", error_code="E1")
    simulator.add_run(DONKEY, id="zealous_ant", status="working")
    wait_for(workplace, 3)
    before = memory(workplace)

    asked = others if strange.elsewhere else simulator
    if not strange.elsewhere:
        simulator.add_sync(id=61, group_id="theirs")
        simulator.add_sync(id="stray_cat", group_id="theirs")
    if not strange.runs:
        simulator.fault(Transform(lambda answer: answer | {"data": []}), path="/syncs/*/sync_runs")
    where = {"watches": ALL, "base_url": v2_of(asked.base_url)}
    switch(workplace, strange.keys, **where)
    reason = f"{LACKS_ALL}{strange.shows}; {MEND}"
    workplace.wait_until(lambda: last_error(workplace) == reason)
    asked.add_run(61, status="failed")
    listed_again(workplace, asked)
    assert memory(workplace) == before
    restarted(workplace, strange.keys, **where)
    listed_again(workplace, asked)
    assert last_error(workplace) == reason
    assert workplace.stop() == 0
    once = workplace.run("run", "--once")
    assert once.returncode == 1
    assert reason in once.stderr
    [workspace] = workplace.json("status")["workspaces"]
    assert (workspace["ok"], workspace["last_error"]) == (False, reason)
    assert memory(workplace) == before
    assert count(simulator) == 3, told(simulator)

    workplace.start()
    listed_again(workplace, asked, times=1)
    simulator.update_run("zealous_ant", status="failed")
    simulator.add_run(51, id="restless_owl", status="failed")
    simulator.add_run(52, id=2, status="completed")
    if strange.elsewhere:
        listed_again(workplace, asked)
        assert count(simulator) == 3, told(simulator)
    switch(workplace, OURS, watches=ALL)
    simulator.clear_faults()
    wait_for(workplace, 9)
    asks_only(workplace, "v2")
    assert workplace.json("status")["workspaces"][0]["ok"]
    assert workplace.stop() == 0
    assert told(simulator) == {
        51: [("failed", "restless_owl"), ("incident.opened", "restless_owl")],
        52: [("failed", 1), ("incident.opened", 1), ("completed", 2), ("incident.resolved", 2)],
        DONKEY: [("working", "zealous_ant"), ("failed", "zealous_ant"), ("incident.opened", "zealous_ant")],
    }
    assert not others.sink.received
