"""Writes lines to standard error without making anyone wait: a thread of its own writes what others have put in line.

Standard error may be a pipe whose reader stands still, a terminal that is held, a file on a disk that hangs. When too
much waits, new lines are dropped and counted, and the count is written where they are missing. The descriptor is not
made non-blocking: that would hold for all processes that share it.

A line is written at once where none was for a while. After it the thread rests: waking it for each line of a busy
moment costs as much as the line.
"""

import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable
from time import sleep
from typing import Final

MOST_WAITING: Final = 1_048_576  # bytes
LARGEST_WRITE: Final = 65_536  # bytes in one write, about
REST: Final = 0.01  # seconds after a write: what is said meanwhile is written together
PATIENCE: Final = 1.0  # seconds in which a reader has to take something, when the process wants to end


class Outlet:
    """Writes lines in the order in which they were put. `notice` makes the line that says how many were lost."""

    def __init__(self, descriptor: int, notice: Callable[[int], bytes], *, most: int = MOST_WAITING) -> None:
        self.notice = notice
        self._descriptor = descriptor
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._size = 0  # of what waits and of what is being written
        self._lost = 0
        self._taken = 0  # how often something was written, or given up
        self._torn = False  # whether the last line broke off
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        """Takes a line over; never waits for the descriptor."""
        with self._changed:
            if self._size + len(line) > self._most:
                self._lost += 1
                return
            self._tell_loss()
            self._append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, patience: float = PATIENCE) -> bool:
        """Waits until all is written, or until nothing was taken for `patience` seconds."""
        with self._changed:
            while self._size:
                before = self._taken
                if not self._changed.wait_for(lambda seen=before: self._taken != seen, patience):  # type: ignore[misc]
                    return False
        return True

    def _append(self, line: bytes) -> None:
        self._waiting.append(line)
        self._size += len(line)

    def _tell_loss(self) -> None:
        if self._lost:
            self._append(self.notice(self._lost))
            self._lost = 0

    def _run(self) -> None:
        # All signals are for other threads: one that waits for them must get them.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                lines = self._take()
            lost = self._write(lines)
            with self._changed:
                written = sum(map(len, lines))
                self._size -= written
                self._taken += 1
                if lost:
                    self._lost += lost
                elif not self._waiting:
                    self._tell_loss()
                self._changed.notify_all()
            if written < LARGEST_WRITE:
                sleep(REST)

    def _take(self) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        while self._waiting and size < LARGEST_WRITE:
            lines.append(self._waiting.popleft())
            size += len(lines[-1])
        return lines

    def _write(self, lines: list[bytes]) -> int:
        """How many of the lines were lost: to a full disk, to a pipe that has no reader any more."""
        rest = memoryview((b"\n" if self._torn else b"") + b"".join(lines))
        whole = len(rest)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:  # someone who shares it made it non-blocking
                select.select((), (self._descriptor,), ())
            except OSError:
                if len(rest) < whole:
                    self._torn = True
                return bytes(rest).count(b"\n")
            else:
                rest = rest[written:]
        self._torn = False
        return 0
