"""A watchlist that changes while the worker runs: what takes effect, what stays, and that no message is lost by it."""

import json
import os
import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from notifier.simulator import SimulatorThread
from tests.acceptance.conftest import SECRET, Workplace
from tests.acceptance.test_server import TOKEN, Server, alert, serving
from tests.integration.store.builders import write_lock_held

RELOADED = "watchlist reloaded"
WRONG = "the changed watchlist is wrong; the one in force stays"
OTHER_SECRET = "whsec_OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEw"


def hang_up(workplace: Workplace) -> None:
    assert workplace.worker is not None
    workplace.worker.send_signal(signal.SIGHUP)


def times(workplace: Workplace, event: str) -> int:
    return sum(line["event"] == event for line in workplace.logged())


def runs_told(simulator: SimulatorThread, path: str = "/hook") -> list[int]:
    bodies = [json.loads(request.body) for request in simulator.sink.received if request.path == path]
    return [body["data"]["sync_run"]["id"] for body in bodies]


def gauge(server: Server) -> float:
    _, body, _ = server.ask("GET", "/metrics")
    name = b"census_notifier_config_last_reload_successful "
    (line,) = [line for line in body.splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


def test_a_changed_file_brings_new_syncs_receivers_routes_and_labels_without_a_signal(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(watches="- sync: 52")
    simulator.add_sync(id=53)
    workplace.start_watching(52)
    simulator.forget_requests()
    workplace.write_watchlist(
        watches="- syncs: all\n    labels: {team: growth}",
        receivers=workplace.hooks("hook", "growth"),
        rest="routes:\n  - {labels: {team: growth}, receivers: [growth]}\n",
    )
    workplace.wait_for_log(RELOADED)
    workplace.wait_for_baseline(52, 53)
    for sync_id, run_id in ((52, 1), (53, 2)):
        simulator.add_run(sync_id, id=run_id, status="failed")
    received = simulator.sink.wait_for(2)
    assert sorted(runs_told(simulator, "/growth")) == [1, 2]
    assert runs_told(simulator) == []  # no route leads there any more
    assert [json.loads(request.body)["data"]["labels"] for request in received] == [{"team": "growth"}] * 2
    assert workplace.stop() == 0


def test_reloads_in_a_burst_lose_nothing_repeat_nothing_and_keep_the_order(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("hook", "other"))
    workplace.start_watching(52, 53, 54)
    simulator.sink.answer(delay=0.01)
    good = (workplace.directory / "watchlist.yaml").read_text()
    last = 0
    for turn in range(1, 7):
        for _ in range(20):
            last += 1
            simulator.add_run(52 + last % 3, id=last, status="failed")
        simulator.sink.wait_for(last)  # of the two receivers' requests, so it is in the midst of it
        is_good = turn % 2 == 0
        text = f"{good}# {turn}\nretention: {turn}d\n" if is_good else good.replace("syncs: all", "synks: all")
        (workplace.directory / "watchlist.yaml").write_text(text)
        hang_up(workplace)
        workplace.wait_for_log(RELOADED if is_good else WRONG, times=(turn + 1) // 2)
    simulator.sink.wait_for(2 * last)
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    assert len(simulator.sink.received) == 2 * last
    for path in ("/hook", "/other"):
        told = runs_told(simulator, path)
        assert sorted(told) == list(range(1, last + 1))
        for sync_id in range(3):
            of_sync = [run_id for run_id in told if run_id % 3 == sync_id]
            assert of_sync == sorted(of_sync)
    # Each wrong one was told once, although the file was also looked at.
    assert Counter(line["event"] for line in workplace.logged())[WRONG] == 3


def test_an_attempt_under_way_ends_before_a_reload_and_is_not_made_again(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.start_watching(52)
    simulator.sink.answer(delay=1.5)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    workplace.write_watchlist(poll_interval="900ms")
    hang_up(workplace)
    simulator.add_run(52, id=2, status="failed")  # found while the attempt is waited for
    workplace.wait_for_log(RELOADED)
    simulator.sink.wait_for(2)
    first = workplace.json("deliveries")[-1]
    assert (first["state"], first["attempts"]) == ("delivered", 1), "what follows waits for its end"
    workplace.wait_until(workplace.all_delivered)
    assert workplace.stop() == 0
    assert runs_told(simulator) == [1, 2]


def test_a_wrong_watchlist_changes_nothing_and_is_reported_with_its_place(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace)
    assert gauge(server) == 1
    path = workplace.directory / "watchlist.yaml"
    good = path.read_text()
    path.write_text(good.replace("poll_interval: 60s", "poll_intervall: 60s").replace("syncs: all", "sync: 0"))
    workplace.wait_for_log(WRONG, times=2)
    problems = [line["problem"] for line in workplace.logged() if line["event"] == WRONG]
    assert any(
        text.startswith("watchlist.yaml:8:5: workspaces.production.poll_intervall: ") and '"poll_interval"' in text
        for text in problems
    )
    assert any(text.startswith("watchlist.yaml:") and ": watches[0].sync: " in text for text in problems)
    assert gauge(server) == 0
    assert server.get("/readyz")[0] == 200
    path.unlink()
    workplace.wait_for_log(WRONG, times=3)
    path.write_text(good)
    workplace.wait_for_log("watchlist was read again: nothing changes")
    assert gauge(server) == 1
    assert times(workplace, RELOADED) == 0
    assert workplace.stop() == 0


def test_a_secret_in_a_file_is_read_anew_when_it_changes(workplace: Workplace, simulator: SimulatorThread) -> None:
    mounted = workplace.directory / "secrets"
    for version, secret in (("..1", SECRET), ("..2", OTHER_SECRET)):
        (mounted / version).mkdir(parents=True)
        (mounted / version / "hook").write_text(f"{secret}\n")
    (mounted / "..data").symlink_to("..1")
    (mounted / "hook").symlink_to("..data/hook")  # as Kubernetes mounts them
    del workplace.environment["SECRET"]
    workplace.environment["SECRET_FILE"] = str(mounted / "hook")
    workplace.start_watching(52)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    (mounted / "..new").symlink_to("..2")
    (mounted / "..new").rename(mounted / "..data")
    workplace.wait_for_log(RELOADED)
    simulator.add_run(52, id=2, status="failed")
    first, second = simulator.sink.wait_for(2)
    assert verified(first, SECRET)
    assert verified(second, OTHER_SECRET)
    assert not verified(second, SECRET)
    assert workplace.stop() == 0
    assert SECRET not in workplace.log.read_text()


def test_a_key_that_is_mended_in_its_file_is_used_at_once(workplace: Workplace, simulator: SimulatorThread) -> None:
    key = workplace.directory / "key"
    key.write_text("expired")
    del workplace.environment["API_KEY"]
    workplace.environment["API_KEY_FILE"] = str(key)
    simulator.add_sync(id=52)
    workplace.start()
    workplace.wait_for_log("notifier started")
    workplace.wait_until(lambda: "401" in (workplace.json("status")["workspaces"][0]["last_error"] or ""))
    key.write_text(simulator.api_key)
    workplace.wait_for_log("workspace answers again")
    workplace.wait_for_baseline(52)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    assert runs_told(simulator) == [1]
    assert workplace.stop() == 0


def verified(request: Any, secret: str) -> bool:
    headers = {key.lower(): value for key, value in request.headers.items()}
    try:
        Webhook(secret).verify(request.body, headers)
    except WebhookVerificationError:
        return False
    return True


def test_what_waits_for_a_receiver_that_is_gone_becomes_dead_and_the_others_go_on(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("hook", "gone"))
    simulator.sink.answer(503, path="/gone", times=None)
    workplace.start_watching(52)
    simulator.add_run(52, id=1, status="failed")
    workplace.wait_until(lambda: workplace.states()["delivered"])
    workplace.write_watchlist(receivers=workplace.hooks("hook", "renamed"))
    workplace.wait_for_log(RELOADED)
    simulator.add_run(52, id=2, status="failed")
    workplace.wait_until(lambda: workplace.states()["delivered"] == 3)
    (dead,) = workplace.json("deliveries", "--state", "dead")
    assert dead["receiver"] == "gone"
    assert "watchlist" in dead["last_error"]
    assert runs_told(simulator) == [1, 2]
    assert runs_told(simulator, "/renamed") == [2]
    assert workplace.stop() == 0


def test_database_and_listen_need_a_restart_and_all_else_takes_effect(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace)
    assert server.get("/api/status")[0] == 200
    path = workplace.directory / "watchlist.yaml"
    changed = path.read_text().replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:1, token: '${TOKEN}'")
    path.write_text(changed.replace("sqlite:///n.db", "sqlite:///elsewhere.db"))
    workplace.wait_for_log(RELOADED)
    assert server.get("/api/status")[0] == 401
    assert server.get("/api/status", Authorization=f"Bearer {TOKEN}")[0] == 200
    said = {line["event"]: line.get("in_force") for line in workplace.logged()}
    assert said["a change of database takes effect with a restart"] == "n.db"
    assert said["a change of server.listen takes effect with a restart"] == "127.0.0.1:0"
    assert not (workplace.directory / "elsewhere.db").exists()
    simulator.add_run(52, id=1, status="failed")
    assert server.hook(json.dumps({"event": "sync.completed", "sync_id": 52}).encode()) == 202
    simulator.sink.wait_for(1)
    assert workplace.stop() == 0


def test_webhooks_and_probes_are_answered_all_through_a_reload(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace)
    path = workplace.directory / "watchlist.yaml"
    good = path.read_text()
    told = 0
    probes: Counter[int] = Counter()
    over = threading.Event()

    def probe() -> None:
        while not over.is_set():
            probes.update([server.get("/healthz")[0], server.get("/readyz")[0]])

    with ThreadPoolExecutor(1) as pool:
        probing = pool.submit(probe)
        try:
            for turn in range(1, 4):
                path.write_text(f"{good}\nretention: {turn}d\n")
                hang_up(workplace)
                while times(workplace, RELOADED) < turn:
                    told += 1
                    assert server.hook(alert(told)) == 202
        finally:
            over.set()  # or else a failure would wait for the probing, which waits for this
        probing.result()
    assert set(probes) == {200}
    simulator.sink.wait_for(told, timeout=60)  # hundreds, on a machine that may be busy
    assert workplace.stop() == 0
    kinds = Counter(json.loads(request.body)["type"] for request in simulator.sink.received)
    assert kinds == {"census_alert.raised": told}


def test_systemd_hears_of_a_reload_and_of_its_end(workplace: Workplace, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.settimeout(20)
        workplace.environment["NOTIFY_SOCKET"] = f"{tmp_path}/notify"
        workplace.start()
        assert manager.recv(4096) == b"READY=1"
        workplace.write_watchlist(rest="retention: 5d\n")
        hang_up(workplace)
        state, stamp = manager.recv(4096).decode().split("\n")
        assert state == "RELOADING=1"
        assert stamp.removeprefix("MONOTONIC_USEC=").isdigit()
        assert manager.recv(4096) == b"READY=1"
        assert workplace.stop() == 0
        assert manager.recv(4096) == b"STOPPING=1"


def test_a_stop_in_the_midst_of_a_reload_is_a_stop(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.start_watching(52)
    simulator.sink.answer(delay=3.0)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    workplace.write_watchlist(rest="retention: 5d\n")
    hang_up(workplace)
    assert workplace.stop() == 0
    assert workplace.json("deliveries")[0]["state"] == "delivered"


def test_a_lifecycle_webhook_without_a_server_is_warned_of(workplace: Workplace) -> None:
    workplace.write_watchlist(workspace="lifecycle_webhook: {secret: x}")
    checked = workplace.run("check")
    assert checked.returncode == 0
    assert "workspaces.production has a lifecycle_webhook, and there is no server to take it" in checked.stderr
    workplace.start()
    workplace.wait_for_log("a workspace has a lifecycle_webhook, and no server to take it; set server.listen")
    assert workplace.stop() == 0


@pytest.mark.parametrize("how", ["rename", "write"])
def test_a_file_is_taken_when_its_content_stays(workplace: Workplace, how: str) -> None:
    workplace.start_watching(52)
    path = workplace.directory / "watchlist.yaml"
    text = path.read_text() + "retention: 3d\n"
    if how == "rename":
        path.with_name("watchlist.yaml~").write_text(text)
        path.with_name("watchlist.yaml~").rename(path)
    else:
        with path.open("w") as stream:  # half of it first: not worth a word
            stream.write(text[: len(text) // 2])
            stream.flush()
            os.fsync(stream.fileno())
            stream.write(text[len(text) // 2 :])
    workplace.wait_for_log(RELOADED)
    assert times(workplace, WRONG) == 0
    assert workplace.stop() == 0


# --- what can go wrong just then ---


def until_logged(workplace: Workplace, event: str, often: int) -> None:
    workplace.wait_until(lambda: times(workplace, event) >= often)


def until_told(workplace: Workplace, path: str, runs: list[int]) -> None:
    workplace.wait_until(lambda: runs_told(workplace.simulator, path) == runs)


def test_a_receiver_that_hangs_holds_up_the_reload_of_no_other(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    delivery = "first_retry: 200ms, longest_retry: 1s, timeout: 60s"
    workplace.write_watchlist(receivers=workplace.hooks("slow", "fast", "gone"), delivery=delivery)
    workplace.start_watching(52)
    hanging = [simulator.sink.hang(path="/slow"), simulator.sink.hang(path="/gone")]
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(3)
    for turn in (1, 2):  # the second finds one that waits for the first one's attempt
        workplace.write_watchlist(
            receivers=workplace.hooks("slow", "fast"), delivery=delivery, rest=f"retention: {turn}d\n"
        )
        hang_up(workplace)
        until_logged(workplace, RELOADED, turn)
        simulator.add_run(52, id=1 + turn, status="failed")
        until_told(workplace, "/fast", [1, 2, 3][: 1 + turn])
        assert runs_told(simulator, "/slow") == [1]
    for each in hanging:
        each.clear()
    until_told(workplace, "/slow", [1, 2, 3])
    states = [(d["receiver"], d["state"]) for d in workplace.json("deliveries")]
    assert Counter(states) == {("slow", "delivered"): 3, ("fast", "delivered"): 3, ("gone", "delivered"): 1}
    assert workplace.stop() == 0
    assert runs_told(simulator, "/gone") == [1]


def test_what_is_left_for_a_hanging_receiver_that_is_gone_dies_when_its_attempt_is_over(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(receivers=workplace.hooks("hook", "gone"))
    workplace.start_watching(52)
    hanging = simulator.sink.hang(path="/gone")
    for told in ([1], [1, 2]):
        simulator.add_run(52, id=told[-1], status="failed")
        until_told(workplace, "/hook", told)
    workplace.write_watchlist(receivers=workplace.hooks("hook"))
    workplace.wait_for_log(RELOADED)
    hanging.clear()
    workplace.wait_until(lambda: workplace.states("gone") == {"dead": 1, "delivered": 1})
    assert [d["state"] for d in workplace.json("deliveries", "--receiver", "gone")] == ["dead", "delivered"]
    assert workplace.stop() == 0


def test_a_watchlist_that_can_not_be_used_is_refused_before_the_worker_is_replaced(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.environment["HTTPS_PROXY"] = "socks5://proxy.example.com:1080"
    workplace.start_watching(52)
    for part in (
        {"receivers": "hook: {type: webhook, url: 'https://hooks.example.com/x'}"},
        {"receivers": "hook: {type: slack, token: xoxb-1, channel: C0123ABCD}"},
        {"rest": "heartbeat: {url: 'https://hc.example.com/x'}"},
    ):
        known = times(workplace, WRONG)
        workplace.write_watchlist(**part)
        hang_up(workplace)
        until_logged(workplace, WRONG, known + 1)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    assert times(workplace, RELOADED) == 0
    assert {line["problem"] for line in workplace.logged() if line["event"] == WRONG} == {
        "HTTPS_PROXY: must be a URL such as http://proxy.example.com:3128"
    }
    assert workplace.stop() == 0


def test_a_reload_waits_for_a_database_that_is_locked_for_a_while(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.start_watching(52)
    with write_lock_held(workplace.directory / "n.db"):
        workplace.write_watchlist(receivers=workplace.hooks("other"))
        hang_up(workplace)
        workplace.wait_for_log("database can't be written; nothing is lost, trying again")
    workplace.wait_for_log(RELOADED)
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    assert runs_told(simulator, "/other") == [1]
    assert workplace.stop() == 0


def test_a_stop_while_another_process_holds_the_write_lock_and_an_outcome_waits_is_in_time(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.start_watching(52)
    hanging = simulator.sink.hang(path="/hook")
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    with write_lock_held(workplace.directory / "n.db"):
        hanging.clear()
        simulator.sink.wait_for(lambda received: received[0].accepted)
        assert workplace.stop() == 0
    assert times(workplace, "notifier stopped") == 1
