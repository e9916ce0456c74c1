"""`python -m notifier`, and the installed command's entry."""

import gc
import os
import signal
import sys


def main() -> None:
    """Runs the command line. A signal before it is there ends the process, without a traceback.

    A container's process 1 has no default for signals: SIGTERM is lost on it unless something handles it.
    """
    _open_missing()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else whoever started it wants it to be ignored
        signal.signal(signal.SIGHUP, _wait)
    gc.disable()  # while so much is loaded, all of which stays: a tenth of the time
    from notifier.cli import app

    app.main()


def _open_missing() -> None:
    """Opens what is closed of the descriptors 0 to 2 on the null device: else the next file would get its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _wait(_: int, __: object) -> None:
    """The worker is about to read its watchlist anyway; for every other command the signal means its end again."""


def _end(number: int, _: object) -> None:
    """A worker that is told to end before it has begun has done what it was told; a round (`--once`) has not."""
    is_worker = sys.argv[1:2] == ["run"] and "--once" not in sys.argv
    sys.exit(0 if is_worker else 128 + number)


if __name__ == "__main__":
    main()
