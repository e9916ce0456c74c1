"""A workspace whose syncs and runs are called by words, as version 2 of the API may call them: a story from first sight
to recovery, wherever an ID is shown, asked for or kept. Numbers live beside the words."""

import json
import signal
from typing import Any

import pytest

from notifier.simulator import SimulatorThread
from tests.acceptance.conftest import Workplace
from tests.acceptance.test_living import TOKEN as SLACK_TOKEN
from tests.acceptance.test_server import HOOK, HOOK_SECRET, TOKEN, Server, said
from tests.acceptance.test_server_page import Browser, text_of
from tests.integration.store.builders import rows

DONKEY, LABEL = "glimmering_donkey", "New Signups to Leads"
WATCHES = f"""- {{sync: {DONKEY}, labels: {{team: growth}}}}
  - sync: "52"
  - sync_run: lonely_yak"""
ROUTES = f"""routes:
  - {{syncs: [{DONKEY}], events: [incident.*], receivers: [growth]}}
  - receivers: [hook]"""
LABELS = """routes:
  - {syncs: ["New *", 52], events: [incident.*], receivers: [growth]}
  - receivers: [hook]"""


@pytest.fixture
def channel(simulator: SimulatorThread) -> str:
    return simulator.slack.add_channel("data-syncs")


def write(workplace: Workplace, channel: str, routes: str = ROUTES, **more: str) -> None:
    url = workplace.simulator.slack.api_url
    workplace.environment |= {"TOKEN": TOKEN, "HOOK_SECRET": HOOK_SECRET}
    workplace.write_watchlist(
        watches=WATCHES,
        receivers=f"growth: {{type: slack, token: '{SLACK_TOKEN}', channel: '{channel}', api_url: '{url}'}}\n"
        f"  {workplace.hooks('hook')}",
        workspace=HOOK,
        checks="{rejected_records: false, unreachable: false, reminders: false}",
        rest=f"{routes}\nserver: {{listen: 127.0.0.1:0}}\n",
        **more,
    )


def begun(workplace: Workplace, channel: str, **more: str) -> None:
    """Two syncs and a run of a third, all with a past."""
    simulator = workplace.simulator
    simulator.add_sync(id=DONKEY, label=LABEL)
    simulator.add_sync(id=52, label="By number")
    simulator.add_sync(id="007", label="Not watched")
    simulator.add_run(DONKEY, id="early_owl", status="completed")
    simulator.add_run(52, id=93, status="completed")
    simulator.add_run("007", id="lonely_yak", status="working")
    write(workplace, channel, **more)
    workplace.start()
    marked = "SELECT 1 FROM syncs WHERE marked"
    workplace.wait_until(lambda: len(rows(workplace.directory / "n.db", marked)) == 2)


def told(simulator: SimulatorThread) -> list[tuple[str, Any, Any]]:
    """What the webhook receiver was told: the type's last word, the sync and the run."""
    found = []
    for webhook in simulator.sink.accepted:
        body = json.loads(webhook.body)
        data = body["data"]
        found.append((body["type"].removeprefix("sync_run."), data["sync"]["id"], data.get("sync_run", {}).get("id")))
    return found


