"""`check` and `schema`."""

import json
import sys

import typer

from notifier.cli.options import DEFAULT_CONFIG, Config, load
from notifier.config.load import watchlist_schema
from notifier.noise import noisy_receivers


def register(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(schema)


def check(config: Config = DEFAULT_CONFIG) -> None:
    """Validates the watchlist: every mistake with file, line and column. Exit code 2 if there is any."""
    watchlist = load(config)
    for name in noisy_receivers(watchlist):
        typer.echo(
            f"{config}: warning: the Slack receiver {name!r} would get sync_run.queued or sync_run.working of more "
            "than 10 syncs; name the events it should get in a route",
            err=True,
        )
    typer.echo(
        f"{config}: good. {len(watchlist.workspaces)} workspace(s), {len(watchlist.watches)} watch(es), "
        f"{len(watchlist.receivers)} receiver(s), {len(watchlist.routes or ())} route(s)."
    )


def schema() -> None:
    """Prints the watchlist's JSON Schema, for editors that check and complete YAML."""
    json.dump(watchlist_schema(), sys.stdout, indent=2, ensure_ascii=False)
    typer.echo()
