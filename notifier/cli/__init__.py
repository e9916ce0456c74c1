"""The command line: one module a group of commands. Data goes to standard output, all else to standard error."""

import sys
from typing import Annotated

import typer

import notifier
from notifier.cli import deliveries, demo, status, watchlist, worker
from notifier.errors import NotifierError, WatchlistError

app = typer.Typer(
    name="notifier",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"census-notifier {notifier.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Follows Census sync runs and tells Slack channels and webhooks what changed."""


for group in (worker, watchlist, status, deliveries, demo):
    group.register(app)


def main() -> None:
    """Runs a command. Our own errors are sentences for the user, and exit codes: 2 for the watchlist, else 1."""
    try:
        app()
    except WatchlistError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one place where errors are shown
        sys.exit(2)
    except NotifierError as error:
        print(f"notifier: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has seen enough
        sys.exit(1)
