"""How often the API is asked: seldom, evenly, and never more than is allowed."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from notifier.simulator import SimulatorThread, Status

from .conftest import Workplace

SYNCS = range(1, 21)


def polls(simulator: SimulatorThread) -> Counter[int]:
    """How often each sync's runs were asked for."""
    paths = [request.path.split("/") for request in simulator.requests]
    return Counter(int(path[2]) for path in paths if path[-1] == "sync_runs" and len(path) == 4)


def wait_for_polls(workplace: Workplace, each: int, syncs: Iterable[int] = SYNCS) -> None:
    """Until each of the syncs was asked for so often."""

    def enough() -> bool:
        asked = polls(workplace.simulator)
        return all(asked[sync_id] >= each for sync_id in syncs)

    workplace.wait_until(enough, timeout=60)


def test_at_rest_a_poll_is_one_small_request_and_polls_are_spread_over_the_interval(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    for sync_id in SYNCS:
        simulator.add_sync(id=sync_id)
        for _ in range(30):
            simulator.add_run(sync_id, status="completed")
    workplace.start()
    workplace.wait_for_baseline(*SYNCS)
    simulator.forget_requests()
    wait_for_polls(workplace, 5)
    requests = simulator.requests
    assert workplace.stop() == 0

    of_runs = [request for request in requests if request.path != "/syncs"]
    elapsed = of_runs[-1].at - of_runs[0].at
    asked = Counter(request.path for request in of_runs)
    assert asked.keys() == {f"/syncs/{sync_id}/sync_runs" for sync_id in SYNCS}
    assert max(asked.values()) <= elapsed + 2  # once a second, and the ends
    assert len(requests) - len(of_runs) <= elapsed / 10 + 2  # the listing, every tenth poll
    assert all(request.query["page"] == "1" and int(request.query["per_page"]) <= 25 for request in of_runs)

    tenths = Counter(int(request.at * 10) % 10 for request in of_runs)
    assert len(tenths) >= 8
    assert max(tenths.values()) <= len(of_runs) / 3


def test_too_much_to_ask_stretches_all_intervals_alike_and_keeps_the_ceiling(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    active, *resting = SYNCS
    workplace.write_watchlist(limits="max_requests_per_second: 10")
    for sync_id in SYNCS:
        simulator.add_sync(id=sync_id)
    simulator.add_run(active, status="working")
    workplace.start()
    wait_for_polls(workplace, 5)
    assert workplace.stop() == 0
    (workspace,) = workplace.json("status")["workspaces"]

    times = [request.at for request in simulator.requests]
    in_any_second = max(place + 1 - bisect_left(times, at - 1) for place, at in enumerate(times))
    assert in_any_second <= 10 + 10 + 2  # one burst and one second; 2 for arrivals that bunched on their way
    assert len(times) <= (times[-1] - times[0]) * 10 + 10 + 2

    asked = polls(simulator)
    counts = [asked[sync_id] for sync_id in resting]
    assert max(counts) - min(counts) <= 2
    # Five times as often as each other: 200 ms and 1 s. Where intervals that can't be kept only queue for the budget,
    # all get the same.
    assert asked[active] > 2 * max(counts)
    # 19 syncs a second, one five times, and a listing every ten seconds
    assert workspace["needed_requests_per_second"] == 24.1
    assert 2.4 < workspace["intervals_stretched_by"] <= 2.5
    (told,) = [line for line in workplace.logged() if line["event"].startswith("intervals are stretched")]
    assert told["needed_requests_per_second"] in (20.1, 24.1)  # before the run was seen, or after


def test_no_more_requests_than_allowed_are_open_at_once(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.write_watchlist(workspace="max_concurrent_requests: 3")
    simulator.simulator.latency = 0.2
    for sync_id in SYNCS:
        simulator.add_sync(id=sync_id)
        simulator.add_run(sync_id, status="working")
    workplace.start()
    wait_for_polls(workplace, 2)
    assert workplace.stop() == 0
    assert simulator.max_open_requests == 3


def test_a_429_pauses_the_whole_workspace_as_long_as_it_says(workplace: Workplace, simulator: SimulatorThread) -> None:
    syncs = range(1, 6)
    workplace.start_watching(*syncs)
    fault = simulator.fault(Status(429, headers={"Retry-After": "2"}), path="/syncs/3/*", times=1)
    workplace.wait_until(lambda: fault.hits)
    before = polls(simulator)[3]
    wait_for_polls(workplace, before + 1, [3])
    wait_for_polls(workplace, before, syncs)
    times = [request.at for request in simulator.requests]
    (workspace,) = workplace.json("status")["workspaces"]
    assert workspace["ok"]
    assert workplace.stop() == 0
    # The pause begins when the answer has come; a request may have been on its way.
    assert max(later - earlier for earlier, later in pairwise(times)) > 1.9


def test_a_429_that_does_not_say_how_long_pauses_the_workspace_for_long(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.start_watching(*range(1, 6))
    fault = simulator.fault(Status(429), path="/syncs/3/*", times=1)
    workplace.wait_until(lambda: fault.hits)
    time.sleep(3.5)  # there is nothing to wait for: it is 30 s
    (refused,) = [request for request in simulator.requests if request.path == "/syncs/3/sync_runs"][-1:]
    assert not [request for request in simulator.requests if request.at > refused.at + 0.3]
    assert workplace.stop() == 0
