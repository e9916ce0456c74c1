"""Version 2 of the API, as the worker asks it and believes it: groups, IDs as text, a token that dies."""

import json
from datetime import UTC, datetime
from typing import Any

from notifier.simulator import SimulatorThread, Status, Transform
from tests.acceptance.conftest import V1, V2, Workplace
from tests.acceptance.test_versions import (
    DONKEY,
    LACKS_ALL,
    OURS,
    begun,
    last_error,
    listed_again,
    replaced,
    told,
    wait_for,
)

REFUSED = (
    "HTTP 401 Unauthorized: the token is wrong or lacks access: a personal access token ends with its owner's access"
)


def as_text(value: Any) -> Any:
    """An answer whose IDs are all text."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = {name: str(value[name]) for name in ("id", "sync_id") if isinstance(value.get(name), int)}
    return {name: as_text(item) for name, item in value.items()} | ids


def queries(simulator: SimulatorThread) -> dict[str, set[str | None]]:
    """By path, which groups were asked for with it; None where none was."""
    asked: dict[str, set[str | None]] = {}
    for request in simulator.requests:
        asked.setdefault(request.path, set()).add(request.query.get("group_id"))
    return asked


def test_ids_that_version_2_gives_as_text_are_the_same_syncs_and_runs(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    begun(workplace, V1, syncs=(7, 52, "007"))
    simulator.add_run(52, id=1, status="failed", error_code="E1")
    simulator.add_run(7, id=2, status="working")
    wait_for(workplace, 3)
    simulator.fault(Transform(as_text))
    replaced(workplace, (V2,))
    simulator.update_run(2, status="completed")
    simulator.add_run("007", id="07", status="failed", error_code="E2")
    simulator.add_run(52, id=3, status="completed")
    wait_for(workplace, 8)
    assert workplace.stop() == 0
    assert told(simulator) == {
        7: [("working", 2)],
        "7": [("completed", "2")],  # as the API gives it by now
        52: [("failed", 1), ("incident.opened", 1)],
        "52": [("completed", "3"), ("incident.resolved", "3")],
        "007": [("failed", "07"), ("incident.opened", "07")],
    }


def test_a_group_is_asked_for_with_lists_alone_and_a_sync_of_another_is_not_watched_though_it_is_named(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=61)
    simulator.add_run(61, id=1, status="completed")
    simulator.add_sync(id=62)
    simulator.add_run(62, id="lonely_yak", status="working")

    def of_other_groups(answer: Any) -> Any:
        """The list does not heed which group it is asked for, and says of one sync that it is of another."""
        return answer | {
            "data": [sync | {"group_id": "ours" if sync["id"] != 61 else "theirs"} for sync in answer["data"]]
        }

    simulator.fault(Transform(of_other_groups), path="/syncs")
    watches = f"- sync: 61\n  - sync: {DONKEY}\n  - sync: 51\n  - sync_run: lonely_yak"
    begun(workplace, *OURS, syncs=(51, DONKEY), watches=watches)
    simulator.add_run(61, id=2, status="failed")
    simulator.add_run(DONKEY, id=3, status="completed")
    simulator.update_run("lonely_yak", status="failed")
    wait_for(workplace, 2)
    asked = queries(simulator)
    assert workplace.stop() == 0
    workplace.start()
    listed_again(workplace, simulator, times=1)
    workplace.wait_for_baseline(51, DONKEY)
    assert asked.pop("/sync_runs/lonely_yak") == {None}
    lists = ("/syncs", "/syncs/51/sync_runs", "/syncs/62/sync_runs", f"/syncs/{DONKEY}/sync_runs")
    assert asked == {path: {"ours"} for path in lists}
    assert queries(simulator).items() <= asked.items()
    assert told(simulator) == {DONKEY: [("completed", 3)], 62: [("failed", "lonely_yak")]}
    assert workplace.stop() == 0


def test_without_a_group_none_is_asked_for(workplace: Workplace, simulator: SimulatorThread) -> None:
    begun(workplace, V2, syncs=(52,))
    assert set().union(*queries(simulator).values()) == {None}


def test_a_503_with_a_retry_after_is_obeyed(workplace: Workplace, simulator: SimulatorThread) -> None:
    begun(workplace, V2, syncs=(52,))
    busy = simulator.fault(Status(503, headers={"Retry-After": "4"}), times=1)
    simulator.forget_requests()
    simulator.add_run(52, id=1, status="failed")
    wait_for(workplace, 2)
    first, second = simulator.requests[:2]
    assert busy.hits == 1
    assert second.at - first.at >= 3.9, "it would have been asked again a second later"


def test_a_token_that_dies_is_told_with_what_ends_one_and_another_goes_on(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    token = workplace.directory / "token"
    token.write_text(simulator.token)
    del workplace.environment["ACTIVATIONS_TOKEN"]
    workplace.environment["ACTIVATIONS_TOKEN_FILE"] = str(token)
    checks = "{rejected_records: false, unreachable: {after: 1h}, reminders: false}"
    begun(workplace, V2, checks=checks)
    simulator.add_run(52, id=1, status="failed", error_code="E1")
    wait_for(workplace, 2)
    token.write_text("of-someone-who-left")
    workplace.wait_until(lambda: last_error(workplace) == REFUSED)
    simulator.add_run(52, id=2, status="completed")
    wait_for(workplace, 3)
    [opened] = [
        json.loads(hook.body)["data"]
        for hook in simulator.sink.accepted
        if b'"check": "unreachable"' in hook.body or b'"check":"unreachable"' in hook.body
    ]
    assert opened["summary"] == REFUSED
    [line] = [line for line in workplace.logged() if line["event"] == "workspace can't be read"]
    assert (line["error"], line["remedy"]) == (REFUSED, "mend its token in the watchlist")
    token.write_text(simulator.token)
    wait_for(workplace, 6)
    assert workplace.stop() == 0
    assert told(simulator) == {
        52: [("failed", 1), ("incident.opened", 1), ("completed", 2), ("incident.resolved", 2)],
        None: [("incident.opened", None), ("incident.resolved", None)],
    }


def test_a_wrong_group_after_the_end_of_version_1_is_told_in_place_of_that_end(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    begun(workplace, V1)
    for sync_id in (51, 52, DONKEY):
        simulator.update_sync(sync_id, group_id="ours")
    gone = simulator.fault(Status(301), path="/syncs*")
    workplace.wait_until(lambda: "version 1 of the API ends" in (last_error(workplace) or ""))
    simulator.retire_v1(datetime.now(UTC), 301)
    gone.clear()
    simulator.fault(Status(403), path="/syncs/*/sync_runs")  # as the runs of another group's syncs may be
    replaced(workplace, (V2, "group: nobodys"))
    workplace.wait_until(lambda: (last_error(workplace) or "").startswith(LACKS_ALL))
    assert [line["error"] for line in workplace.logged() if line["event"] == "workspace can't be read"][-1].startswith(
        LACKS_ALL
    )
    simulator.add_run(52, id=1, status="completed")
    simulator.clear_faults()
    replaced(workplace, OURS)
    wait_for(workplace, 1)
    assert last_error(workplace) is None
    assert workplace.stop() == 0
