"""The commands, as a person and a script see them: output, exit codes, and never a traceback."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from notifier.simulator import Hang, SimulatorThread, Status

from .conftest import COMMAND, V2, Workplace

REPOSITORY = Path(__file__).parents[2]


def edit_database(workplace: Workplace, statement: str) -> None:
    connection = sqlite3.connect(workplace.directory / "n.db")
    with connection:
        connection.execute(statement)
    connection.close()


def attempts(workplace: Workplace) -> list[int]:
    """How often each delivery was tried, in the order of their events."""
    return [way["attempts"] for way in reversed(workplace.json("deliveries"))]


def newest_runs(workplace: Workplace) -> list[int]:
    return [sync["newest_run"]["id"] for sync in workplace.json("status")["syncs"] if sync["newest_run"]]


def told(simulator: SimulatorThread) -> list[int]:
    """The runs of which the sink was told, in the order of arrival."""
    return [json.loads(webhook.body)["data"]["sync_run"]["id"] for webhook in simulator.sink.received]


def is_time(value: Any) -> bool:
    return isinstance(value, str) and value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None


def ended_with(ended: subprocess.CompletedProcess[str]) -> tuple[int, list[str]]:
    """The exit code, and the sentences for whoever started the command: what is not the log's."""
    return ended.returncode, [line for line in ended.stderr.splitlines() if not line.startswith("{")]


# --- mistakes ---


@pytest.mark.parametrize("command", [("run",), ("run", "--once"), ("check",), ("syncs",)], ids=" ".join)
def test_all_mistakes_of_a_watchlist_are_told_at_once_with_their_places(
    workplace: Workplace, command: tuple[str, ...]
) -> None:
    (workplace.directory / "watchlist.yaml").write_text(
        """version: 1
workspaces:
  production: {api_key: k, poll_interval: fast}
watches:
- {sync: 52, colour: red}
receivers:
  growth: {type: webhook, url: "http://127.0.0.1:1/"}
routes:
- receivers: [growht]
"""
    )
    ended = workplace.run(*command)
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["watchlist.yaml:3:43", "workspaces.production.poll_interval"],
        ["watchlist.yaml:5:14", "watches[0].colour"],
        ["watchlist.yaml:9:15", "routes[0].receivers[0]"],
    ]
    assert lines[2].endswith('no receiver is named "growht"; did you mean "growth"?')


@pytest.mark.installed
def test_a_watchlist_or_a_variable_that_is_missing_is_named(workplace: Workplace) -> None:
    del workplace.environment["API_KEY"]
    unset = workplace.run("check")
    assert unset.returncode == 2
    assert unset.stderr.startswith("watchlist.yaml:6:14: workspaces.production.api_key: ")
    assert "API_KEY" in unset.stderr
    missing = workplace.run("run", "-c", "elsewhere.yaml")
    assert missing.returncode == 2
    assert missing.stderr.startswith("elsewhere.yaml:1:1: there is no such file")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--nonsense"),
        ("nonsense",),
        ("check", "extra"),
        ("deliveries", "--state", "lost"),
        ("deliveries", "--limit", "0"),
        ("deliveries", "retry"),
        ("deliveries", "retry", "--dead", "--since", "soon"),
        ("run", "--log-level", "loud"),
    ],
    ids=" ".join,
)
def test_a_wrong_use_is_exit_code_2(workplace: Workplace, arguments: tuple[str, ...]) -> None:
    ended = workplace.run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Error" in ended.stderr


@pytest.mark.parametrize("command", [("run",), ("status",), ("deliveries",), ("migrate",)], ids=" ".join)
def test_a_file_that_is_no_database_is_left_as_it_is(workplace: Workplace, command: tuple[str, ...]) -> None:
    database = workplace.directory / "n.db"
    database.write_bytes(b"my holiday photos\n" * 1000)
    ended = workplace.run(*command)
    assert ended.returncode == 1
    assert ended.stderr.startswith("notifier: ")
    assert "n.db: the file is not an SQLite database" in ended.stderr
    assert database.read_bytes() == b"my holiday photos\n" * 1000


def test_a_database_in_a_missing_directory_is_told_with_the_remedy(workplace: Workplace) -> None:
    watchlist = workplace.directory / "watchlist.yaml"
    watchlist.write_text(watchlist.read_text().replace("sqlite:///n.db", "sqlite:///nowhere/n.db"))
    for command in ("run", "status"):
        ended = workplace.run(command)
        assert ended.returncode == 1
        assert "the directory nowhere does not exist" in ended.stderr
    assert not (workplace.directory / "nowhere").exists()


