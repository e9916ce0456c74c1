"""What Slack refuses of one message silences nobody; a channel is what Slack says it is; each receiver has its own
message. As channels and commands see the worker."""

from typing import Any

import pytest

from notifier.simulator import SimulatorThread, SlackMessage
from notifier.simulator.faults import Body

from .conftest import Workplace

TOKEN = "xoxb-simulated"
OLD = "C0OLD00001"


@pytest.fixture
def channel(simulator: SimulatorThread) -> str:
    """The channel #data-syncs, by its ID."""
    return simulator.slack.add_channel("data-syncs")


def living(simulator: SimulatorThread, channel: str, name: str = "growth", more: str = "") -> str:
    url = simulator.slack.api_url
    return f"{name}: {{type: slack, token: '{TOKEN}', channel: '{channel}', api_url: '{url}'{more}}}"


def write(workplace: Workplace, receivers: str, names: str = "growth", routes: str = "incident.*") -> None:
    rest = f"routes:\n  - {{events: ['{routes}'], receivers: [{names}]}}"
    workplace.write_watchlist(receivers=receivers, checks="{}", rest=rest)


def watch(workplace: Workplace, simulator: SimulatorThread, *syncs: int) -> None:
    for sync in syncs:
        simulator.add_sync(id=sync, label=f"Sync {sync}")
    workplace.start()
    workplace.wait_for_baseline(*syncs)


def roots(simulator: SimulatorThread, channel: str) -> list[SlackMessage]:
    return [message for message in simulator.slack.messages(channel) if message.thread_ts is None]


def settled(workplace: Workplace, count: int) -> list[dict[str, Any]]:
    """All deliveries, once there are so many and none is pending."""

    def there() -> bool:
        states = workplace.states()
        return states.total() >= count and not states["pending"]

    workplace.wait_until(there)
    found: list[dict[str, Any]] = workplace.json("deliveries")
    return found


def the_receiver(workplace: Workplace, name: str = "growth") -> dict[str, Any]:
    return next(each for each in workplace.json("status")["receivers"] if each["name"] == name)


# --- one message ---