def test_a_story_of_words_from_first_sight_to_recovery(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    begun(workplace, channel)
    simulator.add_run(DONKEY, id="zealous_ant", status="failed", error_code="E1")  # later than "early_owl", by its time
    simulator.sink.wait_for(2)
    simulator.add_run(DONKEY, id=7, status="failed", error_code="E2")
    simulator.sink.wait_for(4)
    workplace.wait_until(workplace.all_delivered)
    workplace.kill()
    simulator.update_run("lonely_yak", status="failed")
    simulator.add_run(52, id="94", status="failed", error_code="E3")
    workplace.start()
    simulator.sink.wait_for(7)
    simulator.add_run(DONKEY, id="able_bat", status="completed")  # first of all words, newest by its time
    simulator.sink.wait_for(9)
    workplace.wait_until(workplace.all_delivered)

    assert sorted(told(simulator), key=str) == sorted(
        [
            ("failed", DONKEY, "zealous_ant"),
            ("incident.opened", DONKEY, "zealous_ant"),
            ("failed", DONKEY, 7),
            ("incident.changed", DONKEY, 7),
            ("failed", "007", "lonely_yak"),
            ("failed", 52, "94"),
            ("incident.opened", 52, "94"),
            ("completed", DONKEY, "able_bat"),
            ("incident.resolved", DONKEY, "able_bat"),
        ],
        key=str,
    )
    opened = next(json.loads(hook.body)["data"] for hook in simulator.sink.accepted if b"incident.opened" in hook.body)
    assert opened["incident"]["last_good_run"]["id"] == "early_owl"
    assert opened["sync_run"]["url"].endswith(f"/syncs/{DONKEY}/history?sync_run_id=zealous_ant")
    [root] = [message for message in simulator.slack.messages(channel) if message.thread_ts is None]
    assert root.text.startswith(f"{LABEL} recovered after ")
    assert root.text.endswith(", 2 runs had failed")
    assert simulator.slack.replies(channel, root.ts)[-1].text.endswith(": 2 runs failed, run able_bat succeeded")
    assert workplace.stop() == 0
    changed = [line for line in workplace.logged() if line["event"] == "sync run changed"]
    assert {line["sync_id"] for line in changed} == {DONKEY, 52, "007"}


def test_commands_the_server_and_its_page_know_words(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    begun(workplace, channel)
    simulator.add_run(DONKEY, id="zealous_ant", status="failed", error_code="E1")
    simulator.sink.wait_for(2)
    workplace.wait_until(workplace.all_delivered)
    server = Server(workplace)

    known = {sync["id"]: sync["newest_run"]["id"] for sync in workplace.json("status")["syncs"]}
    assert known == {52: 93, DONKEY: "zealous_ant"}
    for answer in (workplace.json("syncs"), server.get("/api/syncs")[1]):
        assert [(sync["id"], sync["watched"]) for sync in answer] == [(52, True), ("007", False), (DONKEY, True)]
    for events in (workplace.json("events", "--sync", DONKEY), server.get(f"/api/events?sync={DONKEY}")[1]):
        assert [event["data"]["sync_run"]["id"] for event in events] == ["zealous_ant"] * 2
        assert {event["data"]["sync"]["id"] for event in events} == {DONKEY}
    assert workplace.json("events", "--sync", "52") == []
    assert [incident["sync"]["id"] for incident in server.get("/api/incidents")[1]] == [DONKEY]
    assert "zealous_ant" in workplace.run("status").stdout
    assert DONKEY in workplace.run("events", "--sync", DONKEY).stdout
    wrong = workplace.run("events", "--sync", "two words")
    assert wrong.returncode == 2
    assert "must be an ID: a positive whole number, or a word without spaces" in " ".join(
        wrong.stderr.replace("│", "").split()
    )
    assert server.get("/api/events?sync=two%20words")[0] == 400

    browser = Browser(server)
    front = browser.get("/")[1]
    assert f'href="./?sync={DONKEY}&amp;workspace=production"' in front
    status, page, _ = browser.get(f"/?sync={DONKEY}&workspace=production")
    assert status == 200
    assert f"sync {DONKEY}" in text_of(page)
    assert f'/syncs/{DONKEY}/history?sync_run_id=zealous_ant"' in page
    assert workplace.run("check", "--online").returncode == 0


def test_a_webhook_of_a_group_names_a_sync_by_its_word(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    begun(workplace, channel, poll_interval="60s")
    server = Server(workplace)
    simulator.add_run(DONKEY, id="zealous_ant", status="failed")
    scope = {"workspace_id": None, "group_id": "wandering_aimlessly"}
    assert server.hook(said(sync_id=DONKEY, sync_run_id="zealous_ant", **scope)) == 202
    simulator.sink.wait_for(2)
    alert = {"event": "sync.alert.raised", "alert_instance_id": "stray_cat", "message": "Sync Failed"}
    assert server.hook(said(sync_id=DONKEY, sync_run_id="zealous_ant", **scope, **alert)) == 202
    simulator.sink.wait_for(3)
    assert told(simulator)[-1] == ("census_alert.raised", DONKEY, "zealous_ant")


def test_a_reload_a_restart_and_a_version_that_writes_numbers_as_text_are_no_news(
    workplace: Workplace, simulator: SimulatorThread, channel: str
) -> None:
    begun(workplace, channel)
    simulator.add_run(DONKEY, id="zealous_ant", status="failed", error_code="E1")
    simulator.sink.wait_for(2)
    write(workplace, channel, LABELS)
    assert workplace.worker is not None
    workplace.worker.send_signal(signal.SIGHUP)
    workplace.wait_for_log("watchlist reloaded")
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0

    simulator.remove_sync(52)
    simulator.add_sync(id="52", label="By number")
    simulator.add_run("52", id="93", status="completed")
    simulator.forget_requests()
    workplace.start()
    workplace.wait_for_baseline(DONKEY, 52)
    assert len(simulator.sink.accepted) == 2, "nothing is news"
    simulator.add_run("52", id="94", status="failed", error_code="E3")
    simulator.sink.wait_for(4)
    workplace.wait_until(workplace.all_delivered)
    assert told(simulator)[2:] == [("failed", "52", "94"), ("incident.opened", "52", "94")]
    roots = [message.text for message in simulator.slack.messages(channel) if message.thread_ts is None]
    assert [text.split(" is failing")[0] for text in roots] == [LABEL, "By number"]
    assert workplace.stop() == 0
