"""A list of syncs that is rude, or quicker than the rest, judged by what section 22 of the contract says."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.rude_census import Place, Rude, at, run, sync

SYNCS = range(1, 13)
NEEDED = 50
LOST = "the list of syncs did not announce a change"


class Announcing:
    """An API whose list announces each run, as it comes; and a worker that has learned so."""

    def __init__(self, rude: Rude, place: Place) -> None:
        self.rude, self.place, self.ids = rude, place, 1000
        for i in SYNCS:
            rude.both(sync(i), [run(i, minutes=-30)])

    def item(self, sync_id: int) -> dict[str, Any]:
        return next(item for item in self.rude.syncs["v2"] if item["id"] == sync_id)

    def announces(self, sync_id: int, **fields: Any) -> None:
        self.item(sync_id).update(updated_at=at(), **fields)

    def appears(self, sync_id: int, status: str = "completed") -> int:
        self.ids += 1
        self.rude.run_of(sync_id, run(self.ids, status))
        return self.ids

    def told(self, run_id: int) -> bool:
        return any(h["type"].startswith("sync_run.") and h["data"]["sync_run"]["id"] == run_id for h in self.rude.hooks)

    def asked(self, path: str) -> int:
        return sum(request[1].endswith(path) for request in self.rude.requests)

    def hints(self) -> Any:
        return self.place.status()["hints"]

    def learned(self, **how: Any) -> None:
        self.place.write(**how)
        self.place.start()
        assert self.place.until(lambda: all(self.asked(f"/syncs/{i}/sync_runs") >= 2 for i in SYNCS), 60)
        for _ in range(-(-NEEDED // len(SYNCS)) + 1):
            for i in SYNCS:
                self.announces(i)
            runs = [self.appears(i) for i in SYNCS]
            assert self.place.until(lambda: all(self.told(r) for r in runs), 60)  # noqa: B023 - called here only
        assert self.place.until(lambda: self.hints() == "trusted", 60)


@pytest.fixture
def rude() -> Iterator[Rude]:
    server = Rude()
    yield server
    server.close()


@pytest.fixture
def place(tmp_path: Path, rude: Rude) -> Iterator[Place]:
    here = Place(tmp_path / "p", rude)
    yield here
    here.stop()


@pytest.fixture
def api(rude: Rude, place: Place) -> Announcing:
    return Announcing(rude, place)


def test_whether_hints_are_used_may_stand_in_a_variable(api: Announcing, place: Place) -> None:
    """Section 2: where a boolean is due, the interpolated text is read as one."""
    place.write(extra="hints: ${HINTS:-false}")
    checked = place.run("check")
    assert checked.returncode == 0, checked.stderr
    place.env["HINTS"] = "true"
    checked = place.run("check")
    assert checked.returncode == 0, checked.stderr


def test_a_new_sync_is_polled_as_soon_as_the_trusted_list_shows_it(api: Announcing, place: Place, rude: Rude) -> None:
    api.learned()
    rude.both(sync(99, created_at=at()))
    before = api.asked("/syncs")
    assert place.until(lambda: api.asked("/syncs") >= before + 4, 30)  # the list has shown it four times
    failed = api.appears(99, "failed")
    api.announces(99, status="Failing")
    assert place.until(lambda: api.told(failed), 60)
    assert api.asked("/syncs") - before <= 12  # not the thirty and more that are read in ten intervals


def test_a_sync_that_the_trusted_list_shows_as_paused_is_not_called_stale(
    api: Announcing, place: Place, rude: Rude
) -> None:
    """Section 9: `stale` is of a sync that is not paused, and the worker reads that it is three times a second."""
    none = "failing: false, rejected_records: false, unreachable: false, reminders: false"
    api.learned(checks=f"{{{none}, stale: {{after: 6s}}}}")
    for sync_id in (3, 6, 9):  # wherever it is in its ten intervals
        assert place.until(lambda: api.hints() == "trusted", 60)
        for i in SYNCS:
            api.announces(i)
        runs = [api.appears(i) for i in SYNCS]
        assert place.until(lambda: all(api.told(r) for r in runs), 60)  # noqa: B023 - called here only
        before, begun = api.asked("/syncs"), len(rude.hooks)
        api.announces(sync_id, paused=True)
        assert place.until(lambda: api.asked("/syncs") >= before + 30, 60)  # noqa: B023 - called here only
        opened = [
            hook
            for hook in rude.hooks[begun:]
            if hook["type"] == "incident.opened" and hook["data"]["sync"]["id"] == sync_id
        ]
        assert not opened


def test_what_the_list_announced_before_the_runs_show_it_was_announced(api: Announcing, place: Place) -> None:
    """The list comes from the primary, the runs from a replica behind it by less than the `poll_interval`."""
    api.learned(poll_interval="3s")
    for sync_id in (2, 5):
        api.announces(sync_id, status="Failing")
        before = api.asked("/syncs")
        assert place.until(lambda: api.asked("/syncs") >= before + 3, 30)  # noqa: B023 - called here only
        failed = api.appears(sync_id, "failed")
        assert place.until(lambda: api.told(failed), 60)  # noqa: B023 - called here only
    assert LOST not in place.log.read_text()


def test_the_log_says_so_when_a_list_that_announces_everything_is_trusted_no_more(
    api: Announcing, place: Place, rude: Rude
) -> None:
    """Each item has a clock now. That ends the trust; the log's last word must not be that the list is read often."""
    api.learned()

    def clocks(request: Any, version: str, path: str) -> None:
        if path == "/syncs":
            for item in rude.syncs[version]:
                item["clock"] = time.monotonic_ns()

    rude.answer = clocks
    assert place.until(lambda: api.hints() == "learning", 60)
    said = [
        line["event"]
        for line in map(json.loads, place.log.read_text().splitlines())
        if line["event"].startswith("the list of syncs")
    ]
    assert len(said) > 1, said


def test_trust_takes_effect_within_a_budget_that_is_enough_with_it(api: Announcing, place: Place, rude: Rude) -> None:
    """60 syncs want 60 requests a second without hints, 6 and 3.3 for the list with them: 14 are enough."""
    for i in range(len(SYNCS) + 1, 61):
        rude.both(sync(i), [run(i, minutes=-30)])
    api.learned()
    written = (place.directory / "watchlist.yaml").read_text()
    (place.directory / "new").write_text(written.replace("max_requests_per_second: 100", "max_requests_per_second: 14"))
    (place.directory / "new").rename(place.directory / "watchlist.yaml")

    def readings() -> int:
        return sum(request[1].endswith("/syncs") for request in rude.requests[-120:])

    assert place.until(lambda: "watchlist reloaded" in place.log.read_text(), 20)
    at_first = len(rude.requests)
    assert place.until(lambda: len(rude.requests) > at_first + 120, 60)
    assert place.until(lambda: readings() >= 25, 60), readings()  # of 120 requests, a third are readings of the list
