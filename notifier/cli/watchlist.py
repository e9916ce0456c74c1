"""`check` and `schema`."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated

import typer

from notifier.cli.help import Panel, examples
from notifier.cli.loading import load
from notifier.cli.options import DEFAULT_CONFIG, Config
from notifier.judging.advice import (
    dead_routes,
    deaf_workspaces,
    ending_workspaces,
    misplaced_workspaces,
    noisy_receivers,
    passed_over_routes,
    short_secrets,
)
from notifier.model.api_version import REMEDY, ApiVersion, time_left
from notifier.model.times import counted
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import doubts, watchlist_schema

CHECK_EXAMPLES = examples(
    ("notifier check", "the watchlist here, or of NOTIFIER_CONFIG"),
    ("notifier check -c staging.yaml", "another one"),
    ("notifier check --online", "keys and channels too"),
)
SCHEMA_EXAMPLES = examples(("notifier schema > watchlist.schema.json", "a file for your editor"))


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.WATCHLIST, epilog=CHECK_EXAMPLES)(check)
    app.command(rich_help_panel=Panel.WATCHLIST, epilog=SCHEMA_EXAMPLES)(schema)


def check(
    config: Config = DEFAULT_CONFIG,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask Census and Slack whether keys and channels work; sends nothing.")
    ] = False,
) -> None:
    """Validates the watchlist, and names every mistake with its place.

    Exit code 2 if there is any.

    With --online it also names watches that match nothing and syncs that no route serves.

    Of a workspace with a token and an api_key it says whether both show the same.

    Exit code 1 when a key in use or a channel does not work, or the two do not provably show the same syncs.
    """
    watchlist = load(config)
    for doubt in doubts(config, os.environ):
        typer.echo(f"{doubt.file}:{doubt.line}:{doubt.column}: warning: {doubt.path}: {doubt.message}", err=True)
    for warning in _warnings(watchlist, datetime.now(UTC).date()):
        typer.echo(f"{config}: warning: {warning}", err=True)
    typer.echo(
        f"{config}: good. {counted(len(watchlist.workspaces), 'workspace')}, "
        f"{counted(len(watchlist.watches), 'watch', 'watches')}, {counted(len(watchlist.receivers), 'receiver')}, "
        f"{counted(len(watchlist.routes or ()), 'route')}."
    )
    if not online:
        return
    # Here, since the clients come with it, which take as long to load as all the rest.
    from notifier.cli.check_online import check_online

    if failures := check_online(config, watchlist):
        for failure in failures:
            typer.echo(f"notifier: {failure}", err=True)
        raise typer.Exit(1)


def _warnings(watchlist: Watchlist, today: date) -> Iterator[str]:
    for name, retires_on in ending_workspaces(watchlist).items():
        yield (
            f"workspaces.{name} uses version 1 of the Census API, which Census ends: {time_left(retires_on, today)}; "
            f"{REMEDY}"
        )
    for name, version in misplaced_workspaces(watchlist).items():
        yield _misplaced(name, version)
    for name in noisy_receivers(watchlist):
        yield (
            f"the Slack receiver {name!r} would get sync_run.queued or sync_run.working of more than 10 syncs; name "
            "the events it should get in a route"
        )
    for name in deaf_workspaces(watchlist):
        yield (f"workspaces.{name} has a lifecycle_webhook, and there is no server to take it; set server.listen")
    for secret in short_secrets(watchlist):
        yield (
            f"{secret} has less than 16 characters, and strangers may try it; take a longer one, such as `openssl "
            "rand -hex 24` makes"
        )
    for place in dead_routes(watchlist):
        yield (
            f"routes[{place}] names checks but no event of an incident, so that it never applies; add incident.* to "
            "its events, or leave them out"
        )
    for place in passed_over_routes(watchlist):
        yield (
            f"routes[{place}] never applies: incidents of a workspace go to routes without syncs and labels, which "
            "there are; leave its syncs and labels out"
        )


def _misplaced(name: str, version: ApiVersion) -> str:
    keys = {ApiVersion.V1: "an api_key and no token", ApiVersion.V2: "a token"}
    return (
        f"workspaces.{name} has {keys[version]}, so it uses version {version.number} of the Census API: its base_url "
        f"should end with /{version}"
    )


def schema() -> None:
    """Prints the watchlist's JSON Schema.

    Editors that know the YAML language server check and complete a watchlist with it.
    """
    json.dump(watchlist_schema(), sys.stdout, indent=2, ensure_ascii=False)
    typer.echo()
