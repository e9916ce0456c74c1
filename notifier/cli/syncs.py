"""`syncs`: what there is to watch, as Census lists it now."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.text import Text

from notifier.census.listing import Listing
from notifier.cli import completion
from notifier.cli.help import Panel, examples
from notifier.cli.loading import load
from notifier.cli.loop import new_loop
from notifier.cli.options import DEFAULT_CONFIG, AsJson, Config
from notifier.cli.probe import read_listings
from notifier.cli.terminal import brief, console, long, print_json_array, short, table, waiting
from notifier.model.errors import CensusError
from notifier.model.identity import in_order
from notifier.model.sync import Sync
from notifier.service import log
from notifier.watchlist.covers import covered_syncs, watches_of
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.wording import Quotes
from notifier.web.documents import sync_document

EXAMPLES = examples(
    ("notifier syncs", "all of them"),
    ("notifier syncs --workspace production", "of one workspace"),
    ("notifier syncs --json | jq '.[] | select(.watched|not)'", "the unwatched"),
)

SyncRow = tuple[str, Sync, bool]
"""The workspace's name, a sync, and whether it is watched."""


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.LOOK, epilog=EXAMPLES)(syncs)


def syncs(
    config: Config = DEFAULT_CONFIG,
    workspace: Annotated[
        str | None,
        typer.Option(
            "--workspace", metavar="NAME", help="Only those of this one.", autocompletion=completion.workspaces
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The syncs that Census lists now, and which of them are watched.

    Exit code 1 when a workspace could not be read; the syncs of the others are shown all the same.
    """
    log.configure(log.LogFormat.AUTO, log.LogLevel.WARNING)
    watchlist = _narrowed(load(config), workspace)
    names = ", ".join(watchlist.workspaces)
    with waiting(f"Asking Census for the syncs of {names} …"), asyncio.Runner(loop_factory=new_loop()) as runner:
        listings = runner.run(read_listings(watchlist))
    found = list(_rows(listings, watchlist))
    if as_json:
        print_json_array(sync_document(*row) for row in found)
    else:
        _show(found, several=len(listings) > 1)
    _tell_what_lacks(listings)
    if any(isinstance(listing, CensusError) for listing in listings.values()):
        raise typer.Exit(1)


def _narrowed(watchlist: Watchlist, workspace: str | None) -> Watchlist:
    """The watchlist with that workspace alone, or with all."""
    if workspace is None:
        return watchlist
    if workspace not in watchlist.workspaces:
        unknown = Quotes(()).unknown("workspace", workspace, watchlist.workspaces)
        raise typer.BadParameter(unknown, param_hint="--workspace")
    return watchlist.model_copy(update={"workspaces": {workspace: watchlist.workspaces[workspace]}})


def _rows(listings: Mapping[str, Listing | CensusError], watchlist: Watchlist) -> Iterator[SyncRow]:
    for name, listing in listings.items():
        if isinstance(listing, Listing):
            labels = {sync.id: sync.label for sync in listing.syncs.values()}
            covered = covered_syncs(watches_of(name, watchlist.watches), labels)
            for sync_id in sorted(labels, key=in_order):
                yield name, listing.syncs[sync_id], sync_id in covered


def _show(found: list[SyncRow], *, several: bool) -> None:
    rows = [
        (
            workspace if several else "",
            str(sync.id),
            brief(sync.label),
            sync.status or "",
            Text("paused" if sync.paused else "", "yellow"),
            Text("watched", "green") if watched else Text("not watched", "dim"),
        )
        for workspace, sync, watched in found
    ]
    columns = (long("workspace"), short("sync"), long("label"), long("status"), short("paused"), short("watched"))
    console().print(table(*columns, rows=rows) if rows else "No syncs.")


def _tell_what_lacks(listings: Mapping[str, Listing | CensusError]) -> None:
    for name, listing in listings.items():
        if isinstance(listing, CensusError):
            typer.echo(f"notifier: the syncs of {name} can't be read: {listing}", err=True)
        elif not listing.complete:
            typer.echo(f"notifier: the syncs of {name} may not be all: Census' list is not complete", err=True)
