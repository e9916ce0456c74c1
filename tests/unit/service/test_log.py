"""Logs: one JSON object a line away from a terminal, readable lines on one, whoever is speaking."""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import structlog

from notifier.service.log import LogFormat, LogLevel, configure, name_replica
from notifier.service.stderr import OUTLET, flush, tell
from notifier.watchlist.database import ServerUrl


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # or else `configure` would close those of pytest
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers, root.level = handlers, level


def said(written: pytest.CaptureFixture[str]) -> str:
    flush()
    return written.readouterr().err


def lines(written: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in said(written).splitlines()]


def test_a_line_is_a_constant_sentence_plus_fields(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    structlog.get_logger().info("event delivered", receiver="growth", attempts=2)
    [line] = lines(capfd)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "event delivered", "level": "info", "receiver": "growth", "attempts": 2}


def test_a_field_without_a_value_is_left_out_and_a_false_one_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    structlog.get_logger().info("x", absent=None, no=False, zero=0, empty="")
    [line] = lines(capfd)
    assert "absent" not in line
    assert (line["no"], line["zero"], line["empty"]) == (False, 0, "")


def test_line_breaks_in_a_field_do_not_break_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    structlog.get_logger().info("x", label='two\nlines "and" Grüße')
    written = said(capfd)
    assert [json.loads(line)["label"] for line in written.splitlines()] == ['two\nlines "and" Grüße']
    assert "Grüße" in written


def test_half_a_character_in_a_field_fails_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    structlog.get_logger().info("x", label="out \ud800 of luck")
    assert [line["label"] for line in lines(capfd)] == ["out ? of luck"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (LogLevel.DEBUG, ["debug", "info", "warning", "error"]),
        (LogLevel.INFO, ["info", "warning", "error"]),
        (LogLevel.WARNING, ["warning", "error"]),
        (LogLevel.ERROR, ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_written(
    capfd: pytest.CaptureFixture[str], level: LogLevel, expected: list[str]
) -> None:
    configure(LogFormat.JSON, level)
    log = structlog.get_logger()
    log.debug("x")
    log.info("x")
    log.warning("x")
    log.error("x")
    assert [line["level"] for line in lines(capfd)] == expected


def test_an_exception_is_one_json_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    try:
        raise ValueError("inner")
    except ValueError:
        structlog.get_logger().exception("poll failed")
    [line] = lines(capfd)
    assert line["event"] == "poll failed"
    assert "ValueError: inner" in str(line["exception"])


@pytest.mark.parametrize("style", [LogFormat.CONSOLE, LogFormat.JSON])
@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_a_traceback_shows_no_local_variables(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], style: LogFormat, on_a_terminal: bool
) -> None:
    if on_a_terminal:
        monkeypatch.setattr(sys, "stderr", Terminal())
    configure(style, LogLevel.INFO)
    secret = "-".join(("canary", "of", "a", "token"))  # as a literal it would be in a line of source that may be shown
    try:
        raise ValueError("inner")
    except ValueError:
        structlog.get_logger().exception("poll failed")
        logging.getLogger("aiohttp.server").exception("Error handling request")
    written = said(capfd)
    assert written.count("ValueError: inner") == 2
    assert secret not in written


def test_a_librarys_warning_is_one_json_line_too(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    logging.getLogger("aiohttp.client").info("chatter")
    try:
        raise ValueError("inner")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Task exception was %s retrieved", "never")
    [line] = lines(capfd)
    assert line["event"] == "Task exception was never retrieved"
    assert (line["level"], line["logger"]) == ("error", "aiohttp.server")
    assert "ValueError: inner" in str(line["exception"])
    assert "timestamp" in line


def test_away_from_a_terminal_lines_are_json(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.AUTO, LogLevel.INFO)
    structlog.get_logger().info("x")
    assert [line["event"] for line in lines(capfd)] == ["x"]


def test_on_a_terminal_lines_are_for_people(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    configure(LogFormat.AUTO, LogLevel.INFO)
    structlog.get_logger().info("event delivered", receiver="growth")
    shown = said(capfd)
    assert "event delivered" in shown
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(shown)


def test_the_format_can_be_forced_either_way(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(LogFormat.CONSOLE, LogLevel.INFO)
    structlog.get_logger().info("event delivered", receiver="growth")
    logging.getLogger("asyncio").warning("slow callback")
    written = said(capfd)
    assert "event delivered" in written
    assert "receiver=growth" in written
    assert "slow callback" in written
    assert "\x1b[" not in written
    monkeypatch.setattr(sys, "stderr", Terminal())
    configure(LogFormat.JSON, LogLevel.INFO)
    structlog.get_logger().info("x")
    assert json.loads(said(capfd))["event"] == "x"


def test_colors_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    configure(LogFormat.AUTO, LogLevel.INFO)
    structlog.get_logger().info("x")
    assert "\x1b[" in said(capfd)
    monkeypatch.setenv("NO_COLOR", "1")
    configure(LogFormat.AUTO, LogLevel.INFO)
    structlog.get_logger().info("x")
    assert "\x1b[" not in said(capfd)


def test_that_lines_were_dropped_is_a_line_as_any_other() -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    line = json.loads(OUTLET.notice(3))
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "log lines were dropped: their reader stood still", "level": "warning", "lines": 3}
    configure(LogFormat.CONSOLE, LogLevel.INFO)
    assert b"their reader stood still" in OUTLET.notice(3)


def test_a_last_sentence_comes_after_what_was_logged_before(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    structlog.get_logger().info("x")
    tell("notifier: that was all")
    first, second = said(capfd).splitlines()
    assert json.loads(first)["event"] == "x"
    assert second == "notifier: that was all"


SERVER = ServerUrl("postgresql://notifier@db.example.com/notifier")


@pytest.fixture
def _unnamed_again() -> Iterator[None]:
    yield
    configure(LogFormat.JSON, LogLevel.INFO)


@pytest.mark.usefixtures("_unnamed_again")
def test_at_a_server_each_line_says_which_replica_speaks_also_from_threads_and_of_libraries(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    log = structlog.get_logger()
    log.info("before its name is known")
    name_replica(SERVER, {"NOTIFIER_REPLICA": "worker-1"})
    log.info("x")
    logging.getLogger("aiohttp.server").error("y")
    thread = Thread(target=lambda: log.info("z"))
    thread.start()
    thread.join()
    named = [(line["event"], line.get("replica")) for line in lines(capfd)]
    assert named == [("before its name is known", None), *((event, "worker-1") for event in "xyz")]
    assert json.loads(OUTLET.notice(3))["replica"] == "worker-1"
    configure(LogFormat.CONSOLE, LogLevel.INFO)
    name_replica(SERVER, {"NOTIFIER_REPLICA": "worker-1"})
    structlog.get_logger().info("x")
    assert "replica=worker-1" in said(capfd)


@pytest.mark.usefixtures("_unnamed_again")
def test_without_a_name_a_replica_has_its_hosts(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    name_replica(SERVER, {})
    structlog.get_logger().info("x")
    assert [line["replica"] for line in lines(capfd)] == [os.uname().nodename]


def test_at_a_file_where_there_is_one_worker_lines_name_none(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogFormat.JSON, LogLevel.INFO)
    name_replica(Path("notifier.db"), {"NOTIFIER_REPLICA": "worker-1"})
    structlog.get_logger().info("x")
    assert all("replica" not in line for line in lines(capfd))
