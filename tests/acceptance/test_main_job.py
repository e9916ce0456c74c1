"""The main job, as its user sees it: runs happen in a workspace, a webhook is told."""

import json
from itertools import pairwise
from typing import Any

import pytest
from standardwebhooks import Webhook

from notifier.simulator import Body, ReceivedWebhook, SimulatorThread, Status

from .conftest import SECRET, Workplace


def read(webhook: ReceivedWebhook) -> Any:
    """The body, after its signature was verified by Standard Webhooks' own library."""
    return Webhook(SECRET).verify(webhook.body, {key.lower(): value for key, value in webhook.headers.items()})


def story(webhooks: list[ReceivedWebhook]) -> list[tuple[str, int]]:
    return [(body["type"], body["data"]["sync_run"]["id"]) for body in map(read, webhooks)]


def test_a_webhook_is_told_the_whole_story_of_three_runs(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52, label="New Signups to Leads")
    simulator.add_run(52, id=92, status="completed")
    workplace.start()
    workplace.wait_for_baseline(52)

    simulator.add_run(52, id=93, status="queued")
    simulator.sink.wait_for(1)
    simulator.update_run(93, status="working")
    simulator.sink.wait_for(2)
    simulator.update_run(93, status="failed", error_code="JSON_ARRAY_ERROR", error_message="not JSON")
    simulator.sink.wait_for(3)
    simulator.update_run(93, error_detail="see the field Users")
    simulator.sink.wait_for(4)
    simulator.add_run(52, id=94, status="working")
    simulator.sink.wait_for(5)
    simulator.add_run(52, id=95, status="skipped")
    simulator.sink.wait_for(6)
    simulator.update_run(94, status="completed", canceled=True)
    received = simulator.sink.wait_for(7)

    assert story(received) == [
        ("sync_run.queued", 93),
        ("sync_run.working", 93),
        ("sync_run.failed", 93),
        ("sync_run.error_changed", 93),
        ("sync_run.working", 94),
        ("sync_run.skipped", 95),
        ("sync_run.canceled", 94),
    ]
    failed = read(received[2])["data"]
    assert failed["changes"] == [
        {"field": "status", "old": "working", "new": "failed"},
        {"field": "error_code", "old": None, "new": "JSON_ARRAY_ERROR"},
        {"field": "error_message", "old": None, "new": "not JSON"},
    ]
    assert failed["previous_run"] == {"id": 92, "status": "completed"}
    assert failed["sync"]["label"] == "New Signups to Leads"
    app = simulator.base_url.removesuffix("/api/v1")
    assert failed["sync_run"]["url"] == f"{app}/syncs/52/history?sync_run_id=93"
    assert read(received[4])["data"]["previous_run"] == {"id": 93, "status": "failed"}
    assert len({webhook.headers["webhook-id"] for webhook in received}) == 7
    assert workplace.stop() == 0


