"""The standard streams may be closed, full, or read by nobody: a command says so, or goes on as if they were there."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from notifier.simulator import SimulatorThread

from .workplace import COMMAND, V2, Workplace

pytestmark = pytest.mark.installed

COMMANDS = [  # by print, by rich, by json, by click, before any output, and with an event loop
    ("events", "--json"),
    ("status",),
    ("schema",),
    ("--help",),
    ("check",),
    ("syncs",),
]


def in_shell(workplace: Workplace, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=workplace.directory,
        env=workplace.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def known(workplace: Workplace, simulator: SimulatorThread) -> Workplace:
    """A workplace with a sync, an event and a delivery in its database, made by a command that is forked."""
    simulator.add_sync(id=52)
    before = Workplace(workplace.directory, simulator, installed=False)
    before.write_watchlist(keys=[V2])  # of which check has nothing to say on standard error
    assert before.run("run", "--once").returncode == 0
    simulator.add_run(52)
    assert before.run("run", "--once").returncode == 0
    return workplace


def test_output_to_a_full_disk_is_one_sentence(known: Workplace) -> None:
    for arguments in COMMANDS:
        ended = in_shell(known, f"{COMMAND} {' '.join(arguments)} > /dev/full")
        said = ended.stderr.splitlines()
        assert (ended.returncode, said[-1:]) == (
            1,
            ["notifier: the output can't be written: No space left on device"],
        ), arguments
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [("events", "--json"), ("status",), ("syncs",), ("run", "--once")], ids=" ".join)
def test_a_closed_stream_changes_nothing(known: Workplace, arguments: tuple[str, ...]) -> None:
    for closed in (">&-", "<&-", "2>&-", "2> /dev/full", "<&- >&- 2>&-"):
        ended = in_shell(known, f"{COMMAND} {' '.join(arguments)} {closed}")
        assert ended.returncode == 0, (closed, ended.stderr)
        assert "Traceback" not in ended.stderr


def test_a_reader_that_has_seen_enough_is_no_failure(known: Workplace) -> None:
    for arguments in COMMANDS:
        ended = in_shell(known, f"{{ {COMMAND} {' '.join(arguments)}; echo $? > code; }} | head -0; cat code")
        assert (ended.stdout, ended.stderr) == ("0\n", ""), arguments


# --- a log that nobody reads ---


@contextmanager
def unread(workplace: Workplace) -> Iterator[BinaryIO]:
    """The worker with standard error to a pipe that is kept open and full; its reading end."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"\n" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    workplace.worker = subprocess.Popen(
        [COMMAND, "run"], cwd=workplace.directory, env=workplace.environment, stderr=writing
    )
    workplace.log.touch()
    os.close(writing)
    with os.fdopen(reading, "rb") as reader:
        yield reader


def test_a_log_that_nobody_reads_stops_neither_polls_nor_deliveries_nor_the_end(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    with unread(workplace):
        workplace.wait_for_baseline(52)
        runs = [simulator.add_run(52)["id"] for _ in range(3)]
        workplace.wait_until(lambda: len(simulator.sink.received) >= len(runs))
        assert workplace.stop() == 0


def test_a_log_whose_reader_has_gone_is_no_reason_for_another_exit_code(
    workplace: Workplace, simulator: SimulatorThread
) -> None:
    simulator.add_sync(id=52)
    with unread(workplace) as reader:
        workplace.wait_for_baseline(52)
        reader.close()
        assert workplace.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_everything_that_was_logged_is_written_before_the_end(
    workplace: Workplace, simulator: SimulatorThread, number: signal.Signals
) -> None:
    workplace.start_watching(52)
    assert workplace.worker is not None
    workplace.worker.send_signal(number)
    assert workplace.worker.wait(timeout=15) == 0
    workplace.worker = None
    assert [line["event"] for line in workplace.logged()][-1] == "notifier stopped"
