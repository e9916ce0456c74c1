"""`status`: what the database knows of the worker, its workspaces, syncs and receivers."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from notifier.cli.help import Panel, examples
from notifier.cli.options import DEFAULT_CONFIG, AsJson, Config, look_up, tell_what_lacks
from notifier.cli.terminal import DASH, ago, brief, console, long, plain, print_json, short, styled, table
from notifier.cli.whereabouts import databases_in_use
from notifier.model.api_version import REMEDY, ApiVersion, ending
from notifier.model.check import Check, in_words
from notifier.model.errors import NotifierError, WatchlistError
from notifier.model.times import counted, spoken
from notifier.service.vitals import SIGN_OF_LIFE_LASTS
from notifier.store.database import database_at
from notifier.store.seat import replica_name
from notifier.store.views.overview import WorkspaceView
from notifier.store.views.status import (
    MOST_NAMED,
    ReplicaState,
    ReplicaView,
    RunView,
    Status,
    SyncView,
    count_open,
    read_status,
    require_recent_worker,
)
from notifier.watchlist.database import DatabasePlace, ServerUrl
from notifier.watchlist.reading.place import default_database

MOST_SYNCS: Final = 50
LONGEST_NAME: Final = 30  # characters of a replica's name that stay on one line: what tells pods apart is at the end
EXAMPLES = examples(
    ("notifier status", "all of it"),
    ("notifier status --json | jq '.receivers[].pending'", "what waits"),
    ("notifier status --healthy", "a container's check"),
)


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.LOOK, epilog=EXAMPLES)(status)


def status(
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
    healthy: Annotated[
        bool, typer.Option("--healthy", help="Only say, by the exit code, whether the worker is alive.")
    ] = False,
) -> None:
    """The worker, workspaces, receivers and syncs, from the database.

    With --healthy it only says what is wrong, and exits 1 when the worker's last sign of life is older than 3 minutes.
    """
    if healthy:
        _require_health(config)
        return
    place = look_up(config)
    path = place.database
    view = read_status(path, place.receivers, replica_name(os.environ))
    tell_what_lacks(place.lacks)
    running = database_at(path).has_worker()
    if not running:  # the last worker's requests say nothing of this minute
        view = replace(view, workspaces=tuple(replace(each, requests_per_minute=None) for each in view.workspaces))
    if as_json:
        from notifier.web.documents import status_document  # it knows events and incidents too

        print_json(status_document(view, running))
    else:
        _show(view, path, running, count_open(path))


def _require_health(config: Path) -> None:
    """Raises what is wrong, unless one of the places where the database may be has a fresh sign of life.

    The worker may be well though the watchlist is wrong, or gone, or names a database that is for the next start.
    """
    wrong: NotifierError | None = None
    for path in _databases(config):
        try:
            if isinstance(path, WatchlistError):
                raise path
            require_recent_worker(path, replica_name(os.environ), datetime.now(UTC), SIGN_OF_LIFE_LASTS)
        except NotifierError as error:
            wrong = wrong or error
        else:
            return
    if wrong is not None:
        raise wrong


def _databases(config: Path) -> Iterator[DatabasePlace | WatchlistError]:
    """Where the watchlist has it, or else why it does not say; then where a worker has it."""
    try:
        yield look_up(config).database
    except WatchlistError as error:
        yield error
        if (default := default_database(os.environ)) is not None:
            yield default
    yield from databases_in_use(config)


def _show(view: Status, place: DatabasePlace, running: bool, incidents: Mapping[Check, int]) -> None:
    out = console()
    now = datetime.now(UTC)
    if view.worker is None:
        out.print("No worker has run on this database yet.")
    else:
        state = Text("running", "green") if running else Text("not running", "red")
        seen = ago(view.worker.last_seen_at, now)
        version = plain(view.worker.version)
        out.print(Text("Worker", "bold cyan"), state, f"· version {version} · last sign of life {seen}")
    if incidents:
        out.print(_open_incidents(incidents), style="red")
    for line in endings(view.workspaces, now.date()):
        out.print(line, style="yellow")
    if isinstance(place, ServerUrl) and view.replicas:
        out.print(_replicas_table(view, now))
    out.print(_workspaces_table(view, now), _receivers_table(view), _syncs_table(view, now), sep="\n")
    if len(view.syncs) > MOST_SYNCS:
        more = counted(len(view.syncs) - MOST_SYNCS, "more sync")
        out.print(f"… and {more}; --json shows all.", style="dim")


def _open_incidents(incidents: Mapping[Check, int]) -> str:
    of_each = ", ".join(f"{count} {in_words(check)}" for check, count in incidents.items())
    return f"Open incidents: {sum(incidents.values())} ({of_each}); notifier incidents lists them."


def endings(workspaces: Sequence[WorkspaceView], today: date) -> list[str]:
    """A line for each version of the API that ends: until when, which workspaces it reads, and what to do."""
    lines = []
    for api in ApiVersion:
        names = [plain(each.name) for each in workspaces if each.api is api]
        if names and (words := ending(api, today)) is not None:
            lines.append(f"{words} ({_some_of(names)}): {REMEDY}.")
    return lines


def _some_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _style_of(replica: ReplicaView) -> str:
    of_state = {ReplicaState.WORKS: "green", ReplicaState.SILENT: "red"}
    return of_state.get(replica.state, "yellow" if replica.standing_by else "")


def _replicas_table(view: Status, now: datetime) -> Table:
    rows = [
        (
            replica.name,
            Text(replica.state_in_words, _style_of(replica)),
            plain(replica.version),
            ago(now - replica.silence, now),
            ", ".join(replica.parts_in_words) or DASH,
        )
        for replica in view.replicas
    ]
    fits = all(len(replica.name) <= LONGEST_NAME for replica in view.replicas)
    name = short("name") if fits else long("name")
    columns = (name, long("state"), short("version"), long("last sign of life"), long("parts"))
    return table(*columns, rows=rows, title="\nReplicas")


def _workspaces_table(view: Status, now: datetime) -> Table:
    rows = [
        (
            workspace.name,
            Text("ok", "green") if workspace.ok else Text("bad", "red"),
            ago(workspace.last_polled_at, now) if workspace.last_polled_at else "never",
            "" if workspace.requests_per_minute is None else f"{workspace.requests_per_minute:,}/min",
            workspace.hints or "",
            _note(workspace),
        )
        for workspace in view.workspaces
    ]
    columns = (*(long("name"), short("state"), short("last polled")), short("requests"), short("hints"), long("note"))
    return table(*columns, rows=rows, title="\nWorkspaces")


def _note(workspace: WorkspaceView) -> str:
    note = workspace.last_error or ""
    if workspace.stretch > 1:
        note = f"intervals stretched x{workspace.stretch:g}: {workspace.needed_rate:g} requests/s needed. {note}"
    return note


def _receivers_table(view: Status) -> Table:
    rows = [
        (
            receiver.name,
            Text("ok", "green") if receiver.works else Text("broken" if receiver.broken_since else "failing", "red"),
            str(receiver.pending),
            str(receiver.dead),
            receiver.last_error or "",
        )
        for receiver in view.receivers
    ]
    columns = (long("name"), short("state"), short("pending"), short("dead"), long("note"))
    return table(*columns, rows=rows, title="\nReceivers")


def _syncs_table(view: Status, now: datetime) -> Table:
    several = len({sync.workspace for sync in view.syncs}) > 1
    rows = [(sync.workspace if several else "", *_sync_row(sync, now)) for sync in view.syncs[:MOST_SYNCS]]
    columns = (
        *(long("workspace"), short("sync"), long("label"), short("run")),
        *(long("status"), short("updated"), long("note")),
    )
    return table(*columns, rows=rows, title="\nWatched syncs")


def _sync_row(sync: SyncView, now: datetime) -> tuple[str | Text, ...]:
    run = sync.newest_run or RunView(0, None, None, None)
    return (
        str(sync.id),
        brief(sync.label),
        str(run.id) if sync.newest_run else "none yet",
        styled(" ".join(filter(None, (run.status, run.error_code))), "red" if run.status == "failed" else ""),
        ago(run.updated_at, now) if run.updated_at else "",
        _sync_note(sync, now),
    )


def _sync_note(sync: SyncView, now: datetime) -> Text:
    """What is wrong now first."""
    notes = []
    if sync.last_error or sync.unread_since:
        since = f" for {spoken(now - sync.unread_since)}" if sync.unread_since else ""
        notes.append(f"can't be read{since}" + (f": {sync.last_error}" if sync.last_error else ""))
    if sync.gap_noticed_at:
        notes.append(f"runs before {sync.gap_oldest_reported_run_id} were skipped")
    return styled("; ".join(notes), "red" if sync.last_error or sync.unread_since else "")
