"""The command in a process of its own that is forked rather than started: with all that it loads loaded already.

Loading takes most of a second of a processor, and hundreds of tests start the command. What a test sees is the same:
its arguments, its environment, its directory, its standard streams, its signals, its exit code. Tests of how it
starts, ends and is found by its name run it as installed (`installed`).
"""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

LOADED = ["tests.acceptance.loaded"]
STREAMS = ("stdin", "stdout", "stderr")


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


class Forked:
    """What `subprocess.Popen` has of a running command, as far as the tests ask for it."""

    def __init__(
        self, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], out: Path | None, err: Path
    ) -> None:
        """Standard output and error are added to the files; without `out` it is the null device."""
        self.args = ["notifier", *arguments]
        streams = (Path(os.devnull), out or Path(os.devnull), err)
        self._process: BaseProcess = _context().Process(
            target=_run, args=(list(arguments), str(directory), dict(environment), [str(path) for path in streams])
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str], streams: Path, timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end, as `subprocess.run` with captured text. `streams`: a directory for its output."""
    out, err = (streams / f"notifier-{os.getpid()}-{time.monotonic_ns()}.{name}" for name in STREAMS[1:])
    process = Forked(arguments, directory, environment, out, err)
    try:
        code = process.wait(timeout)
    finally:
        process.kill()
    said = [path.read_bytes().decode() for path in (out, err)]
    for path in (out, err):
        path.unlink()
    return subprocess.CompletedProcess(process.args, code, *said)


def _run(arguments: list[str], directory: str, environment: dict[str, str], streams: list[str]) -> None:
    """In the new process: becomes what the command is that was just started."""
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for number, (name, path) in enumerate(zip(STREAMS, streams, strict=True)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(path, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
        setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server that forks ignores it
    sys.argv = ["notifier", *arguments]
    gc.enable()
    from notifier.__main__ import main

    main()
