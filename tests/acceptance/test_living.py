"""Living messages, as a channel sees the worker: one message for an incident that is always true, its story in the
thread, one clear recovery; through restarts, kills and what people do in Slack."""

import json
from collections.abc import Sequence
from functools import partial

import pytest

from notifier.simulator import Hang, SimulatorThread, SlackMessage, Status
from notifier.simulator.slack.faults import UPDATE, Accept, Drop, SlackError

from .conftest import Workplace

TOKEN = "xoxb-simulated"
POST = "chat.postMessage"
DEFAULTS = "{}"
LABEL = "New Signups to Leads"
ERROR = {"error_code": "JSON_ARRAY_ERROR", "error_message": "not a JSON array"}


@pytest.fixture
def channel(simulator: SimulatorThread) -> str:
    """The channel #data-syncs, by its ID."""
    return simulator.slack.add_channel("data-syncs")


def living(simulator: SimulatorThread, channel: str, name: str = "growth", more: str = "") -> str:
    """A Slack receiver with living messages, for `write_watchlist`."""
    url = simulator.slack.api_url
    return f"{name}: {{type: slack, token: '{TOKEN}', channel: '{channel}', api_url: '{url}'{more}}}"


INCIDENTS_ONLY = "routes:\n  - {events: [incident.*], receivers: [growth]}"


def watch(workplace: Workplace, simulator: SimulatorThread, receivers: str, rest: str = INCIDENTS_ONLY) -> None:
    workplace.write_watchlist(receivers=receivers, checks=DEFAULTS, rest=rest)
    simulator.add_sync(id=52, label=LABEL)
    workplace.start()
    workplace.wait_for_baseline(52)


def roots(simulator: SimulatorThread, channel: str) -> list[SlackMessage]:
    return [message for message in simulator.slack.messages(channel) if message.thread_ts is None]


def thread_of(simulator: SimulatorThread, root: SlackMessage) -> list[SlackMessage]:
    return simulator.slack.replies(root.channel, root.ts)


def words(messages: Sequence[SlackMessage]) -> list[str]:
    return [message.text for message in messages]


def was_seen(workplace: Workplace, run_id: int) -> bool:
    return any(line.get("sync_run_id") == run_id for line in workplace.logged())


# --- an incident from opening to recovery ---