def test_a_database_from_a_newer_version_is_refused_by_all(workplace: Workplace) -> None:
    assert workplace.run("migrate").returncode == 0
    edit_database(workplace, "UPDATE alembic_version SET version_num = '9999'")
    for command in ("run", "status", "deliveries", "migrate"):
        ended = workplace.run(command)
        assert ended.returncode == 1
        assert "newer version of the notifier (schema 9999)" in ended.stderr


# --- check, schema, help ---


@pytest.mark.installed
def test_a_good_watchlist_is_found_by_option_by_environment_and_by_default(workplace: Workplace) -> None:
    workplace.write_watchlist(keys=[V2])
    good = workplace.run("check")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("watchlist.yaml: good. 1 workspace, 1 watch, 1 receiver, 0 routes")
    (workplace.directory / "watchlist.yaml").rename(workplace.directory / "other.yaml")
    assert workplace.run("check", "--config", "other.yaml").stdout.startswith("other.yaml: good.")
    workplace.environment["NOTIFIER_CONFIG"] = "other.yaml"
    assert workplace.run("check").stdout.startswith("other.yaml: good.")


@pytest.mark.installed
def test_the_schema_is_the_committed_one(workplace: Workplace) -> None:
    ended = workplace.run("schema")
    assert ended.returncode == 0
    assert ended.stdout == (REPOSITORY / "watchlist.schema.json").read_text()


def test_python_m_notifier_is_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "notifier", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(command in ended.stdout for command in ("run", "check", "status", "deliveries", "schema", "migrate"))
    assert "Usage: python -m notifier" in ended.stdout


@pytest.mark.installed
def test_migrate_makes_the_database_and_finds_it_made(workplace: Workplace) -> None:
    first = workplace.run("migrate")
    assert (first.returncode, first.stdout) == (0, "n.db: brought to the newest schema\n")
    second = workplace.run("migrate")
    assert (second.returncode, second.stdout) == (0, "n.db: is at the newest schema already\n")


# --- run --once ---