def test_a_locked_thread_keeps_no_other_incident_from_the_channel_and_its_own_story_goes_on(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    write(workplace, living(simulator, channel))
    watch(workplace, simulator, 1, 2)
    simulator.add_run(1, id=11, status="failed")
    [first] = simulator.slack.wait_for(1)
    simulator.slack.lock_thread(channel, first.ts)
    simulator.add_run(1, id=12, status="failed")
    simulator.add_run(2, id=21, status="failed")
    simulator.slack.wait_for(lambda told: len(told) == 2 and "run 12" in told[0].text)
    simulator.add_run(1, id=13, status="completed")
    deliveries = settled(workplace, 4)
    assert the_receiver(workplace)["ok"] is True
    assert workplace.stop() == 0

    told = simulator.slack.messages(channel)
    assert [message.thread_ts for message in told] == [None, None, None]
    assert told[0].text.startswith("Sync 1 recovered after ")
    assert told[0].edits[0].text == "Sync 1 is failing · 2 runs: run 12"
    assert told[1].text == "Sync 2 is failing: run 21"
    assert told[2].text.startswith("Sync 1 recovered after ")
    assert {each["state"] for each in deliveries} == {"delivered"}
    reasons = [each["last_error"] for each in deliveries if each["last_error"]]
    assert reasons == ["Slack takes no reply in the thread: restricted_action_thread_locked"] * 2
    warnings = [line for line in workplace.logged() if line["event"].startswith("Slack takes no replies")]
    assert [(line["receiver"], line["level"]) for line in warnings] == [("growth", "warning")]


@pytest.mark.parametrize("kind", ["bot", "webhook"])
def test_a_workspace_that_forbids_to_mention_all_gets_its_messages_without_and_is_told(
    workplace: Workplace, simulator: SimulatorThread, channel: str, kind: str
) -> None:
    simulator.slack.update_channel(channel, broadcasts=False)
    mentions = ", mentions: ['@channel'], mention_on: [incident.opened]"
    url = simulator.slack.webhook_url(simulator.slack.add_webhook(channel))
    by_webhook = f"growth: {{type: slack_webhook, url: '{url}'{mentions}}}"
    write(workplace, by_webhook if kind == "webhook" else living(simulator, channel, more=mentions))
    watch(workplace, simulator, 1, 2)
    simulator.add_run(1, id=11, status="failed")
    simulator.add_run(2, id=21, status="failed")
    simulator.slack.wait_for(2)
    deliveries = settled(workplace, 2)
    assert the_receiver(workplace)["ok"] is True
    tested = workplace.run("send-test", "growth")
    assert workplace.stop() == 0

    assert sorted(message.text for message in simulator.slack.messages(channel))[:2] == [
        "Sync 1 is failing: run 11",
        "Sync 2 is failing: run 21",
    ]
    word = "action_prohibited" if kind == "webhook" else "restricted_action"
    assert [each["last_error"] for each in deliveries] == [f"Slack refuses @channel: {word}"] * 2
    [line] = [line for line in workplace.logged() if line["event"].startswith("Slack refuses a part")]
    assert (line["part"], line["error"]) == ("@channel", word)
    assert tested.returncode == 0
    assert "a test calls nobody: whether Slack takes @channel was not tried" in tested.stdout


def test_a_webhook_that_takes_everything_and_never_says_ok_gets_each_message_three_times_and_is_told(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    path = simulator.slack.add_webhook(channel)
    receiver = f"growth: {{type: slack_webhook, url: '{simulator.slack.webhook_url(path)}'}}"
    write(workplace, receiver, routes="sync_run.failed")
    watch(workplace, simulator, 1)
    simulator.slack.fault(Body(b'{"success": true}'), method="incoming_webhook")
    for run in (11, 12):
        simulator.add_run(1, id=run, status="failed")
    deliveries = settled(workplace, 2)
    assert workplace.stop() == 0
    assert len(simulator.slack.requests) == 6
    reason = 'HTTP 200 OK, but not with an answer of Slack\'s: "{"success": true}", 3 times'
    assert [(each["state"], each["last_error"]) for each in deliveries] == [("dead", reason)] * 2


# --- which channel ---


def test_a_channel_that_answers_with_another_id_keeps_its_message_over_a_restart_and_a_reload(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    simulator.slack.add_alias(channel, OLD)
    write(workplace, living(simulator, OLD))
    watch(workplace, simulator, 1)
    simulator.add_run(1, id=11, status="failed")
    simulator.slack.wait_for(1)
    settled(workplace, 1)
    assert workplace.stop() == 0
    workplace.start()
    simulator.add_run(1, id=12, status="failed")
    settled(workplace, 2)
    write(workplace, living(simulator, OLD, more=", mentions: ['<@U0123>']"))
    workplace.wait_for_log("watchlist reloaded")
    simulator.add_run(1, id=13, status="completed")
    settled(workplace, 3)
    assert workplace.stop() == 0
    [root] = roots(simulator, channel)
    assert root.text.startswith("Sync 1 recovered after ")
    assert len(simulator.slack.replies(channel, root.ts)) == 2


def test_a_channels_new_name_in_the_watchlist_keeps_the_message_and_another_channel_gets_its_own(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    write(workplace, living(simulator, "#data-syncs"))
    watch(workplace, simulator, 1)
    simulator.add_run(1, id=11, status="failed")
    simulator.slack.wait_for(1)
    settled(workplace, 1)
    simulator.slack.update_channel(channel, name="revenue-syncs")
    write(workplace, living(simulator, "#revenue-syncs"))
    workplace.wait_for_log("watchlist reloaded")
    simulator.add_run(1, id=12, status="failed")
    settled(workplace, 2)
    [root] = roots(simulator, channel)
    assert root.text == "Sync 1 is failing · 2 runs: run 12"
    elsewhere = simulator.slack.add_channel("elsewhere")
    write(workplace, living(simulator, "#elsewhere"))
    workplace.wait_for_log("watchlist reloaded", times=2)
    simulator.add_run(1, id=13, status="failed")
    settled(workplace, 3)
    assert workplace.stop() == 0
    [moved] = roots(simulator, elsewhere)
    assert moved.text == "Sync 1 is failing · 3 runs: run 13"


# --- whose message ---


def test_two_receivers_on_one_channel_keep_a_message_each_though_an_answer_was_lost(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    both = f"{living(simulator, channel, 'a')}\n  {living(simulator, channel, 'b')}"
    write(workplace, both, names="a, b")
    watch(workplace, simulator, 1)
    simulator.slack.accept_then_drop(times=1)
    simulator.add_run(1, id=11, status="failed")
    simulator.slack.wait_for(2)
    settled(workplace, 2)
    simulator.add_run(1, id=12, status="completed")
    settled(workplace, 4)
    assert workplace.stop() == 0
    messages = roots(simulator, channel)
    assert [message.text.startswith("Sync 1 recovered") for message in messages] == [True, True]
    assert [len(simulator.slack.replies(channel, message.ts)) for message in messages] == [1, 1]


# --- what can't be found out ---


def test_check_online_calls_nothing_wrong_that_it_could_not_find_out(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    simulator.slack.add_channel("im", id="D000000001")
    simulator.slack.add_alias("D000000001", "U0123ABCD")
    write(workplace, living(simulator, "U0123ABCD"), routes="*")
    simulator.add_sync(id=1)
    ended = workplace.run("check", "--online")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the channel was not checked" in " ".join(ended.stdout.split())
    simulator.slack.error("internal_error", method="conversations.list")
    write(workplace, living(simulator, "#data-syncs"), routes="*")
    assert workplace.run("check", "--online").returncode == 0
