"""`python -m notifier`, and the installed command's entry."""

import signal
import sys


def main() -> None:
    """Runs the command line. A signal before it is there ends the process, without a traceback.

    A container's process 1 has no default for signals: SIGTERM is lost on it unless something handles it.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    from notifier import cli

    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
