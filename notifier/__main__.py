"""`python -m notifier`, and the installed command's entry."""

import signal


def main() -> None:
    """Runs the command line. Ctrl-C before it is there ends the process without a traceback."""
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from notifier import cli

    signal.signal(signal.SIGINT, handler)
    cli.main()


if __name__ == "__main__":
    main()