def test_a_sync_that_fails_and_recovers_is_one_message_with_its_story_in_the_thread(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(1)
    simulator.add_run(52, id=94, status="failed", error_code="TIMEOUT", error_message="took too long")
    simulator.slack.wait_for(2)
    simulator.add_run(52, id=95, status="skipped")
    simulator.add_run(52, id=96, status="completed")
    simulator.slack.wait_for(3)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0

    [root] = roots(simulator, channel)
    assert root.text.startswith(f"{LABEL} recovered after ")
    assert root.text.endswith(", 2 runs had failed")
    assert [edit.text.split(" ")[5] for edit in root.edits] == ["failing", "after"]
    another, recovered = thread_of(simulator, root)
    assert another.text == f"{LABEL}: run 94 failed with another error: TIMEOUT: took too long"
    assert recovered.text.endswith(": 2 runs failed, run 96 succeeded")
    assert [another.broadcast, recovered.broadcast] == [False, True]
    [incident] = workplace.json("incidents", "--all")
    assert (incident["check"], incident["state"], incident["reason"], incident["runs"]) == (
        "failing",
        "resolved",
        "recovered",
        2,
    )
    assert workplace.json("incidents") == []


def test_a_webhook_gets_every_event_and_the_channel_one_message_for_what_was_seen_at_once(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, f"{living(simulator, channel)}\n  {workplace.hooks('hook')}", rest="")
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.sink.wait_for(2)
    simulator.add_run(52, id=94, status="completed")
    received = simulator.sink.wait_for(4)
    simulator.slack.wait_for(2)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    bodies = [json.loads(request.body) for request in received]
    assert [body["type"] for body in bodies] == [
        "sync_run.failed",
        "incident.opened",
        "sync_run.completed",
        "incident.resolved",
    ]
    opened, resolved = bodies[1]["data"]["incident"], bodies[3]["data"]["incident"]
    assert opened == {
        "id": opened["id"],
        "check": "failing",
        "state": "open",
        "reason": None,
        "opened_at": opened["opened_at"],
        "resolved_at": None,
        "runs": 1,
        "last_good_run": None,
    }
    assert resolved == {
        **opened,
        "state": "resolved",
        "reason": "recovered",
        "resolved_at": resolved["resolved_at"],
    }
    assert len(roots(simulator, channel)) == 1
    assert {d["type"] for d in workplace.json("deliveries", "--receiver", "growth")} == {
        "incident.opened",
        "incident.resolved",
    }


def test_the_runs_message_becomes_the_incidents_and_runs_while_it_lasts_belong_to_it(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel, more=", mentions: ['@here']"), rest="")
    simulator.add_run(52, id=93, status="working")
    simulator.slack.wait_for(1)
    simulator.update_run(93, status="failed", **ERROR)
    simulator.slack.wait_for(2)
    simulator.add_run(52, id=94, status="working")
    simulator.slack.wait_for(3)
    simulator.update_run(94, status="completed")
    simulator.slack.wait_for(4)
    workplace.wait_until(workplace.all_delivered)
    simulator.add_run(52, id=95, status="completed")
    simulator.slack.wait_for(5)
    assert workplace.stop() == 0
    incident, run = roots(simulator, channel)
    assert incident.text.startswith(f"{LABEL} recovered after ")
    assert run.text == f"{LABEL}: run 95 completed"
    told = thread_of(simulator, incident)
    assert [reply.broadcast for reply in told] == [True, False, True]
    assert words(told)[:2] == [
        f"{LABEL} is failing: JSON_ARRAY_ERROR: not a JSON array",
        f"{LABEL}: run 94 is running",
    ]
    assert ['"range": "here"' in json.dumps(message.blocks) for message in told] == [True, False, False]


def test_a_healthy_run_is_one_message_that_is_edited(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel), rest="")
    simulator.add_run(52, id=93, status="queued")
    simulator.slack.wait_for(1)
    simulator.update_run(93, status="working")
    simulator.slack.wait_for(lambda messages: len(messages[0].edits) == 1)
    simulator.update_run(93, status="completed")
    [message] = simulator.slack.wait_for(lambda messages: len(messages[0].edits) == 2)
    assert workplace.stop() == 0
    assert [message.request["text"], *(edit.text for edit in message.edits)] == [
        f"{LABEL}: run 93 is queued",
        f"{LABEL}: run 93 is running",
        f"{LABEL}: run 93 completed",
    ]