def test_120_runs_while_it_was_away_are_all_reported_in_order(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    simulator.add_run(52, id=1, status="completed")
    workplace.start()
    workplace.wait_for_baseline(52)
    assert workplace.stop() == 0

    for run_id in range(2, 122):
        simulator.add_run(52, id=run_id, status="completed")
    workplace.start()
    received = simulator.sink.wait_for(120, timeout=30)
    assert workplace.stop() == 0
    assert story(received) == [("sync_run.completed", run_id) for run_id in range(2, 122)]

    workplace.start()
    simulator.forget_requests()
    workplace.wait_for_baseline(52)
    assert workplace.stop() == 0
    assert len(simulator.sink.received) == 120


def test_a_kill_among_120_deliveries_loses_none_and_repeats_at_most_the_one_under_way(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    workplace.start()
    workplace.wait_for_baseline(52)
    assert workplace.stop() == 0
    for run_id in range(2, 122):
        simulator.add_run(52, id=run_id, status="completed")
    simulator.sink.answer(delay=0.02)
    workplace.start()
    simulator.sink.wait_for(40)
    workplace.kill()
    sent_before = len(simulator.sink.received)
    assert sent_before < 120
    workplace.start()
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0

    received = simulator.sink.received
    runs = [run_id for _, run_id in story(received)]
    assert list(dict.fromkeys(runs)) == list(range(2, 122))
    assert len(runs) <= 121
    if len(runs) == 121:  # the one under way at the kill: the same ID and bytes
        again = runs.index(runs[sent_before])
        assert received[again].body == received[sent_before].body
        assert received[again].headers["webhook-id"] == received[sent_before].headers["webhook-id"]


def test_what_lies_below_the_baseline_is_never_news(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    for run_id in range(1, 31):
        simulator.add_run(52, id=run_id, status="completed")
    workplace.start()
    workplace.wait_for_baseline(52)
    for run_id in (30, 29, 28):
        simulator.remove_run(run_id)
    simulator.forget_requests()
    workplace.wait_for_baseline(52)
    simulator.add_run(52, id=31, status="failed")
    assert story(simulator.sink.wait_for(1)) == [("sync_run.failed", 31)]
    assert workplace.stop() == 0


def test_a_sync_made_after_the_first_listing_has_no_baseline(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    workplace.start()
    workplace.wait_for_baseline(52)
    assert workplace.stop() == 0
    simulator.add_sync(id=53, label="new")
    simulator.add_run(53, id=7, status="completed")
    simulator.add_run(53, id=8, status="failed")
    workplace.start()
    assert story(simulator.sink.wait_for(2)) == [("sync_run.completed", 7), ("sync_run.failed", 8)]
    assert workplace.stop() == 0


def test_an_elder_run_that_left_the_list_is_fetched_by_itself(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    simulator.add_run(52, id=1, status="working")
    for run_id in range(2, 30):
        simulator.add_run(52, id=run_id, status="skipped")
    workplace.start()
    workplace.wait_for_baseline(52)
    simulator.update_run(1, status="failed", error_code="LATE")
    assert story(simulator.sink.wait_for(1)) == [("sync_run.failed", 1)]
    assert workplace.stop() == 0


def test_one_run_is_watched_until_it_ends(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52, label="Alone")
    simulator.add_run(52, id=94, status="working")
    workplace.write_watchlist(watches="- {sync_run: 94, labels: {ticket: T-1}}")
    workplace.start()
    workplace.wait_until(lambda: sum(r.path == "/sync_runs/94" for r in simulator.requests) >= 2)
    simulator.add_run(52, id=95, status="failed")
    simulator.update_run(94, status="completed")
    (received,) = simulator.sink.wait_for(1)
    assert story([received]) == [("sync_run.completed", 94)]
    assert read(received)["data"]["labels"] == {"ticket": "T-1"}
    assert read(received)["data"]["sync"]["label"] == "Alone"
    workplace.wait_until(lambda: any(line["event"] == "watch of a sync run has ended" for line in workplace.logged()))
    simulator.forget_requests()
    assert workplace.stop() == 0
    assert not [r for r in simulator.requests if r.path == "/sync_runs/94"]


def test_a_run_watch_adds_its_labels_where_its_sync_is_watched_too(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    simulator.add_run(52, id=94, status="working")
    workplace.write_watchlist(watches="- {sync: 52, labels: {team: a, x: y}}\n  - {sync_run: 94, labels: {team: b}}")
    workplace.start()
    workplace.wait_for_baseline(52)
    workplace.wait_until(lambda: any(r.path == "/sync_runs/94" for r in simulator.requests))
    simulator.update_run(94, status="failed")
    simulator.sink.wait_for(1)
    simulator.add_run(52, id=95, status="failed")
    received = simulator.sink.wait_for(2)
    assert [read(webhook)["data"]["labels"] for webhook in received] == [
        {"team": "b", "x": "y"},
        {"team": "a", "x": "y"},
    ]
    assert workplace.stop() == 0


@pytest.mark.parametrize("refusal", [Status(401), Status(403)])
def test_a_refused_key_is_reported_once_and_shown_by_status(
    workplace: Workplace, simulator: SimulatorThread, refusal: Status
) -> None:
    simulator.add_sync(id=52)
    simulator.fault(refusal)
    workplace.start()
    workplace.wait_until(lambda: any(line["level"] == "error" for line in workplace.logged()))
    (workspace,) = workplace.json("status")["workspaces"]
    assert not workspace["ok"]
    assert str(refusal.code) in workspace["last_error"]
    assert workplace.stop() == 0
    assert sum(line["event"] == "workspace can't be read" for line in workplace.logged()) == 1
    assert not any(line["event"] == "workspace could not be read before this start" for line in workplace.logged())

    workplace.start()  # whoever restarts it with the key still wrong is told why nothing happens
    recalled = workplace.wait_until(
        lambda: [li for li in workplace.logged() if li["event"] == "workspace could not be read before this start"]
    )
    assert str(refusal.code) in recalled[0]["error"]
    assert workplace.stop() == 0
    assert simulator.api_key not in workplace.log.read_text()


def test_a_sync_that_is_not_found_does_not_disturb_the_others(workplace: Workplace, simulator: SimulatorThread) -> None:
    for sync_id in (51, 52, 53):
        simulator.add_sync(id=sync_id)
    simulator.fault(Status(404), path="/syncs/52/*")
    workplace.start()
    workplace.wait_for_baseline(51, 52, 53)
    simulator.add_run(51, id=1, status="failed")
    simulator.add_run(53, id=2, status="failed")
    assert sorted(story(simulator.sink.wait_for(2))) == [("sync_run.failed", 1), ("sync_run.failed", 2)]
    workplace.wait_for_log("sync can't be read; the others go on")
    (unread,) = (sync for sync in workplace.json("status")["syncs"] if sync["last_error"])
    assert (unread["id"], unread["last_error"]) == (52, "HTTP 404 Not Found")
    assert workplace.stop() == 0
    assert sum(line["event"] == "sync can't be read; the others go on" for line in workplace.logged()) == 1


def test_an_outage_of_the_api_loses_nothing(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    workplace.start()
    workplace.wait_for_baseline(52)
    fault = simulator.fault(Status(503))
    workplace.wait_until(lambda: not workplace.json("status")["workspaces"][0]["ok"])
    simulator.add_run(52, id=1, status="failed", error_code="A")
    simulator.add_run(52, id=2, status="completed")
    fault.clear()
    assert story(simulator.sink.wait_for(2, timeout=30)) == [("sync_run.failed", 1), ("sync_run.completed", 2)]
    workplace.wait_until(lambda: workplace.json("status")["workspaces"][0]["ok"])
    assert workplace.stop() == 0
    sentences = [line["event"] for line in workplace.logged()]
    assert sentences.count("workspace can't be read") == 1
    assert sentences.count("workspace answers again") == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>maintenance</html>", b"[]", b'{"status":"success","data":{}}', b"\xff\xfe", b""],
    ids=["html", "list", "object for a list", "no UTF-8", "empty"],
)
def test_answers_that_are_none_change_nothing(workplace: Workplace, simulator: SimulatorThread, body: bytes) -> None:
    simulator.add_sync(id=52)
    simulator.add_run(52, id=1, status="working")
    workplace.start()
    workplace.wait_for_baseline(52)
    fault = simulator.fault(Body(body), path="/syncs/52/*", times=3)
    workplace.wait_until(lambda: fault.hits >= 2)
    simulator.update_run(1, status="completed")
    assert story(simulator.sink.wait_for(1, timeout=30)) == [("sync_run.completed", 1)]
    assert workplace.stop() == 0


def test_changes_of_a_run_chain_without_a_break(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    workplace.start()
    workplace.wait_for_baseline(52)
    simulator.add_run(52, id=1, status="queued")
    for status in ("working", "preparing", "retrying", "working", "completed"):
        simulator.update_run(1, status=status)
        simulator.sink.wait_for(lambda seen, wanted=status: seen and last_status(seen) == wanted)  # type: ignore[misc]
    assert workplace.stop() == 0
    steps = [(c["old"], c["new"]) for c in map(status_change, simulator.sink.received)]
    assert steps[0][0] is None
    assert all(earlier[1] == later[0] for earlier, later in pairwise(steps))


def status_change(webhook: ReceivedWebhook) -> Any:
    (change,) = [c for c in json.loads(webhook.body)["data"]["changes"] if c["field"] == "status"]
    return change


def last_status(webhooks: list[ReceivedWebhook]) -> Any:
    return status_change(webhooks[-1])["new"]
