"""The server of the real worker, asked over real sockets: who may ask, what it answers, and what a webhook brings."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

import notifier
from notifier.model.identity import NO_ID
from notifier.simulator import Hang, Reset, SimulatorThread, Status
from tests.acceptance.conftest import Workplace

TOKEN = "canary-token-4711"
HOOK_SECRET = "canary-hook-secret-4712"
HOOK = "lifecycle_webhook: {secret: '${HOOK_SECRET}'}"
PATH = "/webhooks/census/production"
EVENT_NAME = {"raised": "census_alert.raised", "resolved": "census_alert.resolved"}


class Server:
    """The worker's server as a client sees it, one connection a request."""

    def __init__(self, workplace: Workplace) -> None:
        started = workplace.wait_until(
            lambda: next((line for line in workplace.logged() if line["event"] == "notifier started"), None)
        )
        host, _, port = started["listen"].rpartition(":")
        self.address = ("127.0.0.1" if host == "0.0.0.0" else host, int(port))  # noqa: S104

    def ask(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> tuple[int, bytes, Any]:
        """Status, body and headers. Headers' names have _ for -."""
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        status, body, _ = self.ask("GET", path, None, **headers)
        return status, json.loads(body)

    def hook(self, body: bytes, signature: str | None = None, path: str = PATH, **headers: str) -> int:
        """A webhook, signed as Census does it unless told otherwise."""
        return self.ask("POST", path, body, X_Signature=signature or signed(body), **headers)[0]

    def raw(self, request: bytes) -> bytes:
        """All that comes back for these bytes."""
        with socket.create_connection(self.address, timeout=20) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65_536):
                received += chunk
            return received


