"""Slack, as its channels see the worker: one message an event, in order, at Slack's pace, and quiet about secrets."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from notifier.simulator import Hang, SimulatorThread, SlackMessage, Status
from notifier.simulator.slack.faults import Accept

from .conftest import SECRET, V2, Workplace

TOKEN = "xoxb-simulated"
ALL_EVENTS = "events: [sync_run.*]"


@pytest.fixture
def channel(simulator: SimulatorThread) -> str:
    """The channel #data-syncs, by its ID."""
    return simulator.slack.add_channel("data-syncs")


def slack(simulator: SimulatorThread, name: str, channel: str, token: str = TOKEN) -> str:
    """A Slack receiver for `write_watchlist`."""
    url = simulator.slack.api_url
    return f"{name}: {{type: slack, token: '{token}', channel: '{channel}', api_url: '{url}', messages: each}}"


def slack_webhook(simulator: SimulatorThread, name: str, path: str) -> str:
    return f"{name}: {{type: slack_webhook, url: '{simulator.slack.webhook_url(path)}'}}"


def runs(messages: Iterable[SlackMessage]) -> list[int]:
    """The runs that these tell of, by the link in their headline."""
    links = [link_of(message) for message in messages]
    return [int(link.rpartition("=")[2]) for link in links]


def link_of(message: SlackMessage) -> str:
    headline = message.blocks[0]["elements"][0]["elements"]
    return str(next(piece["url"] for piece in headline if piece["type"] == "link"))


def receivers(workplace: Workplace) -> dict[str, Any]:
    return {receiver["name"]: receiver for receiver in workplace.json("status")["receivers"]}


def posts(simulator: SimulatorThread, channel: str) -> list[float]:
    """When each request to post to this channel came in."""
    asked = simulator.slack.requests
    return [request.at for request in asked if request.method == "chat.postMessage" and request.channel == channel]


# --- what a channel gets ---


