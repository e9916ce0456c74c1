"""The command line: one module a group of commands. Data goes to standard output, all else to standard error."""

import gc
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

import notifier
from notifier.cli import streams
from notifier.cli.help import Panel, examples
from notifier.model.errors import NotifierError, OutputUnwritable, ReaderGone, WatchlistError
from notifier.service import stderr

GROUPS: Final = {
    "run": "run",
    "migrate": "migration",
    "demo": "demo.command",
    "init": "init.command",
    "check": "watchlist",
    "schema": "watchlist",
    "send-test": "send_test",
    "status": "status",
    "incidents": "incidents",
    "syncs": "syncs",
    "events": "events",
    "deliveries": "deliveries",
}
"""Each command's module, in the order of the help."""

SUMMARIES: Final = {
    Panel.WORKER: {
        "run": "The worker: polls, stores and delivers until SIGTERM or SIGINT.",
        "migrate": "Brings the database to the newest schema.",
        "demo": "The worker between a simulated Census and a simulated Slack.",
    },
    Panel.WATCHLIST: {
        "init": "Writes a watchlist, after asking for the keys and looking at what there is to watch.",
        "check": "Validates the watchlist, and names every mistake with its place.",
        "schema": "Prints the watchlist's JSON Schema.",
        "send-test": "Sends a receiver a test message, and shows what came back and where to look for it.",
    },
    Panel.LOOK: {
        "status": "The worker, workspaces, receivers and syncs, from the database.",
        "incidents": "What is wrong with syncs and workspaces, and since when.",
        "syncs": "The syncs that Census lists now, and which of them are watched.",
        "events": "The newest events: what was seen of which run or sync.",
        "deliveries": "The newest deliveries: what arrived, waits or died, and why.",
    },
}
"""What `--help` says of each, the first line of what it says itself (a test compares): so that a list of the commands
need not load them all."""

app = typer.Typer(
    name="notifier",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"census-notifier {notifier.__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        ("notifier demo", "see it work, without an account"),
        ("notifier init", "write a first watchlist, by questions"),
        ("notifier check && notifier run", "validate the watchlist, then work"),
        ("notifier events --help", "more about one command"),
    )
)
def options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has done all
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Follows Census sync runs and tells Slack channels and webhooks what changed."""
    if context.invoked_subcommand != "run":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # all is loaded: from here on it can be told in words
    if context.invoked_subcommand != "run" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def register(words: Sequence[str]) -> None:
    """Loads the command that is asked for alone: a look at the database needs no client, server or template. Where no
    command comes first, all of them are loaded: for completion and for who misspells one. Help and version need none.
    """
    if words and words[0] in ("--help", "--version"):
        for panel, commands in SUMMARIES.items():
            for name, summary in commands.items():
                app.command(name, rich_help_panel=panel, help=summary)(_listed)
        return
    asked = GROUPS.get(words[0]) if words else None
    for module in [asked] if asked else dict.fromkeys(GROUPS.values()):
        import_module(f"notifier.cli.{module}").register(app)


def _listed() -> None:
    """Stands for a command where commands are listed: an option came before it that ends all."""


def main() -> None:
    """Runs a command. Our own errors are sentences for the user, and exit codes: 2 for the watchlist, else 1."""
    register(sys.argv[1:])
    streams.set_up()
    gc.freeze()  # what is loaded by now stays: to look through it once would take a command's tenth part
    gc.enable()  # not before: a signal during a collection would find a stream half exchanged
    code: int | str | None = 0
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where it may still fail
    except SystemExit as end:
        code = end.code
    except WatchlistError as error:
        stderr.tell(str(error))
        code = 2
    except ReaderGone:
        streams.give_up_output()
    except NotifierError as error:
        stderr.tell(f"notifier: {error}")
        code = 1
        if isinstance(error, OutputUnwritable):
            streams.give_up_output()
    stderr.flush()
    sys.exit(code)
