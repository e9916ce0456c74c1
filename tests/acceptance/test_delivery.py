"""Delivery, as receivers see it: at least once, in order for each sync, and nobody waits for another's trouble."""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
from standardwebhooks import Webhook

from notifier.simulator import Body, ReceivedWebhook, SimulatorThread, Status
from tests.integration.store.builders import change

from .conftest import SECRET, Workplace

Webhooks = list[ReceivedWebhook]


def read(webhook: ReceivedWebhook) -> Any:
    """The body, after its signature and its timestamp were verified by Standard Webhooks' own library."""
    return Webhook(SECRET).verify(webhook.body, {key.lower(): value for key, value in webhook.headers.items()})


def runs(webhooks: Iterable[ReceivedWebhook], *, sync: int | None = None) -> list[int]:
    """The runs that these tell of, in their order."""
    data = [read(webhook)["data"] for webhook in webhooks]
    return [each["sync_run"]["id"] for each in data if sync is None or each["sync"]["id"] == sync]


def at(path: str, webhooks: Webhooks) -> Webhooks:
    return [webhook for webhook in webhooks if webhook.path == path]


def accepted(number: int, path: str | None = None) -> Callable[[Webhooks], bool]:
    """To wait for: so many webhooks accepted, at this path if one is given."""
    return lambda seen: sum(each.accepted and path in (None, each.path) for each in seen) >= number


def is_one_message(webhooks: Webhooks) -> bool:
    return len({(each.headers["webhook-id"], each.body) for each in webhooks}) == 1


def receivers(workplace: Workplace) -> dict[str, Any]:
    return {receiver["name"]: receiver for receiver in workplace.json("status")["receivers"]}


