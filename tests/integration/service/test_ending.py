"""The end of the process when it is told to: the loop is asked, and by force where the loop itself hangs."""

import json
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import asyncio, os, signal, threading
from notifier.service import ending, log
{before}
ending.HARD_END = {hard_end}
log.configure(log.LogFormat.JSON, log.LogLevel.INFO)
async def work():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ending.Ending(lambda: loop.call_soon_threadsafe(stop.set), lambda: print("hung up", flush=True)).listen()
    print("listening", flush=True)
    {hang}
    await stop.wait()
asyncio.run(work())
"""

EARLY = "early = threading.Thread(target=threading.Event().wait, daemon=True); early.start()"  # a library's, say


def told_to_end(number: signal.Signals, *, hang: str = "", hard_end: float = 60) -> tuple[int, str]:
    """The exit code and standard error of a process that gets a signal while it `hang`s."""
    script = SCRIPT.format(before="", hang=hang, hard_end=hard_end)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    return process.returncode, said


def test_a_process_is_told_of_each_sighup_until_its_end_and_survives_those_that_come_after_it() -> None:
    script = (
        SCRIPT.format(before="", hang="", hard_end=60) + "print('closed', flush=True)\nimport time\ntime.sleep(0.5)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline() == "hung up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "closed\n"
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_a_thread_gets_which_was_there_before_ends_it_all_the_same(number: signal.Signals) -> None:
    """The main thread hears of it once its loop has something to do; the worker's has every second."""
    told = f"signal.pthread_kill(early.ident, {int(number)}); loop.call_later(0.5, int)"
    script = SCRIPT.format(before=EARLY, hang=told, hard_end=60)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "listening\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_that_works_ends_by_itself(number: signal.Signals) -> None:
    assert told_to_end(number) == (0, "")


@pytest.mark.parametrize("hang", ["threading.Event().wait()", "os.read(os.pipe()[0], 1)", "while True: pass"])
def test_a_loop_that_hangs_is_ended_all_the_same_and_the_log_says_so(hang: str) -> None:
    code, said = told_to_end(signal.SIGTERM, hang=hang, hard_end=0.1)
    assert code == 1
    assert json.loads(said)["event"] == "something hangs; ending all the same"


def test_a_process_that_is_told_to_end_after_its_loop_has_closed_has_no_more_time_than_any() -> None:
    script = SCRIPT.format(before="", hang="return", hard_end=0.1)
    script += "print('closed', flush=True)\nthreading.Event().wait()\n"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["listening\n", "closed\n"]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert json.loads(said)["event"] == "something hangs; ending all the same"