def signed(body: bytes, secret: str = HOOK_SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def said(**more: object) -> bytes:
    told = {"workspace_id": 7, "sync_id": 52, "sync_run_id": 93, "event": "sync.failed"}
    return json.dumps({**told, **more}).encode()


def alert(instance: int, word: str = "raised", **more: object) -> bytes:
    link = {"followup_url": "https://127.0.0.1/syncs/52/sync-history"}
    told = {"alert_instance_id": instance, "alert_type": "FailureAlertConfiguration", "message": "Sync Failed"}
    return said(event=f"sync.alert.{word}", details="A column <!channel> is gone", **{**told, **link, **more})


def serving(workplace: Workplace, server: str = "listen: 127.0.0.1:0", **watchlist: str) -> Server:
    """The worker with a server, at work with a baseline of sync 52, which it looks at once a minute."""
    workplace.environment |= {"TOKEN": TOKEN, "HOOK_SECRET": HOOK_SECRET}
    rest = f"server: {{{server}}}\n"
    workplace.write_watchlist(**{"workspace": HOOK, "rest": rest, "poll_interval": "60s", **watchlist})
    workplace.simulator.add_sync(id=52, label="New Signups to Leads")
    workplace.start()
    made = Server(workplace)
    workplace.wait_until(lambda: made.get("/readyz")[0] == 200)
    workplace.wait_until(lambda: polls(workplace.simulator) >= 1)
    workplace.wait_until(workplace.has_baseline)
    return made


def polls(simulator: SimulatorThread, sync_id: int = 52) -> int:
    return [request.path for request in simulator.requests].count(f"/syncs/{sync_id}/sync_runs")


# --- who may ask ---


def test_this_machine_is_served_without_a_token_by_its_own_names_only(workplace: Workplace) -> None:
    server = serving(workplace)
    port = server.address[1]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert server.get("/api/status", Host=host)[0] == 200
    status, said_why = server.get("/api/status", Host=f"rebound.example.com:{port}")
    assert (status, "server.token" in said_why["error"]) == (403, True)
    assert server.get("/healthz", Host="rebound.example.com") == (200, {"ok": True})
    status, why = server.get("/nothing")
    assert (status, why) == (404, {"error": "not found"})


def test_a_proxy_that_asks_by_a_name_of_this_machine_needs_the_token(workplace: Workplace) -> None:
    server = serving(workplace)
    for header in ("X_Forwarded_For", "X_Forwarded_Proto", "Forwarded", "X_Real_IP", "Via"):
        status, why = server.get("/api/status", **{header: "203.0.113.9"})
        assert (status, "server.token" in why["error"]) == (403, True)
        passed_on = {header: "203.0.113.9", "X_Census_Notifier": "1"}
        assert server.ask("POST", "/api/deliveries/1/retry", **passed_on)[0] == 403
        assert server.get("/healthz", **{header: "203.0.113.9"})[0] == 200
    assert server.hook(said(), X_Forwarded_For="203.0.113.9") == 202


@pytest.mark.installed  # with this process' limit of open files
def test_300_connections_that_are_kept_leave_the_worker_its_files(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    """The real command, on the loop that it takes, with fewer files than strangers have connections."""
    with few_files(200):
        server = serving(workplace, "listen: 0.0.0.0:0, token: '${TOKEN}'", poll_interval="1s")
    assert workplace.worker is not None
    process = psutil.Process(workplace.worker.pid)
    with ExitStack() as held:
        for _ in range(300):
            held.enter_context(kept(server))
            assert process.num_fds() < 150
        simulator.fault(Reset(), times=1)
        simulator.sink.drop(times=1)
        simulator.add_run(52, id=93, status="failed")
        simulator.sink.wait_for(2)
        assert simulator.sink.accepted
        assert server.get("/healthz") == (200, {"ok": True})


@contextmanager
def few_files(most: int) -> Iterator[None]:
    """Whoever is started inside may open no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def kept(server: Server) -> socket.socket:
    """A connection that has been answered and is kept."""
    connection = socket.create_connection(server.address, timeout=20)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(4_096).startswith(b"HTTP/1.1 200")
    return connection


def test_what_the_worker_writes_is_for_its_own_user_alone(workplace: Workplace) -> None:
    workplace.begins_empty = True
    before = os.umask(0o022)
    try:
        serving(workplace)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in workplace.directory.glob("n.db*")}
    assert modes == dict.fromkeys(("n.db", "n.db-wal", "n.db-shm", "n.db.lock"), 0o600)


def test_short_secrets_that_strangers_may_try_are_warned_of(workplace: Workplace) -> None:
    serving(workplace, "listen: 127.0.0.1:0, token: short", workspace="lifecycle_webhook: {secret: short}")
    checked = workplace.run("check")
    assert checked.returncode == 0
    warned = [
        line["secret"] for line in workplace.logged() if line["event"].startswith("a secret that strangers may try")
    ]
    assert warned == ["server.token", "workspaces.production.lifecycle_webhook.secret"]
    assert all(f"warning: {place} has less than 16 characters" in checked.stderr for place in warned)


def test_with_a_token_everyone_but_the_open_doors_is_asked_for_it(workplace: Workplace) -> None:
    server = serving(workplace, "listen: 0.0.0.0:0, token: '${TOKEN}'")
    for path in ("/api/status", "/api/events", "/nothing"):
        status, _, headers = server.ask("GET", path)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert server.get(path, Authorization="Bearer wrong")[0] == 401
        assert server.get(path, Authorization=f"Xearer {TOKEN}")[0] == 401  # as long as Bearer
        assert server.get(path, Authorization="Bearer tök\xffen")[0] == 401
    assert server.get("/api/status", Authorization=f"Bearer {TOKEN}", Host="any.example.com")[0] == 200
    assert server.get("/api/events", Authorization=f"bearer {TOKEN}") == (200, [])
    assert server.get("/healthz")[0] == 200
    assert server.hook(said()) == 202


def test_without_a_token_other_machines_get_the_open_doors_and_the_remedy(workplace: Workplace) -> None:
    server = serving(workplace, "listen: 0.0.0.0:0")
    for path in ("/api/status", "/api/deliveries", "/nothing"):
        status, why = server.get(path)
        assert (status, "give the watchlist a server.token" in why["error"]) == (403, True)
    assert server.ask("POST", "/api/deliveries/1/retry", X_Census_Notifier="1")[0] == 403
    assert server.get("/healthz")[0] == server.get("/readyz")[0] == 200
    assert server.hook(said()) == 202


def test_prometheus_is_told_what_was_polled_found_and_delivered(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace, "listen: 0.0.0.0:0, token: '${TOKEN}'")  # which metrics do not ask for
    simulator.add_run(52, id=93, status="failed")
    assert server.hook(said()) == 202
    simulator.sink.wait_for(1)

    def delivered() -> dict[str, str]:
        status, body, headers = server.ask("GET", "/metrics")
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = [line.rpartition(" ") for line in body.decode().splitlines() if not line.startswith("#")]
        return {series: value for series, _, value in lines}

    def all_is_told() -> dict[str, str] | None:
        told = delivered()
        done = told.get('census_notifier_deliveries_total{outcome="delivered",receiver="hook"}') == "1.0"
        return told if done and told['census_notifier_deliveries_pending{receiver="hook"}'] == "0.0" else None

    told = workplace.wait_until(all_is_told)
    assert told['census_notifier_events_total{type="sync_run.failed",workspace="production"}'] == "1.0"
    assert told['census_notifier_workspace_up{workspace="production"}'] == "1.0"
    assert told['census_notifier_watched_syncs{workspace="production"}'] == "1.0"


def test_no_answer_tells_which_libraries_gave_it(workplace: Workplace) -> None:
    server = serving(workplace)
    answers = [
        server.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        server.raw(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        server.raw(b"\x16\x03\x01 what is this\r\n\r\n"),
        server.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"),
    ]
    assert [answer.split(b" ", 2)[1] for answer in answers] == [b"200", b"404", b"400", b"400"]
    for answer in answers:
        assert b"\r\nServer: census-notifier\r\n" in answer
        assert b"aiohttp" not in answer.lower()
        assert b"python" not in answer.lower()


def test_a_port_that_is_taken_is_one_sentence(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        workplace.environment["NOTIFIER_LISTEN"] = listen
        ended = workplace.run("run")
    assert ended.returncode == 1
    expected = "another program listens there; change server.listen (or NOTIFIER_LISTEN), or stop it"
    assert ended.stderr.splitlines()[-1] == f"notifier: can't listen at {listen}: {expected}"


def test_without_listen_there_is_no_server(workplace: Workplace) -> None:
    workplace.start()
    workplace.wait_for_log("notifier started")
    assert "listen" not in workplace.logged()[0]
    assert workplace.worker is not None
    listening = [c for c in psutil.Process(workplace.worker.pid).net_connections() if c.status == "LISTEN"]
    assert listening == []


# --- probes ---


def test_a_workspace_that_is_found_unreachable_is_ready_and_well(workplace: Workplace) -> None:
    workplace.simulator.fault(Status(500))
    workplace.write_watchlist(rest="server: {listen: '127.0.0.1:0'}")
    workplace.start()
    server = Server(workplace)
    workplace.wait_until(lambda: server.get("/readyz")[0] == 200)
    assert server.get("/healthz") == (200, {"ok": True})


def test_a_workspace_that_has_not_answered_yet_is_not_ready(workplace: Workplace) -> None:
    workplace.simulator.fault(Hang())
    workplace.write_watchlist(rest="server: {listen: '127.0.0.1:0'}")
    workplace.start()
    server = Server(workplace)
    assert server.get("/readyz") == (503, {"ok": False, "reason": "not polled yet: production"})


# --- what it shows ---


def test_each_endpoint_and_its_command_show_what_happened(workplace: Workplace, simulator: SimulatorThread) -> None:
    checks = "{rejected_records: false, unreachable: false, reminders: false}"
    server = serving(workplace, checks=checks)
    run = simulator.add_run(52, id=93, status="failed", error_code="E")
    assert server.hook(said()) == 202
    workplace.wait_until(lambda: workplace.states()["delivered"] == 2)
    failed, opened = (
        {"id": request.headers["webhook-id"], **json.loads(request.body)} for request in simulator.sink.received
    )
    assert [failed["type"], opened["type"]] == ["sync_run.failed", "incident.opened"]
    sync = {"workspace": "production", "id": 52, "label": "New Signups to Leads"}
    of_incident = {"workspace": "production", "sync": opened["data"]["sync"], "summary": None}
    arrived = {"receiver": "hook", "state": "delivered", "attempts": 1, "next_attempt_at": None, "last_error": None}
    expected = {
        "syncs": [{**sync, "status": "ready", "paused": False, "watched": True}],
        "events": [opened, failed],
        "incidents": [{**opened["data"]["incident"], **of_incident}],
        "deliveries": [
            {"id": number, "event_id": each["id"], "type": each["type"], "created_at": each["timestamp"], **arrived}
            for number, each in ((2, opened), (1, failed))
        ],
        "status": {
            "worker": {"running": True, "version": notifier.__version__},
            "replicas": [
                {
                    "name": os.uname().nodename,
                    "version": notifier.__version__,
                    "parts": ["everything"],
                    "standing_by": None,
                }
            ],
            "workspaces": [
                {
                    "name": "production",
                    "ok": True,
                    "last_error": None,
                    "hints": "learning",
                    "api": "v1",
                    "retires_on": "2027-01-15",
                }
            ],
            "syncs": [
                {
                    **sync,
                    "newest_run": {"id": 93, "status": "failed", "error_code": "E", "updated_at": run["updated_at"]},
                    "last_error": None,
                }
            ],
            "receivers": [{"name": "hook", "ok": True, "last_error": None, "pending": 0, "dead": 0}],
        },
    }
    for name, wanted in expected.items():
        assert without_our_times(server.get(f"/api/{name}")[1]) == wanted
        assert without_our_times(workplace.json(name)) == wanted
    kinds = server.get("/api/events?type=sync_run.*&sync=52&limit=1")[1]
    assert kinds == [failed]
    assert server.get("/api/events?sync=53") == (200, [])
    assert server.get("/api/deliveries?state=dead&receiver=hook") == (200, [])
    assert server.get("/api/deliveries?receiver=other") == (200, [])
    assert server.get("/api/syncs?workspace=production") == (200, expected["syncs"])
    simulator.add_run(52, id=94, status="completed")
    assert server.hook(said(sync_run_id=94)) == 202
    workplace.wait_until(lambda: server.get("/api/incidents") == (200, []))
    assert [each["state"] for each in server.get("/api/incidents?all=true")[1]] == ["resolved"]


def without_our_times(shown: Any) -> Any:
    """Without the times that only our own clock knows, each of which has to be one of today, and what goes on."""
    if isinstance(shown, list):
        return [without_our_times(each) for each in shown]
    if not isinstance(shown, dict):
        return shown
    ours = {
        name: shown[name] for name in ("started_at", "last_seen_at", "last_polled_at", "delivered_at") if name in shown
    }
    for time in ours.values():
        assert abs(datetime.now(UTC) - datetime.fromisoformat(time)) < timedelta(hours=1)
    left = shown.keys() - ours.keys() - {"requests_per_minute"}
    return {name: without_our_times(value) for name, value in shown.items() if name in left}


def test_wrong_parameters_are_refused_with_a_sentence(workplace: Workplace) -> None:
    server = serving(workplace)
    for path, why in {
        "events?limit=0": "limit must be a whole number from 1 to 200",
        "events?limit=201": "limit must be a whole number from 1 to 200",
        "events?sync=0": f"sync {NO_ID}",
        "events?type=sync_run.faild": 'no event has the type "sync_run.faild"; did you mean "sync_run.failed"?',
        "events?limit=1&limit=2": "limit is given twice",
        "deliveries?state=lost": "state must be one of pending, delivered, dead",
        "incidents?all=yes": "all must be true or false",
        "syncs?workspace=staging": "no workspace has this name",
        "status?limit=1": "there is no such parameter; there are none here",
        "deliveries?sync=1": "there is no such parameter; known are limit, receiver, state",
    }.items():
        assert server.get(f"/api/{path}") == (400, {"error": why})
    assert server.ask("POST", "/api/status", X_Census_Notifier="1")[0] == 405


def test_a_dead_delivery_is_tried_again_and_no_web_page_can_ask_for_it(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace)
    simulator.sink.answer(400, times=1)
    simulator.add_run(52, id=93, status="failed")
    assert server.hook(said()) == 202
    (dead,) = workplace.wait_until(lambda: server.get("/api/deliveries?state=dead")[1])
    retry = f"/api/deliveries/{dead['id']}/retry"
    assert server.ask("POST", retry)[0] == 403
    assert server.ask("GET", retry)[0] == 405
    for unknown in ("999", "0", "9" * 30):
        assert server.ask("POST", f"/api/deliveries/{unknown}/retry", X_Census_Notifier="1")[0] == 404
    status, body, _ = server.ask("POST", retry, X_Census_Notifier="1")
    assert (status, json.loads(body)) == (202, {"id": dead["id"]})
    workplace.wait_until(lambda: simulator.sink.accepted)
    workplace.wait_until(lambda: server.ask("POST", retry, X_Census_Notifier="1")[0] == 404)


def test_looking_leaves_the_workers_hold_on_its_database_as_it_is(workplace: Workplace) -> None:
    """A file that is opened and closed by other means takes SQLite's locks of the whole process with it."""
    server = serving(workplace)
    assert workplace.worker is not None

    def locks() -> int:
        lines = Path("/proc/locks").read_text().splitlines()
        inode = str((workplace.directory / "n.db").stat().st_ino)
        shm = str((workplace.directory / "n.db-shm").stat().st_ino)
        return sum(line.split()[1] == "POSIX" and line.split()[5].endswith((f":{inode}", f":{shm}")) for line in lines)

    before = locks()
    assert before > 0
    for _ in range(5):
        assert server.get("/api/status")[0] == 200
    assert server.ask("POST", "/api/deliveries/1/retry", X_Census_Notifier="1")[0] == 404
    assert locks() == before


# --- webhooks ---


def test_a_signed_webhook_brings_the_message_between_two_polls(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace)
    before = polls(simulator)
    simulator.add_run(52, id=93, status="failed", error_code="E")
    assert server.hook(said()) == 202
    (message,) = simulator.sink.wait_for(1)
    assert json.loads(message.body)["type"] == "sync_run.failed"
    assert polls(simulator) == before + 1


def test_whatever_is_signed_is_taken_and_only_a_watched_sync_is_polled(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace)
    before = simulator.request_count
    strange = [b"", b"{}", b"[1]", b"null", b"\xff", b"[" * 60_000, said(sync_id=999), said(sync_id=-1)]
    strange += [said(event="sync.invented", sync_id=0), b'{"sync_id": 1e400}', b'{"sync_id": "x"}', b"a" * 65_536]
    assert [server.hook(body) for body in strange] == [202] * len(strange)
    assert simulator.request_count == before
    assert server.get("/healthz")[0] == 200


def test_what_is_not_signed_is_refused_before_it_is_read(workplace: Workplace, simulator: SimulatorThread) -> None:
    server = serving(workplace)
    before = polls(simulator)
    body = said()
    wrong = [signed(body, "another"), signed(body)[:-1], signed(body + b" "), "", "%%%", "tök\xffen", "a" * 5_000]
    wrong.append(hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest())
    assert [server.ask("POST", PATH, body, X_Signature=s)[0] for s in wrong] == [401] * len(wrong)
    assert server.ask("POST", PATH, body)[0] == 401
    for path in ("/webhooks/census/staging", "/webhooks/census/%2e%2e", "/webhooks/census/pro%00duction"):
        assert server.hook(body, path=path) == 404
    assert polls(simulator) == before


def test_a_body_over_64_kib_is_refused_however_it_comes(workplace: Workplace) -> None:
    server = serving(workplace)
    large = b"a" * 65_537
    assert server.hook(large) == 413
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nX-Signature: {signed(large)}\r\n".encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(large), large)
    assert server.raw(chunked).startswith(b"HTTP/1.1 413 ")
    assert server.raw(head + b"Content-Length: 99999999999\r\n\r\n{}").startswith(b"HTTP/1.1 413 ")


def test_an_alert_of_census_is_one_event_however_often_it_comes(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace)
    for _ in range(3):
        assert server.hook(alert(626248)) == 202
    assert server.hook(alert(626248, "resolved")) == 202
    assert server.hook(alert(626249, followup_url="https://evil.example.com/")) == 202
    workplace.kill()
    workplace.log.unlink()
    workplace.start()
    server = Server(workplace)
    assert server.hook(alert(626248)) == server.hook(alert(626248, "resolved")) == 202
    assert server.hook(said(sync_id=999, event="sync.alert.raised", alert_instance_id=1)) == 202
    workplace.wait_until(lambda: workplace.states()["delivered"] == 3)
    events = list(reversed(workplace.json("events")))
    assert [event["type"] for event in events] == [EVENT_NAME[word] for word in ("raised", "resolved", "raised")]
    first = events[0]["data"]
    assert first["workspace"] == "production"
    assert first["sync"]["id"] == 52
    assert first["sync_run"] == {"id": 93, "url": f"{first['sync']['url']}?sync_run_id=93"}
    assert first["alert"] == {
        "id": 626248,
        "type": "FailureAlertConfiguration",
        "message": "Sync Failed",
        "details": "A column <!channel> is gone",
        "url": "https://127.0.0.1/syncs/52/sync-history",
    }
    assert events[2]["data"]["alert"]["url"] is None
    workplace.environment["COLUMNS"] = "200"
    assert "Sync Failed: A column <!channel> is gone" in workplace.run("events").stdout


@pytest.mark.slow
def test_a_flood_of_webhooks_is_answered_and_exceeds_no_budget(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    server = serving(workplace, limits="max_requests_per_second: 10", checks="{unreachable: false}")
    assert workplace.worker is not None
    process = psutil.Process(workplace.worker.pid)
    server.hook(said())
    memory, body, bad = process.memory_info().rss, said(), alert(1) + b" " * 60_000
    began, before = monotonic(), simulator.request_count
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    answers = {202: 0, 401: 0}
    for number in range(4_000):
        content, signature = (body, signed(body)) if number % 2 else (bad, "bm90IHRoaXM=")
        connection.request("POST", PATH, content, {"X-Signature": signature})
        answer = connection.getresponse()
        answer.read()
        answers[answer.status] += 1
    connection.close()
    took = monotonic() - began
    assert answers == {202: 2_000, 401: 2_000}
    assert simulator.request_count - before <= 10 * (took + 1) + 10
    assert process.memory_info().rss - memory < 20_000_000


# --- secrets ---


def test_no_answer_no_log_and_no_database_holds_a_secret(workplace: Workplace, simulator: SimulatorThread) -> None:
    server = serving(workplace, "listen: 127.0.0.1:0, token: '${TOKEN}'", checks="{unreachable: false}")
    simulator.add_run(52, id=93, status="failed")
    assert server.hook(said()) == server.hook(alert(1)) == 202
    assert server.ask("POST", PATH, said(), X_Signature="x")[0] == 401
    workplace.wait_until(lambda: workplace.states()["delivered"] >= 3)
    shown = b""
    for path in ("healthz", "readyz", "nothing", "api/status", "api/syncs", "api/events", "api/incidents?all=true"):
        shown += server.ask("GET", f"/{path}", Authorization=f"Bearer {TOKEN}")[1]
        shown += server.ask("GET", f"/{path}")[1]
    shown += server.ask("GET", "/api/deliveries", Authorization=f"Bearer {TOKEN}")[1]
    assert workplace.stop() == 0
    kept = b"".join(file.read_bytes() for file in workplace.directory.glob("n.db*"))
    for secret in (TOKEN, HOOK_SECRET, workplace.environment["API_KEY"], workplace.environment["SECRET"]):
        for place in (shown, workplace.log.read_bytes(), kept):
            assert secret.encode() not in place