def test_a_webhook_that_fails_three_times_gets_the_same_bytes_each_time_and_the_event_once(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.start_watching(52)
    simulator.sink.answer(500, times=3)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(accepted(1))
    simulator.add_run(52, id=2, status="completed")
    received = simulator.sink.wait_for(accepted(2))
    assert workplace.stop() == 0

    assert [each.status_answered for each in received] == [500, 500, 500, 200, 200]
    assert is_one_message(received[:4])
    assert runs(received) == [1, 1, 1, 1, 2]
    stamps = [int(each.headers["webhook-timestamp"]) for each in received]
    assert stamps == sorted(stamps)
    assert all(each.headers["Content-Type"] == "application/json" for each in received)
    assert all(each.headers["User-Agent"].startswith("census-notifier/") for each in received)


def test_each_answer_means_what_is_documented(workplace: Workplace, simulator: SimulatorThread) -> None:
    dead = [400, 413, 415, 422]
    broken = [301, 302, 307, 308, 401, 403, 404, 405, 410]
    retried = [402, 406, 408, 409, 418, 425, 429, 500, 502, 503, 599]
    delivered = [200, 202, 204]
    codes = [*dead, *broken, *retried, *delivered]
    workplace.write_watchlist(receivers=workplace.hooks(*(f"r{code}" for code in codes)))
    for code in codes:
        simulator.sink.answer(code, path=f"/r{code}", headers={"Location": f"{simulator.sink_url}/elsewhere"})
    workplace.start_watching(52)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(lambda seen: all(len(at(f"/r{code}", seen)) >= 2 for code in retried))
    workplace.wait_until(lambda: workplace.states()["delivered"] == len(delivered))
    ways = {int(way["receiver"][1:]): way for way in workplace.json("deliveries")}
    shown = receivers(workplace)
    assert workplace.stop() == 0

    states = {code: way["state"] for code, way in ways.items()}
    assert states == {
        **dict.fromkeys(dead, "dead"),
        **dict.fromkeys([*broken, *retried], "pending"),
        **dict.fromkeys(delivered, "delivered"),
    }
    assert {code for code in codes if not shown[f"r{code}"]["ok"]} == set(broken)
    assert all(ways[code]["attempts"] == 1 for code in [*dead, *broken, *delivered])
    assert all(f"HTTP {code}" in ways[code]["last_error"] for code in [*dead, *broken, *retried])
    assert not at("/elsewhere", simulator.sink.received)


def test_retry_after_is_obeyed_on_any_answer(workplace: Workplace, simulator: SimulatorThread) -> None:
    codes = [503, 429, 200, 422]
    workplace.write_watchlist(receivers=workplace.hooks(*(f"r{code}" for code in codes)))
    for code in codes:
        simulator.sink.answer(code, path=f"/r{code}", times=1, headers={"Retry-After": "2"})
    workplace.start_watching(52, 53)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(4)
    simulator.add_run(53, id=2, status="failed")
    simulator.sink.wait_for(lambda seen: all(len(at(f"/r{code}", seen)) >= 2 for code in codes))
    assert workplace.stop() == 0
    for code in codes:
        first, second, *_ = at(f"/r{code}", simulator.sink.received)
        assert second.at - first.at >= 2


def test_retry_after_is_obeyed_across_a_kill(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.start_watching(52)
    simulator.sink.answer(503, times=1, headers={"Retry-After": "4"})
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_for_log("delivery failed; it is tried again")
    workplace.kill()
    workplace.start()
    first, second = simulator.sink.wait_for(2, timeout=20)
    assert second.at - first.at >= 4
    assert is_one_message([first, second])


def test_a_broken_receiver_keeps_what_is_due_to_it_until_it_is_mended(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("sound", "broken"))
    fault = simulator.sink.answer(404, path="/broken")
    workplace.start_watching(52, 53)
    for run_id in range(1, 9):
        simulator.add_run(52 + run_id % 2, id=run_id, status="completed")
    simulator.sink.wait_for(accepted(8, "/sound"))
    workplace.wait_for_log("receiver is broken; its messages wait and one is tried every 5 minutes")
    shown = receivers(workplace)
    assert shown["sound"] == {"name": "sound", "ok": True, "last_error": None, "pending": 0, "dead": 0}
    assert shown["broken"] == {
        "name": "broken",
        "ok": False,
        "last_error": "HTTP 404 Not Found",
        "pending": 8,
        "dead": 0,
    }
    assert workplace.stop() == 0
    tried = at("/broken", simulator.sink.received)
    assert len(tried) <= 2  # one for each sync, if both were under way when the first answer came

    fault.clear()
    workplace.start()
    received = at("/broken", simulator.sink.wait_for(accepted(8, "/broken")))[len(tried) :]
    assert runs(received, sync=52) == [2, 4, 6, 8]
    assert runs(received, sync=53) == [1, 3, 5, 7]
    workplace.wait_until(lambda: workplace.states("broken")["pending"] == 0)
    assert receivers(workplace)["broken"]["ok"]
    assert workplace.stop() == 0
    assert len(at("/sound", simulator.sink.received)) == 8
    sentences = [line["event"] for line in workplace.logged()]
    assert sentences.count("receiver is broken; its messages wait and one is tried every 5 minutes") == 1
    assert sentences.count("receiver was broken before this start") == 1
    assert sentences.count("receiver works again") == 1


def test_a_broken_receiver_that_asked_to_be_left_alone_is_left_alone_at_no_cost(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.start_watching(52)
    simulator.sink.answer(403, headers={"Retry-After": "600"})
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_for_log("receiver is broken; its messages wait and one is tried every 5 minutes")
    workplace.kill()
    simulator.forget_requests()
    workplace.start()
    workplace.wait_for_baseline(52)
    assert workplace.worker is not None
    worker = psutil.Process(workplace.worker.pid)
    before = worker.cpu_times()
    time.sleep(2)  # its own time, of which it should need none
    after = worker.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.5
    assert len(simulator.sink.received) == 1
    assert workplace.stop() == 0


def test_a_retry_command_has_a_broken_receiver_tried_at_once(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.start_watching(52)
    fault = simulator.sink.answer(410)
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_for_log("receiver is broken; its messages wait and one is tried every 5 minutes")
    assert "tried again" in workplace.run("deliveries", "retry", "--receiver", "hook").stdout
    simulator.sink.wait_for(2)  # still broken: tried once more, and reported no second time
    fault.clear()
    simulator.add_run(52, id=2, status="completed")
    workplace.wait_until(lambda: workplace.states("hook")["pending"] == 2)
    workplace.run("deliveries", "retry", "--receiver", "hook")
    received = simulator.sink.wait_for(accepted(2))
    assert runs(received) == [1, 1, 1, 2]
    assert workplace.stop() == 0
    assert workplace.log.read_text().count("receiver is broken") == 1


def test_dead_deliveries_hold_nothing_back_and_can_be_revived(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.start_watching(52)
    simulator.sink.answer(400, times=3)
    for run_id in (1, 2, 3, 4):
        simulator.add_run(52, id=run_id, status="failed")
    refused = simulator.sink.wait_for(accepted(1))[:3]
    assert runs(simulator.sink.accepted) == [4]
    workplace.wait_until(lambda: workplace.states()["dead"])
    dead = workplace.json("deliveries", "--state", "dead")
    assert [way["last_error"] for way in dead] == ["HTTP 400 Bad Request"] * 3
    assert [way["event_id"] for way in reversed(dead)] == [each.headers["webhook-id"] for each in refused]
    assert receivers(workplace)["hook"]["dead"] == 3

    second = dead[1]["id"]
    assert workplace.run("deliveries", "retry", str(second)).stdout == "1 delivery is tried again.\n"
    assert runs(simulator.sink.wait_for(accepted(2))[4:]) == [2]
    assert workplace.run("deliveries", "retry", "--dead", "--since", "1ms").stdout.startswith("0 ")
    assert workplace.run("deliveries", "retry", "--dead", "--since", "2h").stdout.startswith("2 ")
    received = simulator.sink.wait_for(accepted(4))
    assert runs(received) == [1, 2, 3, 4, 2, 1, 3]
    assert [each.body for each in received[5:]] == [refused[0].body, refused[2].body]
    workplace.wait_until(lambda: not workplace.states()["dead"])
    again = workplace.run("deliveries", "retry", str(second), "99")  # delivered already; never was
    assert again.returncode == 1
    assert "99" in again.stderr
    assert workplace.stop() == 0
    assert len(simulator.sink.received) == 7


def test_each_of_two_receivers_gets_each_syncs_events_in_order_though_one_fails_for_a_while(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("sound", "failing"))
    fault = simulator.sink.answer(503, path="/failing")
    workplace.start_watching(52, 53)
    for run_id in range(1, 31):
        simulator.add_run(52 + run_id % 2, id=run_id, status="completed")
    simulator.sink.wait_for(accepted(30, "/sound"))
    assert not [each for each in at("/failing", simulator.sink.received) if each.accepted]
    fault.clear()
    simulator.sink.wait_for(accepted(30, "/failing"), timeout=20)
    assert workplace.stop() == 0
    for path in ("/sound", "/failing"):
        arrived = at(path, simulator.sink.accepted)
        assert runs(arrived, sync=52) == list(range(2, 31, 2))
        assert runs(arrived, sync=53) == list(range(1, 31, 2))


def test_a_receiver_that_hangs_delays_no_other(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("sound", "hanging"))
    fault = simulator.sink.hang(path="/hanging")
    workplace.start_watching(52)
    for run_id in (1, 2, 3):
        simulator.add_run(52, id=run_id, status="completed")
    simulator.sink.wait_for(accepted(3, "/sound"))
    assert runs(at("/hanging", simulator.sink.received)) == [1]
    fault.clear()
    assert runs(at("/hanging", simulator.sink.wait_for(accepted(3, "/hanging")))) == [1, 2, 3]
    assert workplace.stop() == 0


def test_a_message_whose_end_is_unknown_is_sent_again_with_its_id_and_bytes(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(
        receivers=workplace.hooks("dropping", "hanging"),
        delivery="first_retry: 200ms, longest_retry: 1s, timeout: 500ms",
    )
    simulator.sink.drop(times=1, path="/dropping")
    simulator.sink.hang(times=1, path="/hanging")
    workplace.start_watching(52)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(accepted(2))
    workplace.wait_until(lambda: workplace.states()["delivered"])
    ways = workplace.json("deliveries", "--state", "delivered")
    assert workplace.stop() == 0
    assert [way["attempts"] for way in ways] == [2, 2]
    for path in ("/dropping", "/hanging"):
        received = at(path, simulator.sink.received)
        assert len(received) == 2
        assert is_one_message(received)


def test_a_2xx_whose_body_never_ends_is_delivered(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.start_watching(52)
    simulator.sink.drip(times=1)
    simulator.add_run(52, id=1, status="failed")
    simulator.add_run(52, id=2, status="failed")
    assert runs(simulator.sink.wait_for(accepted(1))) == [1, 2]
    assert workplace.stop() == 0


def test_a_delivery_is_given_up_after_a_failed_attempt_that_is_late_enough(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(delivery="first_retry: 200ms, longest_retry: 200ms, give_up_after: 1s")
    workplace.start_watching(52)
    fault = simulator.sink.answer(500)
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_until(lambda: workplace.states()["dead"])
    (dead,) = workplace.json("deliveries", "--state", "dead")
    assert dead["attempts"] >= 2
    assert dead["last_error"] == f"given up after {dead['attempts']} attempts: HTTP 500 Internal Server Error"
    fault.clear()
    simulator.add_run(52, id=2, status="completed")
    assert runs(simulator.sink.wait_for(accepted(1))[-1:]) == [2]
    assert workplace.stop() == 0


def test_an_old_event_that_waited_for_the_worker_is_still_sent(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(delivery="first_retry: 200ms, longest_retry: 200ms, give_up_after: 500ms")
    workplace.start_watching(52)
    simulator.sink.hang(times=1)
    simulator.add_run(52, id=1, status="failed")
    (begun,) = simulator.sink.wait_for(1)
    workplace.kill()
    time.sleep(max(0.0, begun.at + 0.5 - time.monotonic()))  # longer than a living worker would have tried
    workplace.start()
    first, second = simulator.sink.wait_for(accepted(1))
    assert second.at - first.at > 0.5
    assert is_one_message([first, second])
    assert workplace.stop() == 0


def test_a_renamed_receiver_is_a_removed_one_whose_deliveries_die_and_a_new_one_that_gets_nothing_old(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("sound", "old"))
    simulator.sink.answer(503, path="/old")
    workplace.start_watching(52)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(lambda seen: bool(at("/old", seen)) and bool(at("/sound", seen)))
    assert workplace.stop() == 0

    workplace.write_watchlist(receivers=workplace.hooks("sound", "new"))
    simulator.sink.reset()
    workplace.start()
    simulator.add_run(52, id=2, status="completed")
    received = simulator.sink.wait_for(accepted(2))
    assert sorted(each.path for each in received) == ["/new", "/sound"]
    assert runs(received) == [2, 2]
    (dead,) = workplace.json("deliveries", "--receiver", "old")
    assert dead["state"] == "dead"
    assert "no longer in the watchlist" in dead["last_error"]
    assert sorted(receivers(workplace)) == ["new", "sound"]

    for options, code in ((["--dead"], 0), (["--receiver", "old"], 0), ([str(dead["id"])], 1)):
        retried = workplace.run("deliveries", "retry", *options)
        assert (retried.returncode, retried.stdout) == (code, "0 deliveries are tried again.\n")
        assert retried.stderr == "1 is left as it is: the watchlist has no receiver old.\n"
    assert workplace.json("deliveries", "--receiver", "old") == [dead]
    assert sorted(receivers(workplace)) == ["new", "sound"]
    assert workplace.stop() == 0


def test_routes_choose_by_event_sync_and_label_and_none_gets_an_event_twice(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(
        watches="- {syncs: all, labels: {team: rest}}\n  - {sync: 52, labels: {team: growth}}",
        receivers=workplace.hooks("failures", "growth", "leads", "all", "none"),
        rest="""
routes:
- {events: [sync_run.failed, sync_run.can*], receivers: [failures]}
- {labels: {team: growth}, receivers: [growth]}
- {labels: {team: growth}, events: [sync_run.failed], receivers: [growth]}
- {syncs: [54, "* Leads"], receivers: [leads]}
- {labels: {team: growth}, syncs: [54], receivers: [none]}
- {receivers: [all]}
""",
    )
    simulator.add_sync(id=53, label="Signups to Leads")
    simulator.add_sync(id=54, label="Users")
    workplace.start_watching(52)
    workplace.wait_for_baseline(53, 54)
    simulator.add_run(52, id=1, status="failed")
    simulator.add_run(53, id=2, status="completed")
    simulator.add_run(54, id=3, status="completed", canceled=True)
    received = simulator.sink.wait_for(accepted(8))
    got = {path: sorted(runs(at(path, received))) for path in {each.path for each in received}}
    assert got == {"/failures": [1, 3], "/growth": [1], "/leads": [2, 3], "/all": [1, 2, 3]}
    assert len(workplace.json("deliveries")) == 8
    assert workplace.stop() == 0


def test_at_most_16_requests_at_once_go_to_one_receiver(workplace: Workplace, simulator: SimulatorThread) -> None:
    fault = simulator.sink.hang()
    syncs = range(1, 61)
    workplace.start_watching(*syncs)
    for sync_id in syncs:
        simulator.add_run(sync_id, status="failed")
    workplace.wait_until(lambda: workplace.states()["pending"] == 60)
    simulator.sink.wait_for(16)
    assert len(simulator.sink.received) == 16
    fault.clear()
    received = simulator.sink.wait_for(accepted(60))
    assert len(set(runs(received))) == len(received) == 60
    assert simulator.sink.max_open_requests == 16
    assert workplace.stop() == 0


CANARIES = {
    "API_KEY": "canary-api-key-5f2b",
    "SECRET": "whsec_Y2FuYXJ5LXNlY3JldC1vZi0yNC1ieXRlcy1hbmQtbW9yZQ==",
    "URL_PATH": "canary-path-77aa",
    "HEADER": "canary-header-c01d",
    "BAD_URL": "canary-no-url-31e9",
}


COMMANDS = (
    ("run", "--once", "--log-level", "debug"),
    ("status",),
    ("status", "--json"),
    ("deliveries",),
    ("deliveries", "--json"),
    ("check",),
)


def leaks(text: bytes) -> list[str]:
    key = CANARIES["SECRET"].removeprefix("whsec_").rstrip("=")
    return [canary for canary in [*CANARIES.values(), key] if canary.encode() in text]


def everything_below(directory: Path) -> dict[str, bytes]:
    """All files that the worker made: its log, the database and what SQLite keeps beside it."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "watchlist.yaml"}


def test_secrets_appear_nowhere_however_a_receiver_and_the_api_fail(tmp_path: Path) -> None:
    with SimulatorThread(api_key=CANARIES["API_KEY"]) as simulator:
        workplace = Workplace(tmp_path, simulator)
        workplace.environment |= CANARIES
        try:
            _fail_in_every_way(workplace, simulator)
        finally:
            if workplace.worker is not None:
                workplace.kill()


def _fail_in_every_way(workplace: Workplace, simulator: SimulatorThread) -> None:
    echo = " ".join(CANARIES.values()).encode()
    sink = simulator.sink
    path = CANARIES["URL_PATH"]
    for code in (200, 302, 400, 404, 500, 503):
        headers = {"Location": f"{simulator.sink_url}/{path}/{code}", "X-Echo": echo.decode()}
        sink.answer(code, path=f"/{path}/{code}", body=echo, headers=headers)
    sink.drop(path=f"/{path}/drop")
    sink.hang(path=f"/{path}/hang")
    sink.drip(path=f"/{path}/drip")
    targets = [f"{simulator.sink_url}/${{URL_PATH}}/{way}" for way in (200, 302, 400, 404, 500, 503, "drop", "hang")]
    targets += [f"{simulator.sink_url}/${{URL_PATH}}/drip?token=${{URL_PATH}}"]
    targets += [
        "http://127.0.0.1:1/${URL_PATH}",
        "http://${URL_PATH}.invalid/hook",
        "http://169.254.169.254/${URL_PATH}",
        f"{simulator.sink_url.replace('http:', 'https:')}/${{URL_PATH}}",
    ]
    secret = "secret: '${SECRET}', headers: {X-Team: '${HEADER}', Authorization: 'Bearer ${HEADER}'}"
    hooks = [f"r{number}: {{type: webhook, url: '{url}', {secret}}}" for number, url in enumerate(targets)]
    workplace.write_watchlist(
        receivers="\n  ".join(hooks), delivery="first_retry: 200ms, longest_retry: 500ms, timeout: 1s"
    )
    simulator.add_sync(id=52)
    workplace.start("--log-level", "debug")
    workplace.wait_for_baseline(52)
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_until(lambda: sum(way["attempts"] > 0 for way in workplace.json("deliveries")) == len(targets))
    fault = simulator.fault(Body(echo))
    workplace.wait_for_log("workspace can't be read")
    live = everything_below(workplace.directory)
    assert workplace.stop() == 0

    fault.clear()
    simulator.fault(Status(401, echo))
    outputs = [workplace.run(*command) for command in COMMANDS]
    (workplace.directory / "watchlist.yaml").write_text(
        "version: 1\nworkspaces: {w: {api_key: '${API_KEY}', base_url: '${BAD_URL}'}}\nwatches: [{syncs: all}]\n"
        "receivers:\n"
        "  a: {type: webhook, url: '${BAD_URL}', secret: '${BAD_URL}', headers: {'X-A': \"${HEADER}\\n\"}}\n"
        "  b: {type: webhook, url: 'http://user:${URL_PATH}@127.0.0.1:1/hook'}\n"
    )
    outputs.append(workplace.run("check"))
    assert outputs[-1].returncode == 2

    for name, content in {**live, **everything_below(workplace.directory)}.items():
        assert not leaks(content), name
    assert live.keys() >= {"n.db", "n.db-wal", "worker.log"}
    assert b"HTTP 404" in live["worker.log"]
    for ended in outputs:
        assert not leaks((ended.stdout + ended.stderr).encode()), ended.args
    assert not [line for line in workplace.logged() if "fault of the notifier" in line["event"]]
    assert outputs[0].returncode == 1
    assert len(json.loads(outputs[4].stdout)) == len(targets)


def test_a_receiver_that_fails_is_shown_as_such_until_it_takes_a_message(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    """That five minutes of attempts failed is made up: the queue's own tests let them pass."""
    workplace.start_watching(52)
    simulator.sink.answer(500, times=2)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    assert workplace.stop() == 0
    change(workplace.directory / "n.db", "UPDATE receivers SET failed_since = 1, failing = 1, last_error = 'HTTP 500'")
    failing = receivers(workplace)["hook"]
    assert (failing["ok"], failing["last_error"]) == (False, "HTTP 500")
    (shown,) = [line for line in workplace.run("status").stdout.splitlines() if line.split()[:1] == ["hook"]]
    assert shown.split()[1] == "failing"

    workplace.start()
    workplace.wait_for_log("receiver took nothing before this start")
    simulator.sink.wait_for(accepted(1))
    workplace.wait_until(lambda: receivers(workplace)["hook"]["ok"])
    workplace.wait_for_log("receiver works again")
    assert receivers(workplace)["hook"]["last_error"] is None
    assert workplace.stop() == 0
