"""The shipped scenarios tell the story that they promise; a broken scenario says what is broken, and where."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from notifier.simulator import CensusSimulator, ScenarioError, Step, load_scenario, play
from notifier.simulator.scenario import AddRun, UpdateRun

STORIES = (
    *("signups 4", "signups 5", "signups 6", "contacts 4", "accounts 4", "accounts 5", "usage 3"),
    *("orders 3", "orders 4"),
)


@pytest.mark.asyncio
async def test_no_time_passes_in_a_story_before_its_curtain_rises() -> None:
    simulator, curtain, done = CensusSimulator(), asyncio.Event(), list[float]()
    scenario = load_scenario("demo")
    story = asyncio.create_task(
        play(simulator, scenario, speed=2000, on_step=lambda step, _: done.append(step.at), curtain=curtain)
    )
    for _ in range(100):
        await asyncio.sleep(0)
    assert set(done) == {0}
    assert len(simulator.syncs()) == 5
    curtain.set()
    await story
    assert max(done) == 60


@pytest.mark.asyncio
async def test_the_demo_tells_its_stories_within_18_seconds() -> None:
    scenario = load_scenario("demo")
    simulator = CensusSimulator()
    states: dict[str, list[tuple[Any, ...]]] = {}
    at_start: dict[int, list[str]] = {}
    skipped_beside: list[str] = []

    def watch(step: Step, ids: dict[str, int | str]) -> None:
        if step.at == 0:
            return
        if not at_start:
            at_start.update({s["id"]: [r["status"] for r in simulator.runs(s["id"])] for s in simulator.syncs()})
        if step.at > 18:
            return
        for name in STORIES:
            if name not in ids:
                continue
            run = simulator.run(ids[name])
            state = (run["status"], run["canceled"], run["error_code"], run["error_detail"])
            seen = states.setdefault(name, [])
            if not seen or seen[-1] != state:
                seen.append(state)
                if run["status"] == "skipped":
                    skipped_beside.append(simulator.run(ids["accounts 4"])["status"])

    ids = await play(simulator, scenario, speed=2000, on_step=watch)

    words = {name: [state[0] for state in seen] for name, seen in states.items()}
    # Its newest run of the start has been joined by the story's first one, which is queued.
    assert {len(statuses) >= 2 and set(statuses) <= {"completed", "queued"} for statuses in at_start.values()} == {True}
    assert len(at_start) == 5
    assert words["signups 4"] == ["queued", "working", "failed", "failed"]
    failed, failed_anew = states["signups 4"][2:]
    assert failed[2] == failed_anew[2] == "JSON_ARRAY_ERROR"
    assert failed[3] != failed_anew[3]
    assert words["signups 5"] == ["queued", "working", "failed"]
    assert states["signups 5"][-1] == failed_anew
    assert words["signups 6"] == ["queued", "working", "completed"]
    assert [state[:2] for state in states["contacts 4"]] == [
        ("queued", False),
        ("working", False),
        ("completed", True),
    ]
    assert words["accounts 5"] == ["skipped"]
    assert skipped_beside == ["working"]
    assert words["accounts 4"] == ["queued", "working", "completed"]
    assert share_rejected(simulator.run(ids["accounts 4"])) == pytest.approx(0.028, abs=0.001)
    assert [share_rejected(simulator.run(ids[f"orders {number}"])) > 0.75 for number in (3, 4)] == [True, False]
    assert words["orders 3"] == words["orders 4"] == ["queued", "working", "completed"]
    assert words["usage 3"] == ["queued", "preparing", "working", "completed"]
    assert scenario.length == 60
    assert all(run["completed_at"] for run in simulator.runs(80))


def share_rejected(run: dict[str, Any]) -> float:
    """The share of a run's records that its check looks at."""
    share: float = run["records_failed"] / run["records_processed"]
    return share


def test_no_run_of_the_demo_takes_longer_than_its_watchlist_allows_but_the_one_that_is_meant_to() -> None:
    began: dict[str, float] = {}
    took: dict[str, float] = {}
    for step in load_scenario("demo").steps:
        if step.at > 0 and isinstance(step.action, AddRun):
            began[step.action.name] = step.at
        if isinstance(step.action, UpdateRun) and step.action.fields.get("status") in ("completed", "failed"):
            took[step.action.name] = step.at - began[step.action.name]
    assert {name for name, seconds in took.items() if seconds > 5} == {"accounts 4"}
    assert took["accounts 4"] > 10


@pytest.mark.asyncio
async def test_faults_of_a_scenario_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "outage.yaml"
    path.write_text(
        "steps:\n"
        "  - {at: 0, add_sync: s}\n"
        "  - {at: 0, add_run: old, sync: s, status: completed, ago: 2h, lasted: 90s}\n"
        '  - {at: 1, fault: outage, kind: status, code: 503, body: sorry, path: "/syncs/*"}\n'
        "  - {at: 2, clear: outage}\n"
        "  - {at: 3, remove_run: old}\n"
    )
    simulator = CensusSimulator()
    hung: list[bool] = []
    lasted: list[str] = []

    def watch(step: Step, ids: dict[str, int | str]) -> None:
        hung.append(any(True for _ in simulator._faults.matching("/syncs/1")))
        lasted.extend(f"{run['created_at'][17:]}-{run['completed_at'][17:]}" for run in simulator.runs(1))

    await play(simulator, load_scenario(path), speed=1000, on_step=watch)
    assert hung == [False, False, True, False, False]
    start, end = (float(text.rstrip("Z")) for text in lasted[0].split("-"))
    assert (end - start) % 60 == pytest.approx(30)
    assert simulator.runs(1) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {at: 0, add_sync: a, lable: x}", r"broken\.yaml:2: step 1: unknown: lable"),
        ("- {at: 0, add_sync: a, update_sync: a}", "exactly one action .* has add_sync, update_sync"),
        ("- {at: 0, add_run: r, sync: nobody}", r'broken\.yaml:2: .*there is no sync "nobody" by then'),
        ("- {at: 1, add_sync: a}\n  - {at: 1, add_sync: a}", 'yaml:3: .*the name "a" is taken'),
        ("- {at: 1, add_sync: a}\n  - {at: 0, update_sync: a}", 'yaml:3: .*no sync "a" by then'),
        ("- {at: 0, add_sync: a}\n  - {at: 1, update_run: a}", '"a" is a sync, not a run'),
        ("- {at: -1, add_sync: a}", "0 or later"),
        ("- {add_sync: a}", 'needs "at"'),
        ("- {at: 0, add_sync: a}\n  - {at: 0, add_run: r, sync: a, ago: soon}", '"ago" must be a duration'),
        ("- {at: 0, fault: f, kind: sabotage}", '"kind" must be one of status, delay'),
        ("- {at: 0, fault: f, kind: status, kode: 3}", "unknown: kode"),
        ("- nonsense", "must be a mapping"),
        ("- {at: 0", "is no YAML"),
    ],
)
def test_a_broken_scenario_names_the_line_and_the_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(f"steps:\n  {text}\n")
    with pytest.raises(ScenarioError, match=message):
        load_scenario(path)


def test_an_unknown_name_tells_which_scenarios_there_are() -> None:
    with pytest.raises(ScenarioError, match='no scenario is named "dmeo"; there are: demo'):
        load_scenario("dmeo")
