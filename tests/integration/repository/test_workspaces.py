"""Several workspaces of the fault suite: each has its own syncs and runs, and they are asked as one."""

import urllib.request
from collections.abc import Iterator

import orjson
import pytest

from faults.workspaces import NAMES, Workspaces
from notifier.simulator import SimulatorThread


@pytest.fixture
def workspaces() -> Iterator[Workspaces]:
    with Workspaces() as running:
        yield running


def listed(workspace: SimulatorThread, path: str) -> list[int]:
    request = urllib.request.Request(  # noqa: S310 - the simulator's
        workspace.base_url + path, headers={"Authorization": f"Bearer {workspace.api_key}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the simulator's
        return [each["id"] for each in orjson.loads(answer.read())["data"]]


def test_each_has_the_syncs_whose_turn_it_was_and_their_runs(workspaces: Workspaces) -> None:
    for sync_id in range(1, 9):
        workspaces.add_sync(id=sync_id)
    runs = [workspaces.add_run(sync_id, status="working")["id"] for sync_id in (1, 2, 6, 6)]
    assert len(set(runs)) == 4
    found = {name: sorted(listed(each, "/syncs")) for name, each in workspaces.each.items()}
    assert found == dict(zip(NAMES, ([1, 5], [2, 6], [3, 7], [4, 8]), strict=True))
    assert sorted(listed(workspaces.each["birch"], "/syncs/6/sync_runs")) == runs[2:]
    assert workspaces.update_run(runs[3], status="failed")["status"] == workspaces.run(runs[3])["status"] == "failed"


def test_what_all_were_asked_is_known_together_and_of_each(workspaces: Workspaces) -> None:
    workspaces.add_sync(id=1)
    for name in ("cedar", "amber", "cedar"):
        listed(workspaces.each[name], "/syncs")
    assert workspaces.counts() == {"amber": 1, "birch": 0, "cedar": 2, "delta": 0}
    assert (workspaces.request_count, len(workspaces.requests)) == (3, 3)
    assert {name: len(requests) for name, requests in workspaces.asked().items()} == workspaces.counts()
    times = [request.at for request in workspaces.requests]
    assert times == sorted(times)
