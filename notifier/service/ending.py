"""How the process ends when it is told to: in its own time, or by force.

A thread of its own waits for SIGTERM and SIGINT, and ends the process once its time is over: what hangs then may be the
event loop itself, and with it every handler that the loop would call. SIGHUP comes to it too, or one that arrives after
the loop has closed would be the end of a process that is about to exit with 0.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from notifier.service import stderr as door

log = structlog.get_logger(__name__)

SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
HARD_END: Final = 9.5  # seconds after which the process ends whatever hangs (a DNS look-up can)
LOG_PATIENCE: Final = 0.3  # seconds for the reader of the log to take them


class Ending:
    """Calls `asked` when the process is told to end, and ends it `HARD_END` seconds later if it is still there.

    `hung_up` is called for each SIGHUP before that.
    """

    def __init__(self, asked: Callable[[], object], hung_up: Callable[[], object] = lambda: None) -> None:
        self._asked = asked
        self._hung_up = hung_up

    def listen(self) -> None:
        """Begins to listen. To be called before any other thread starts: a signal that an earlier thread gets is
        handled only once the main thread runs again."""
        for number in SIGNALS | {signal.SIGHUP}:
            signal.signal(number, self._is_told)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS | {signal.SIGHUP})
        threading.Thread(target=self._wait, name="wait for a signal", daemon=True).start()

    def begin(self) -> None:
        """Starts the deadline without a signal: for a process that ends by itself."""
        threading.Thread(target=_end_in_time, name="hard end", daemon=True).start()

    def _is_told(self, number: int, _: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            if number == signal.SIGHUP:
                self._hung_up()
                return
            self._asked()
        self.begin()

    def _wait(self) -> None:
        while (number := signal.sigwait(SIGNALS | {signal.SIGHUP})) == signal.SIGHUP:
            self._is_told(number, None)
        self._is_told(number, None)


def _end_in_time() -> None:
    time.sleep(HARD_END)
    log.error("something hangs; ending all the same")
    door.flush(LOG_PATIENCE)
    os._exit(1)
