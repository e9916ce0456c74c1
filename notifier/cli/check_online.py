"""What `check --online` shows: a line for each workspace and receiver, and what the watchlist would miss."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.text import Text

from notifier.census.listing import Listing
from notifier.cli.comparison import MOST_NAMED, compared, differences, unlike
from notifier.cli.loop import new_loop
from notifier.cli.probe import Findings, examine, watched_in
from notifier.cli.terminal import brief, console, long, plain, short, table, waiting
from notifier.judging.advice import idle_watches, unserved_syncs
from notifier.model.delivery import Verdict
from notifier.model.errors import CensusError
from notifier.model.identity import Id
from notifier.model.times import counted
from notifier.service import log
from notifier.watchlist.models import SyncSelector, Watch, Watchlist


def check_online(config: Path, watchlist: Watchlist) -> list[str]:
    """Asks, shows what came back, and says in a sentence each what does not work."""
    log.configure(log.LogFormat.AUTO, log.LogLevel.WARNING)
    with waiting("Asking Census and Slack …"), asyncio.Runner(loop_factory=new_loop()) as runner:
        found = runner.run(examine(watchlist))
    rows = [*_workspace_rows(found, watchlist), *_receiver_rows(found)]
    console().print(table(short(""), short("name"), long("what came back"), rows=rows))
    for warning in _warnings(found, watchlist):
        typer.echo(f"{config}: warning: {plain(warning)}", err=True)
    return [*_failures(found)]


def _failures(found: Findings) -> Iterator[str]:
    places = [f"workspaces.{name}" for name, listing in found.listings.items() if isinstance(listing, CensusError)]
    places += [f"receivers.{name}" for name, verdict in found.verdicts.items() if verdict.ok is False]
    if places:
        yield f"{', '.join(places)}: does not work, see above"
    for name, listing in found.listings.items():
        yield from (
            f"workspaces.{name}: {failure}" for other in found.others[name] if (failure := unlike(listing, other))
        )


def _workspace_rows(found: Findings, watchlist: Watchlist) -> Iterator[tuple[Text, str, str]]:
    for name, listing in found.listings.items():
        in_use, others = watchlist.workspaces[name].api, found.others[name]
        yield _listing_row(listing, name, watchlist, f"version {in_use.number}, in use: " if others else "")
        for other in others:
            yield _listing_row(other.listing, name, watchlist, f"version {other.version.number}: ")
            if (told := compared(in_use, listing, other)) is not None:
                yield _mark(ok=told.ok), name, told.said


def _listing_row(listing: Listing | CensusError, name: str, watchlist: Watchlist, whose: str) -> tuple[Text, str, str]:
    if isinstance(listing, CensusError):
        return _mark(ok=False), name, f"{whose}{listing}"
    watched = len(watched_in(listing, name, watchlist))
    return _mark(ok=True), name, f"{whose}{counted(len(listing.syncs), 'sync')}, {watched:,} watched"


def _receiver_rows(found: Findings) -> Iterator[tuple[Text, str, str]]:
    for name, verdict in found.verdicts.items():
        yield _mark(ok=verdict.ok), name, verdict.said


def _mark(*, ok: bool | None) -> Text:
    if ok is None:
        return Text("?", "yellow")
    return Text("ok", "green") if ok else Text("failed", "red")


def _warnings(found: Findings, watchlist: Watchlist) -> Iterator[str]:
    for name, verdict in found.verdicts.items():
        yield from _notes(name, verdict)
    for name, runs in found.missing_runs.items():
        yield from (
            f"{_place(watchlist, name, run_id)} matches nothing: {name} has no sync run {run_id}" for run_id in runs
        )
    for name, listing in found.listings.items():
        if isinstance(listing, Listing):
            yield from _misses(name, listing, watchlist)
        for other in found.others[name]:
            in_use = watchlist.workspaces[name].api
            yield from (f"workspaces.{name}: {said}" for said in differences(in_use, listing, other))


def _notes(name: str, verdict: Verdict) -> Iterator[str]:
    yield from (f"receivers.{name}: {note}" for note in verdict.notes)


def _place(watchlist: Watchlist, workspace: str, run_id: Id) -> str:
    wanted = (workspace, run_id)
    places = (place for place, watch in enumerate(watchlist.watches) if (watch.workspace, watch.sync_run) == wanted)
    return f"watches[{next(places)}]"


def _misses(name: str, listing: Listing, watchlist: Watchlist) -> Iterator[str]:
    if not listing.complete:
        yield (
            f"workspaces.{name}: Census' list of syncs is not complete, so it can't be told what a watch would miss: "
            f"{listing.flaw}"
        )
        return
    labels = {sync.id: sync.label for sync in listing.syncs.values()}
    for place in idle_watches(watchlist, name, labels):
        yield f"watches[{place}] matches nothing: {name} has no {_wanted(watchlist.watches[place])}"
    unserved = unserved_syncs(watchlist, name, labels)
    for sync_id in unserved[:MOST_NAMED]:
        yield f"no route serves sync {sync_id} of {name} ({brief(labels[sync_id])}): nobody hears of it"
    if len(unserved) > MOST_NAMED:
        yield f"no route serves {counted(len(unserved) - MOST_NAMED, 'more sync')} of {name}"


def _wanted(watch: Watch) -> str:
    if watch.sync is not None:
        return f"sync {watch.sync}"
    if not isinstance(watch.syncs, SyncSelector):
        return "syncs"
    wanted = " or ".join(f'"{glob}"' for glob in watch.syncs.label) or "any"
    unwanted = " or ".join(f'"{glob}"' for glob in watch.syncs.exclude_label)
    return f"sync labelled {wanted}" + (f" but not {unwanted}" if unwanted else "")