@pytest.mark.installed
def test_once_makes_one_round_and_the_next_one_picks_up_what_happened_in_between(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    simulator.add_run(52, id=1, status="completed")
    assert workplace.run("run", "--once").returncode == 0
    assert told(simulator) == []
    simulator.add_run(52, id=2, status="completed")
    simulator.add_run(52, id=3, status="failed")
    second = workplace.run("run", "--once")
    assert (second.returncode, second.stdout) == (0, "")
    assert told(simulator) == [2, 3]
    assert workplace.run("run", "--once").returncode == 0
    assert told(simulator) == [2, 3]


def test_once_tries_each_delivery_once_whatever_the_back_off_and_a_failed_head_leaves_its_followers(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    workplace.write_watchlist(delivery="first_retry: 1h, longest_retry: 1h")
    simulator.add_sync(id=52)
    simulator.add_sync(id=53)
    assert workplace.run("run", "--once").returncode == 0
    fault = simulator.sink.answer(503)
    simulator.add_run(52, id=1, status="failed")
    simulator.add_run(52, id=2, status="failed")
    assert workplace.run("run", "--once").returncode == 3
    simulator.add_run(53, id=3, status="failed")
    assert workplace.run("run", "--once").returncode == 3
    assert sorted(told(simulator)) == [1, 1, 3]  # those of different syncs go side by side
    assert attempts(workplace) == [2, 0, 1]
    fault.clear()
    assert workplace.run("run", "--once").returncode == 0
    assert sorted(told(simulator)[3:]) == [1, 2, 3]
    assert attempts(workplace) == [3, 1, 2]


@pytest.mark.parametrize("code", [404, 503], ids=["broken", "asked to wait"])
def test_once_waits_for_no_receiver(workplace: Workplace, simulator: SimulatorThread, code: int) -> None:
    simulator.add_sync(id=52)
    assert workplace.run("run", "--once").returncode == 0
    simulator.sink.answer(code, times=1, headers={"Retry-After": "3600"})
    simulator.add_run(52, id=1, status="failed")
    assert workplace.run("run", "--once").returncode == 3
    assert workplace.run("run", "--once").returncode == 0
    assert told(simulator) == [1, 1]


def test_once_is_3_when_a_delivery_died_in_this_round_and_0_in_the_next(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    assert workplace.run("run", "--once").returncode == 0
    simulator.sink.answer(400, times=1)
    simulator.add_run(52, id=1, status="failed")
    simulator.add_run(52, id=2, status="failed")
    died = "notifier: deliveries died (hook 1); `notifier deliveries` shows why"
    assert ended_with(workplace.run("run", "--once")) == (3, [died])
    assert told(simulator) == [1, 2]
    assert workplace.run("run", "--once").returncode == 0


def test_once_does_not_wait_out_a_429(workplace: Workplace, simulator: SimulatorThread) -> None:
    for sync_id in (52, 53):
        simulator.add_sync(id=sync_id)
    assert workplace.run("run", "--once").returncode == 0
    simulator.fault(Status(429, headers={"Retry-After": "600"}))
    assert workplace.run("run", "--once", timeout=60).returncode == 1


@pytest.mark.parametrize("code", [401, 429, 500])
def test_once_is_1_when_a_workspace_could_not_be_read_and_what_is_pending_is_tried_all_the_same(
    workplace: Workplace, simulator: SimulatorThread, code: int
) -> None:
    simulator.add_sync(id=52)
    assert workplace.run("run", "--once").returncode == 0
    simulator.sink.answer(503)
    simulator.add_run(52, id=1, status="failed")
    pending = "notifier: deliveries are left pending (hook 1); `notifier deliveries` shows why"
    assert ended_with(workplace.run("run", "--once")) == (3, [pending])
    simulator.fault(Status(code))
    exit_code, [unread, *rest] = ended_with(workplace.run("run", "--once"))
    assert exit_code == 1
    assert unread.startswith("notifier: not all of the workspace production could be read: ")
    assert rest == [pending]
    assert told(simulator) == [1, 1]


def test_once_says_of_one_sync_that_can_not_be_read_why(workplace: Workplace, simulator: SimulatorThread) -> None:
    for sync_id in (52, 53, 54):
        simulator.add_sync(id=sync_id)
    simulator.fault(Status(500), path="/syncs/53/sync_runs")
    exit_code, [unread] = ended_with(workplace.run("run", "--once"))
    assert exit_code == 1
    assert "500" in unread


# --- one worker a database ---


@pytest.mark.installed
def test_a_second_worker_names_the_first_and_leaves_it_alone(workplace: Workplace, simulator: SimulatorThread) -> None:
    workplace.start_watching(52)
    assert workplace.worker is not None
    for command in (("run",), ("run", "--once"), ("migrate",)):
        second = workplace.run(*command)
        assert second.returncode == 1
        assert f"PID {workplace.worker.pid}" in second.stderr
    simulator.add_run(52, id=1, status="failed")
    simulator.sink.wait_for(1)
    assert workplace.stop() == 0


@pytest.mark.installed
def test_both_signals_end_the_worker_with_0_also_while_a_delivery_hangs(
    workplace: Workplace, simulator: SimulatorThread, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    second = Workplace(tmp_path / "second", simulator)
    simulator.add_sync(id=52)
    simulator.add_sync(id=53)
    simulator.add_run(52, id=1, status="completed")
    simulator.add_run(53, id=2, status="completed")
    simulator.sink.answer(503, times=2)
    simulator.sink.hang()
    try:
        for place in (workplace, second):
            place.write_watchlist(delivery="first_retry: 1s, longest_retry: 1s")
            place.start()
        for place in (workplace, second):
            place.wait_for_log("notifier started")
            place.wait_until(lambda place=place: newest_runs(place) == [1, 2])  # type: ignore[misc]
        simulator.add_run(52, id=3, status="failed")
        simulator.sink.wait_for(2)  # one of each; they are due again while the worker ends
        simulator.add_run(53, id=4, status="failed")
        simulator.sink.wait_for(lambda seen: sum(b'"id":53' in each.body for each in seen) == 2)
        assert workplace.worker is not None
        assert second.worker is not None
        second.worker.send_signal(signal.SIGINT)
        assert isinstance(workplace.worker, subprocess.Popen)
        used = end_and_count_cpu(workplace.worker)
        assert workplace.worker.returncode == 0  # it gives itself 9.5 s; beyond that it would end with 1
        assert second.worker.wait(timeout=30) == 0
        assert used < 1.5
    finally:
        if second.worker is not None:
            second.kill()
    for place in (workplace, second):
        assert place.logged()[-1]["event"] == "notifier stopped"
    assert {way["state"] for way in workplace.json("deliveries")} == {"pending"}


HANGS_AT_ITS_END = """
import time
from datetime import timedelta
from notifier.__main__ import main
from notifier.service import ending, loops
from notifier.service.resources import Resources
ending.HARD_END, loops.STORE_CHECK = 0.5, timedelta(seconds=0.1)
Resources.close = lambda _: time.sleep(60)
main()
"""
"""The command, whose end hangs in the event loop, as a disk may; which is noticed sooner than after 9.5 seconds."""


@pytest.mark.parametrize("how", ["told to end", "by itself"])
def test_a_worker_whose_end_hangs_is_ended_by_force(workplace: Workplace, simulator: SimulatorThread, how: str) -> None:
    simulator.add_sync(id=52)
    with workplace.log.open("ab") as log:
        command = [sys.executable, "-c", HANGS_AT_ITS_END, "run"]
        workplace.worker = subprocess.Popen(command, cwd=workplace.directory, env=workplace.environment, stderr=log)
    workplace.wait_for_baseline(52)
    if how == "told to end":
        workplace.worker.send_signal(signal.SIGTERM)
    else:
        (workplace.directory / "n.db").unlink()
    assert workplace.worker.wait(timeout=30) == 1
    workplace.worker = None
    assert workplace.logged()[-1]["event"] == "something hangs; ending all the same"


def end_and_count_cpu(worker: subprocess.Popen[bytes]) -> float:
    """SIGTERM; the processor's seconds that the worker needed to end."""
    times, ended = psutil.Process(worker.pid).cpu_times(), resource.getrusage(resource.RUSAGE_CHILDREN)
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=30)
    total = resource.getrusage(resource.RUSAGE_CHILDREN)
    in_all = total.ru_utime + total.ru_stime - ended.ru_utime - ended.ru_stime
    return float(in_all - times.user - times.system)


# --- status, deliveries ---


@pytest.mark.installed
def test_status_is_as_documented_before_while_and_after_a_worker_runs(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    for command in (("status",), ("status", "--json"), ("status", "--healthy"), ("deliveries",)):
        none = workplace.run(*command)
        assert (none.returncode, none.stdout) == (1, "")
        assert "no database there yet" in none.stderr
    workplace.run("migrate")
    hook = {"name": "hook", "ok": True, "last_error": None, "pending": 0, "dead": 0}
    assert workplace.json("status") == {
        "worker": {"running": False, "version": None, "started_at": None, "last_seen_at": None},
        "replicas": [],
        "workspaces": [],
        "syncs": [],
        "receivers": [hook],
    }
    assert workplace.run("status", "--healthy").returncode == 1

    simulator.add_sync(id=53, label="No Runs")
    simulator.add_sync(id=52, label="New Signups to Leads")
    run = simulator.add_run(52, id=93, status="failed", error_code="JSON_ARRAY_ERROR")
    workplace.start()
    workplace.wait_for_baseline(52, 53)
    during = workplace.json("status")
    assert workplace.run("status", "--healthy").returncode == 0
    assert workplace.stop() == 0
    after = workplace.json("status")
    assert workplace.run("status", "--healthy").returncode == 0

    assert list(during) == ["worker", "replicas", "workspaces", "syncs", "receivers"]
    assert list(during["worker"]) == ["running", "version", "started_at", "last_seen_at"]
    assert during["worker"]["running"] is True
    assert isinstance(during["worker"]["version"], str)
    assert is_time(during["worker"]["started_at"])
    assert is_time(during["worker"]["last_seen_at"])
    (workspace,) = during["workspaces"]
    assert is_time(workspace.pop("last_polled_at"))
    assert workspace.pop("requests_per_minute") in (None, *range(1_000))
    version = {"api": "v1", "retires_on": "2027-01-15"}
    assert workspace == {"name": "production", "ok": True, "last_error": None, **version, "hints": "learning"}
    first, second = during["syncs"]
    assert datetime.fromisoformat(first["newest_run"].pop("updated_at")) == datetime.fromisoformat(run["updated_at"])
    assert first == {
        "workspace": "production",
        "id": 52,
        "label": "New Signups to Leads",
        "newest_run": {"id": 93, "status": "failed", "error_code": "JSON_ARRAY_ERROR"},
        "last_error": None,
    }
    assert second == {"workspace": "production", "id": 53, "label": "No Runs", "newest_run": None, "last_error": None}
    assert during["receivers"] == [hook]
    assert after["worker"]["running"] is False
    assert after["worker"]["last_seen_at"] > during["worker"]["last_seen_at"]

    edit_database(workplace, "UPDATE worker SET last_seen_at = last_seen_at - 181000000")
    silent = workplace.run("status", "--healthy")
    assert silent.returncode == 1
    assert "last sign of life" in silent.stderr


def test_deliveries_are_as_documented_in_every_state(workplace: Workplace, simulator: SimulatorThread) -> None:
    codes = {"good": 200, "late": 503, "bad": 400}
    workplace.write_watchlist(receivers=workplace.hooks(*codes))
    for name, code in codes.items():
        simulator.sink.answer(code, path=f"/{name}")
    simulator.add_sync(id=52)
    workplace.run("run", "--once")
    simulator.add_run(52, id=1, status="failed")
    workplace.run("run", "--once")
    ways = {way["receiver"]: way for way in workplace.json("deliveries")}
    event_id = simulator.sink.received[0].headers["webhook-id"]
    for name, state, error in (
        ("good", "delivered", None),
        ("late", "pending", "HTTP 503 Service Unavailable"),
        ("bad", "dead", "HTTP 400 Bad Request"),
    ):
        way = ways[name]
        assert list(way) == [
            "id",
            "event_id",
            "type",
            "receiver",
            "state",
            "attempts",
            "created_at",
            "next_attempt_at",
            "delivered_at",
            "last_error",
        ]
        assert isinstance(way["id"], int)
        assert (way["event_id"], way["type"]) == (event_id, "sync_run.failed")
        assert (way["state"], way["attempts"], way["last_error"]) == (state, 1, error)
        assert is_time(way["created_at"])
        assert is_time(way["next_attempt_at"]) if state == "pending" else way["next_attempt_at"] is None
        assert is_time(way["delivered_at"]) if state == "delivered" else way["delivered_at"] is None
        assert workplace.json("deliveries", "--state", state) == [way]
    assert workplace.json("deliveries", "--receiver", "late") == [ways["late"]]
    assert len(workplace.json("deliveries", "--limit", "2")) == 2
    for_people = workplace.run("deliveries").stdout
    assert all(name in for_people for name in codes)


# --- where it runs ---


@pytest.mark.parametrize(
    "command", [("schema",), ("--help",), ("status", "--json"), ("status",), ("check",)], ids=" ".join
)
def test_a_reader_that_has_seen_enough_is_no_error_to_speak_of(workplace: Workplace, command: tuple[str, ...]) -> None:
    if command[0] == "status":
        workplace.run("migrate")
    workplace.write_watchlist(keys=[V2])  # of which check has nothing to say on standard error
    process = subprocess.Popen(
        [COMMAND, *command],
        cwd=workplace.directory,
        env=workplace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()  # before the first byte, so that the writing fails for sure
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=30) in (0, 1)


def test_head_gets_its_line(workplace: Workplace) -> None:
    ended = subprocess.run(
        ["sh", "-c", f"{COMMAND} schema | head -1"],
        env=workplace.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("{\n", "")


def test_an_api_key_may_come_from_a_file(workplace: Workplace, simulator: SimulatorThread) -> None:
    simulator.add_sync(id=52)
    (workplace.directory / "key").write_text(workplace.environment.pop("API_KEY") + "\n")
    workplace.environment["API_KEY_FILE"] = "key"
    assert workplace.run("run", "--once").returncode == 0
    assert [sync["id"] for sync in workplace.json("status")["syncs"]] == [52]


def test_an_option_before_a_subcommand_is_refused_rather_than_forgotten(workplace: Workplace) -> None:
    assert workplace.run("migrate").returncode == 0
    refused = workplace.run("deliveries", "--receiver", "hook", "retry", "--dead")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "options follow the command" in refused.stderr
    assert workplace.run("deliveries", "retry", "--receiver", "hook", "--dead").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("command", "is_worker"), [("run", True), ("run --once", False), ("status", False)])
def test_a_signal_while_it_is_still_loading_ends_it_without_a_traceback(
    number: signal.Signals, command: str, is_worker: bool
) -> None:
    """As process 1 of a container it has no default for signals: a handler must be there before all that is loaded. A
    worker that has not begun is ended, as it was told; a round or a look was not taken."""
    script = """
import os, sys, types
import notifier.cli
stub = types.ModuleType("notifier.cli.app")
stub.main = lambda: os.kill(os.getpid(), int(os.environ["NUMBER"]))
sys.modules["notifier.cli.app"] = notifier.cli.app = stub
from notifier.__main__ import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        env={**os.environ, "NUMBER": str(int(number))},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0 if is_worker else 128 + number, "", "")


@pytest.mark.installed
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_round_that_is_broken_off_is_no_success(
    workplace: Workplace, simulator: SimulatorThread, number: signal.Signals
) -> None:
    simulator.add_sync(id=52)
    simulator.fault(Hang())
    workplace.start("--once")
    workplace.wait_until(lambda: simulator.request_count > 0)
    assert workplace.worker is not None
    workplace.worker.send_signal(number)
    code, workplace.worker = workplace.worker.wait(timeout=20), None
    assert code != 0
    assert "Traceback" not in workplace.log.read_text()