def test_each_event_has_its_message_where_the_receiver_wants_that(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    path = simulator.slack.add_webhook(simulator.slack.add_channel("hooked"))
    hook = f"hooked: {{type: slack_webhook, url: '{simulator.slack.webhook_url(path)}'}}"
    watch(workplace, simulator, f"{living(simulator, channel, more=', messages: each')}\n  {hook}", rest="")
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(2)
    simulator.add_run(52, id=94, status="failed", **ERROR)
    simulator.slack.wait_for(4)
    simulator.add_run(52, id=95, status="completed")
    simulator.slack.wait_for(6)
    assert workplace.stop() == 0
    for place in (channel, "C0000000002"):
        messages = simulator.slack.messages(place)
        assert [message.thread_ts for message in messages] == [None, None, None]
        assert words(messages)[:2] == [
            f"{LABEL} is failing: run 93, JSON_ARRAY_ERROR",
            f"{LABEL} failed again · 2 runs: run 94, JSON_ARRAY_ERROR",
        ]
        assert words(messages)[2].startswith(f"{LABEL} recovered after ")
    assert UPDATE not in {request.method for request in simulator.slack.requests}


def test_what_waited_while_slack_was_slow_is_one_edit_and_one_reply(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    slow = simulator.slack.fault(Hang(), method=POST)
    simulator.add_run(52, id=93, status="failed", **ERROR)
    workplace.wait_until(lambda: POST in [request.method for request in simulator.slack.requests])
    for number, status in ((94, "failed"), (95, "failed"), (96, "completed")):
        simulator.add_run(52, id=number, status=status, **(ERROR if status == "failed" else {}))
        workplace.wait_until(partial(was_seen, workplace, number))
    slow.clear()
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    assert [request.method for request in simulator.slack.requests] == [POST, UPDATE, POST]
    [root] = roots(simulator, channel)
    assert root.request["text"].startswith(f"{LABEL} is failing: run 93")
    assert root.text.startswith(f"{LABEL} recovered after ")
    [reply] = thread_of(simulator, root)
    assert reply.broadcast
    assert [f"run {number}" in json.dumps(reply.blocks) for number in (94, 95, 96)] == [True, True, True]


# --- restarts and kills ---


def test_a_restart_in_mid_incident_goes_on_with_the_same_message_and_thread(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(1)
    assert workplace.stop() == 0
    simulator.add_run(52, id=94, status="failed", **ERROR)
    workplace.start()
    simulator.slack.wait_for(2)
    workplace.kill()
    simulator.add_run(52, id=95, status="completed")
    workplace.start()
    workplace.wait_until(lambda: len(simulator.slack.messages(channel)) == 3 and workplace.all_delivered())
    assert workplace.stop() == 0
    [root] = roots(simulator, channel)
    assert root.text.endswith(", 2 runs had failed")
    assert [reply.broadcast for reply in thread_of(simulator, root)] == [False, True]


@pytest.mark.parametrize("method", [UPDATE, POST])
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
def test_a_kill_in_mid_edit_or_mid_reply_neither_loses_nor_repeats_a_line(
    workplace: Workplace, simulator: SimulatorThread, channel: str, method: str, taken: bool
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(1)
    workplace.wait_until(workplace.all_delivered)
    if taken:  # Slack does it, and the worker is killed before it hears of that
        simulator.slack.fault(Accept(Drop()), method=method, times=1)
    hang = simulator.slack.fault(Hang(), method="conversations.replies" if taken else method)
    before = len(simulator.slack.requests)
    simulator.add_run(52, id=94, status="failed", **ERROR)
    asked = "conversations.replies" if taken and method == POST else method
    workplace.wait_until(lambda: asked in [request.method for request in simulator.slack.requests[before:]])
    workplace.kill()
    hang.clear()
    simulator.slack.clear_faults()
    workplace.start()
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    [root] = roots(simulator, channel)
    assert root.text == f"{LABEL} is failing · 2 runs: run 94, JSON_ARRAY_ERROR"
    assert words(thread_of(simulator, root)) == [f"{LABEL}: run 94 failed too"]


# --- what people do in Slack ---


def test_a_message_that_somebody_deleted_is_posted_anew_with_what_is_true(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    simulator.add_run(52, id=93, status="failed", **ERROR)
    [first] = simulator.slack.wait_for(1)
    workplace.wait_until(workplace.all_delivered)
    simulator.slack.delete_message(channel, first.ts)
    simulator.add_run(52, id=94, status="failed", **ERROR)
    workplace.wait_until(lambda: roots(simulator, channel) and workplace.all_delivered())
    simulator.add_run(52, id=95, status="completed")
    workplace.wait_until(lambda: len(simulator.slack.messages(channel)) == 2 and workplace.all_delivered())
    assert workplace.stop() == 0
    [root] = roots(simulator, channel)
    assert root.request["text"] == f"{LABEL} is failing · 2 runs: run 94, JSON_ARRAY_ERROR"
    assert root.text.startswith(f"{LABEL} recovered after ")
    assert [reply.broadcast for reply in thread_of(simulator, root)] == [True]


def test_after_the_window_for_edits_the_message_is_posted_anew(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(1)
    workplace.wait_until(workplace.all_delivered)
    simulator.slack.fault(SlackError("edit_window_closed"), method=UPDATE, times=1)
    simulator.add_run(52, id=94, status="completed")
    workplace.wait_until(lambda: len(roots(simulator, channel)) == 2 and workplace.all_delivered())
    assert workplace.stop() == 0
    _, anew = roots(simulator, channel)
    assert anew.text.startswith(f"{LABEL} recovered after ")


def test_an_archived_channel_keeps_what_is_due_until_it_is_open_again(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(1)
    workplace.wait_until(workplace.all_delivered)
    simulator.slack.update_channel(channel, archived=True)
    simulator.add_run(52, id=94, status="failed", **ERROR)
    workplace.wait_for_log("receiver is broken; its messages wait and one is tried every 5 minutes")
    simulator.add_run(52, id=95, status="completed")
    workplace.wait_until(lambda: workplace.states()["pending"] == 2)
    simulator.slack.update_channel(channel, archived=False)
    assert workplace.run("send-test", "growth").returncode == 0
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    incident = next(root for root in roots(simulator, channel) if "Test message" not in root.text)
    assert incident.text.startswith(f"{LABEL} recovered after ")
    [merged] = thread_of(simulator, incident)
    assert merged.broadcast
    assert "run 94" in json.dumps(merged.blocks)


# --- who was told of it is told of its end ---

ALL_KINDS = "growth, log, hook"


def three_kinds(workplace: Workplace, simulator: SimulatorThread, channel: str) -> tuple[str, str]:
    """A channel with living messages, one with a message for each event, and a webhook; and the second one's ID."""
    log = simulator.slack.add_channel("log")
    each = living(simulator, log, name="log", more=", messages: each")
    return f"{living(simulator, channel)}\n  {each}\n  {workplace.hooks('hook')}", log


def hooked(simulator: SimulatorThread) -> list[str]:
    return [json.loads(request.body)["type"] for request in simulator.sink.received if request.path == "/hook"]


@pytest.mark.parametrize("edit", ["name", "labels", "routes"])
def test_a_sync_that_leaves_its_route_amid_an_incident_recovers_for_all_who_saw_it_fail(
    workplace: Workplace, simulator: SimulatorThread, channel: str, edit: str
) -> None:
    receivers, log = three_kinds(workplace, simulator, channel)
    watches = "- syncs: all\n    labels: {team: sales}"
    rest = f"routes:\n  - {{syncs: ['New *'], labels: {{team: sales}}, events: [incident.*], receivers: [{ALL_KINDS}]}}"
    workplace.write_watchlist(receivers=receivers, watches=watches, checks=DEFAULTS, rest=rest)
    simulator.add_sync(id=52, label=LABEL)
    workplace.start()
    workplace.wait_for_baseline(52)
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(2)
    simulator.sink.wait_for(1)
    workplace.wait_until(workplace.all_delivered)
    if edit == "name":
        simulator.update_sync(52, label="Revenue leads")
        workplace.wait_until(lambda: workplace.json("status")["syncs"][0]["label"] == "Revenue leads")
    else:
        was, becomes = {"labels": ("team: sales", "team: finance"), "routes": ("['New *']", "['Other *']")}[edit]
        workplace.write_watchlist(
            receivers=receivers,
            watches=watches.replace(was, becomes),
            checks=DEFAULTS,
            rest=rest if edit == "labels" else rest.replace(was, becomes),
        )
        workplace.wait_for_log("watchlist reloaded")
    simulator.add_run(52, id=94, status="completed")
    simulator.sink.wait_for(2)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    [root] = roots(simulator, channel)
    assert " recovered after " in root.text
    [recovered] = thread_of(simulator, root)
    assert recovered.broadcast
    assert " recovered after " in words(simulator.slack.messages(log))[-1]
    assert hooked(simulator) == ["incident.opened", "incident.resolved"]


def test_a_workspaces_outage_is_for_the_route_that_is_for_no_syncs_in_particular(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    rest = "routes:\n  - {syncs: [52], receivers: [growth], mentions: ['@here']}\n  - {receivers: [hook]}"
    receivers, _ = three_kinds(workplace, simulator, channel)
    workplace.write_watchlist(receivers=receivers, checks="{unreachable: {after: 2s}}", rest=rest)
    simulator.add_sync(id=52, label=LABEL)
    workplace.start()
    workplace.wait_for_baseline(52)
    simulator.fault(Status(503))
    simulator.sink.wait_for(1)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    assert hooked(simulator) == ["incident.opened"]
    assert roots(simulator, channel) == []


def test_where_all_routes_are_for_syncs_they_hear_of_an_outage_and_nobody_is_called(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    rest = "routes:\n  - {syncs: [52], receivers: [growth], mentions: ['@here']}"
    workplace.write_watchlist(receivers=living(simulator, channel), checks="{unreachable: {after: 2s}}", rest=rest)
    simulator.add_sync(id=52, label=LABEL)
    workplace.start()
    workplace.wait_for_baseline(52)
    simulator.fault(Status(503))
    simulator.slack.wait_for(1)
    assert workplace.stop() == 0
    [root] = roots(simulator, channel)
    assert "broadcast" not in json.dumps(root.blocks)


# --- what is wrong with a workspace ---


def test_a_workspace_that_does_not_answer_is_an_incident_of_its_own(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    receivers = f"{living(simulator, channel)}\n  {workplace.hooks('hook')}"
    workplace.write_watchlist(receivers=receivers, checks="{unreachable: {after: 2s}}")
    simulator.add_sync(id=52)
    workplace.start()
    workplace.wait_for_baseline(52)
    outage = simulator.fault(Status(503))
    simulator.sink.wait_for(1)
    outage.clear()
    opened, resolved = (json.loads(request.body) for request in simulator.sink.wait_for(2, timeout=30))
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    assert [opened["type"], resolved["type"]] == ["incident.opened", "incident.resolved"]
    assert (opened["data"]["sync"], opened["data"]["labels"]) == (None, {})
    assert "sync_run" not in opened["data"]
    assert opened["data"]["incident"]["check"] == "unreachable"
    assert opened["data"]["summary"] == "no usable answer for more than 2 s: HTTP 503 Service Unavailable"
    [root] = roots(simulator, channel)
    assert "503" in root.request["text"]
    assert "production" in root.text
    assert [reply.broadcast for reply in thread_of(simulator, root)] == [True]
    [incident] = workplace.json("incidents", "--all")
    assert (incident["sync"], incident["workspace"], incident["state"]) == (None, "production", "resolved")


def test_a_workspace_that_left_the_watchlist_takes_its_incidents_with_it(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    watch(workplace, simulator, living(simulator, channel))
    simulator.add_run(52, id=93, status="failed", **ERROR)
    simulator.slack.wait_for(1)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    path = workplace.directory / "watchlist.yaml"
    path.write_text(path.read_text().replace("production:", "renamed:"))
    workplace.start()
    [root] = simulator.slack.wait_for(lambda messages: bool(messages[0].edits))
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    assert root.text.startswith(f"{LABEL}: no longer watched")
    [incident] = workplace.json("incidents", "--all")
    assert (incident["workspace"], incident["state"], incident["reason"]) == ("production", "resolved", "unwatched")
    [event, _] = workplace.json("events", "--type", "incident.*")
    assert event["data"]["sync"]["url"] == f"{simulator.base_url.removesuffix('/api/v1')}/syncs/52/history"