def test_a_channel_gets_one_message_for_each_event_in_order_and_a_restart_repeats_none(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    path = simulator.slack.add_webhook(simulator.slack.add_channel("fallback"))
    growth, fallback = slack(simulator, "growth", "#data-syncs"), slack_webhook(simulator, "fallback", path)
    workplace.write_watchlist(receivers=f"{growth}\n  {fallback}")
    workplace.start_watching(52)
    simulator.update_sync(52, label="New <Signups> & Leads")
    simulator.add_run(52, id=93, status="working")
    simulator.slack.wait_for(2)
    simulator.update_run(93, status="failed", error_code="JSON_ARRAY_ERROR", error_message="see http://evil.example")
    simulator.slack.wait_for(4)
    simulator.add_run(52, id=94, status="completed")
    simulator.slack.wait_for(6)
    assert workplace.stop() == 0
    workplace.start()
    workplace.wait_for_log("notifier started", times=2)
    assert workplace.stop() == 0

    for messages in (simulator.slack.messages(channel), simulator.slack.messages("C0000000002")):
        assert runs(messages) == [93, 93, 94]
        assert [message.text.partition(": ")[2] for message in messages] == [
            "run 93 is running",
            "run 93 failed, JSON_ARRAY_ERROR",
            "run 94 completed, the sync has recovered",
        ]
        assert all(message.metadata["event_type"] == "census_sync_run" for message in messages if message.metadata)
        ids = [message.metadata["event_payload"]["event_id"] for message in messages if message.metadata]
        assert ids == [event["id"] for event in reversed(workplace.json("events"))]


def test_a_channel_gets_no_more_than_one_message_a_second_from_all_its_receivers_together(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    simulator.slack.enforce_pace = True
    one, two = slack(simulator, "one", channel), slack(simulator, "two", channel)
    workplace.write_watchlist(receivers=f"{one}\n  {two}")
    workplace.start_watching(52)
    for number in (1, 2, 3):
        simulator.add_run(52, id=number, status="failed")
    messages = simulator.slack.wait_for(6, timeout=20)
    assert workplace.stop() == 0
    assert {request.answer for request in simulator.slack.requests} == {"ok"}
    assert sorted(runs(messages)) == [1, 1, 2, 2, 3, 3]
    assert runs(messages)[:2] == [1, 1]  # they take turns


def test_once_sends_what_is_pending_in_order_at_slacks_pace(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    workplace.write_watchlist(receivers=slack(simulator, "growth", channel))
    simulator.add_sync(id=52)
    assert workplace.run("run", "--once").returncode == 0
    simulator.slack.enforce_pace = True
    for number in (1, 2, 3):
        simulator.add_run(52, id=number, status="failed")
    assert workplace.run("run", "--once").returncode == 0
    assert runs(simulator.slack.messages(channel)) == [1, 2, 3]
    assert {request.status for request in simulator.slack.requests} == {200}


# --- holds, broken receivers, unknown ends ---


def test_retry_after_holds_that_token_and_channel_to_the_second_and_no_other(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    other = simulator.slack.add_channel("other")
    simulator.slack.add_token("xoxb-second")
    same, elsewhere = slack(simulator, "same", channel), slack(simulator, "elsewhere", other)
    second = slack(simulator, "second", channel, token="xoxb-second")
    workplace.write_watchlist(
        receivers=f"{slack(simulator, 'held', channel)}\n  {same}\n  {elsewhere}\n  {second}",
        rest="""routes:
- {syncs: [52], receivers: [held]}
- {syncs: [53], receivers: [same, elsewhere, second]}""",
    )
    workplace.start_watching(52, 53)
    simulator.slack.rate_limit(5, channel=channel, times=1)
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_for_log("delivery failed; it is tried again")
    simulator.add_run(53, id=2, status="failed")
    simulator.slack.wait_for(4, timeout=20)
    assert workplace.stop() == 0

    asked = [request for request in simulator.slack.requests if request.method == "chat.postMessage"]
    (refused,) = [request for request in asked if request.status == 429]
    by_first = [r for r in asked if r.channel == channel and r.headers["Authorization"] == f"Bearer {TOKEN}"]
    held = [request.at - refused.at for request in by_first if request is not refused]
    assert len(held) == 2
    assert min(held) >= 5
    free = [request.at - refused.at for request in asked if request not in by_first]
    assert len(free) == 2
    assert max(free) < min(held)


def test_a_channel_that_does_not_exist_breaks_its_receiver_and_gets_all_that_waited_once_it_does(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=slack(simulator, "growth", "#late"))
    workplace.start_watching(52)
    for number in (1, 2, 3):
        simulator.add_run(52, id=number, status="failed")
    workplace.wait_for_log("receiver is broken; its messages wait and one is tried every 5 minutes")
    workplace.wait_until(lambda: workplace.states("growth")["pending"] == 3)
    assert not receivers(workplace)["growth"]["ok"]
    assert receivers(workplace)["growth"]["last_error"].startswith("channel_not_found: check the channel's ID")
    refused = workplace.run("send-test", "growth")
    assert (refused.returncode, "channel_not_found" in refused.stdout) == (1, True)

    late = simulator.slack.add_channel("late")
    sent = workplace.run("send-test", "growth")
    assert sent.returncode == 0
    assert sent.stdout.startswith(f"growth: delivered: ok, channel {late}, ts ")
    test, *waited = simulator.slack.wait_for(4, timeout=20)
    assert test.text.startswith("Test message from the Census notifier")
    assert runs(waited) == [1, 2, 3]
    workplace.wait_until(lambda: receivers(workplace)["growth"]["ok"])
    assert workplace.stop() == 0
    logged = [line["event"] for line in workplace.logged()]
    assert logged.count("receiver works again") == 1


@pytest.mark.parametrize("named", ["#data-syncs", "data-syncs", "C0000000001"])
def test_a_connection_that_drops_after_slack_took_the_message_gives_one_message(
    workplace: Workplace, simulator: SimulatorThread, channel: str, named: str
) -> None:
    assert channel == "C0000000001"
    workplace.write_watchlist(receivers=slack(simulator, "growth", named))
    workplace.start_watching(52)
    simulator.slack.accept_then_drop(times=1)
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_for_log("event delivered")
    simulator.add_run(52, id=2, status="failed")
    simulator.slack.wait_for(lambda messages: 2 in runs(messages))
    assert workplace.stop() == 0
    assert runs(simulator.slack.messages(channel)) == [1, 2]


def test_where_the_history_can_not_be_read_an_unknown_end_means_the_same_event_twice(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    simulator.slack.add_token("xoxb-blind", ("chat:write",))
    workplace.write_watchlist(receivers=slack(simulator, "growth", channel, token="xoxb-blind"))
    workplace.start_watching(52)
    simulator.slack.accept_then_drop(times=1)
    simulator.add_run(52, id=1, status="failed")
    first, second = simulator.slack.wait_for(2)
    assert workplace.stop() == 0
    assert first.metadata == second.metadata


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
def test_a_kill_in_mid_send_gives_one_message_whether_slack_took_it_or_not(
    workplace: Workplace, simulator: SimulatorThread, channel: str, taken: bool
) -> None:
    workplace.write_watchlist(receivers=slack(simulator, "growth", "#data-syncs"))
    workplace.start_watching(52)
    simulator.add_run(52, id=1, status="failed")
    simulator.slack.wait_for(1)
    fault = simulator.slack.fault(Accept(Status(503, b"", {"Retry-After": "3"})) if taken else Hang())
    simulator.add_run(52, id=2, status="failed")
    workplace.wait_until(lambda: len(posts(simulator, channel)) == 2)
    if taken:
        workplace.wait_for_log("delivery failed; it is tried again")
    workplace.kill()
    fault.clear()
    workplace.start()
    workplace.wait_until(workplace.all_delivered)
    simulator.add_run(52, id=3, status="failed")
    simulator.slack.wait_for(lambda messages: 3 in runs(messages))
    assert workplace.stop() == 0
    assert runs(simulator.slack.messages(channel)) == [1, 2, 3]


# --- commands ---


def test_check_online_names_what_does_not_work_and_what_would_be_missed(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    good, missing = slack(simulator, "good", "#data-syncs"), slack(simulator, "missing", "#nowhere")
    workplace.write_watchlist(
        watches="""- {sync: 52, labels: {team: growth}}
  - {sync: 53}
  - {sync: 99}
  - {syncs: {label: 'HubSpot: *'}}
  - {sync_run: 4}""",
        receivers=f"{good}\n  {missing}",
        rest="routes: [{labels: {team: growth}, receivers: [good, missing]}]",
    )
    simulator.add_sync(id=52, label="New Signups to Leads")
    simulator.add_sync(id=53, label="Salesforce Accounts")
    ended = workplace.run("check", "--online")
    assert ended.returncode == 1
    shown = [line.split() for line in ended.stdout.splitlines()]
    assert ["ok", "production", "2", "syncs,", "2", "watched"] in shown
    assert any(words[:3] == ["ok", "good", "#data-syncs"] for words in shown)
    assert any(words[:3] == ["failed", "missing", "channel_not_found:"] for words in shown)
    *warnings, last = ended.stderr.splitlines()
    assert last.startswith("notifier: ")
    assert "missing" in last
    warned = [line.partition("warning: ")[2] for line in warnings]
    assert warned[0].startswith("workspaces.production uses version 1 of the Census API")
    assert warned[1:] == [
        "watches[4] matches nothing: production has no sync run 4",
        "watches[2] matches nothing: production has no sync 99",
        'watches[3] matches nothing: production has no sync labelled "HubSpot: *"',
        "no route serves sync 53 of production (Salesforce Accounts): nobody hears of it",
    ]
    assert simulator.slack.messages() == []

    workplace.environment["API_KEY"] = "wrong"
    ended = workplace.run("check", "--online")
    assert ended.returncode == 1
    assert "HTTP 401 Unauthorized: the API key is wrong" in ended.stdout


def test_check_online_is_content_where_all_works(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    rest = "routes: [{events: [sync_run.failed], receivers: [growth]}]"
    workplace.write_watchlist(receivers=slack(simulator, "growth", channel), rest=rest, keys=[V2])
    simulator.add_sync(id=52)
    ended = workplace.run("check", "--online")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_send_test_shows_what_came_back_from_each_kind_of_receiver(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    path = simulator.slack.add_webhook(channel)
    all_kinds = [slack(simulator, "growth", channel), slack_webhook(simulator, "fallback", path)]
    workplace.write_watchlist(receivers="\n  ".join([*all_kinds, workplace.hooks("hook")]))
    answers = {}
    for name in ("growth", "fallback", "hook"):
        ended = workplace.run("send-test", name)
        assert (ended.returncode, ended.stderr) == (0, "")
        answers[name] = ended.stdout
    assert answers["growth"].startswith(f"growth: delivered: ok, channel {channel}, ts ")
    assert answers["fallback"].startswith("fallback: delivered: HTTP 200 ok (")
    assert answers["hook"].startswith("hook: delivered: HTTP 200 OK (")
    assert answers["growth"].endswith(f' s)\n  look for "Test message" in {channel}\n')
    assert 'look for "Test message" in the channel that the webhook was made for' in answers["fallback"]
    message_id = simulator.sink.received[0].headers["webhook-id"]
    assert answers["hook"].endswith(
        f" s)\n  sent: a notifier.test with webhook-id {message_id}, signed\n  its answer has no body\n"
    )
    assert json.loads(simulator.sink.received[0].body)["type"] == "notifier.test"
    simulator.sink.answer(422)
    refused = workplace.run("send-test", "hook")
    assert refused.returncode == 1
    assert refused.stdout.startswith("hook: not delivered, the message was refused: HTTP 422")
    simulator.sink.answer(500, body=b'{"error": "no\x1b[31m table",\n  "token": "%b"}' % SECRET.encode() + b"x" * 300)
    told = workplace.run("send-test", "hook").stdout.splitlines()[-1]
    assert told.startswith('  its answer: {"error": "no table", "token": "[secret]"}xxx')
    assert (len(told), told[-1]) == (len("  its answer: ") + 300, "…")
    (workplace.directory / "n.db").write_bytes(b"my holiday photos\n" * 1000)
    untold = workplace.run("send-test", "growth")
    assert untold.returncode == 0  # the message is in the channel, whatever the database is
    assert untold.stderr.startswith("notifier: a running worker can't be told that growth works: n.db: ")
    unknown = workplace.run("send-test", "grwth")
    assert unknown.returncode == 2
    assert 'no receiver is named "grwth"' in unknown.stderr


def test_no_secret_of_slack_is_in_any_log_output_or_file(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    canary = "xoxb-canary-of-the-token"
    simulator.slack.add_token(canary)
    path = simulator.slack.add_webhook(channel)
    receivers = [slack(simulator, "growth", "#nowhere", token="${SLACK}"), "hook: {type: slack_webhook, url: '${URL}'}"]
    workplace.write_watchlist(receivers="\n  ".join(receivers))
    workplace.environment |= {"SLACK": canary, "URL": simulator.slack.webhook_url(path)}
    simulator.add_sync(id=52)
    simulator.slack.error("no_service", method="incoming_webhook")
    workplace.start("--log-level", "debug")
    workplace.wait_for_baseline(52)
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_for_log("receiver is broken; its messages wait and one is tried every 5 minutes", times=2)
    said = [
        workplace.run(*command.split())
        for command in ("check --online", "send-test growth", "send-test hook", "status", "deliveries", "events --json")
    ]
    assert workplace.stop() == 0
    everything = b"".join(file.read_bytes() for file in workplace.directory.iterdir() if file.name != "watchlist.yaml")
    everything += "".join(ended.stdout + ended.stderr for ended in said).encode()
    assert b"canary" not in everything
    assert path.encode() not in everything
