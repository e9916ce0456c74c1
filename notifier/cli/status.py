"""`status`: what the database knows of the worker, its workspaces, syncs and receivers."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from notifier.body import timestamp
from notifier.cli.options import DEFAULT_CONFIG, AsJson, Config, load
from notifier.store.lock import is_held
from notifier.store.views import (
    ReceiverView,
    RunView,
    Status,
    SyncView,
    WorkspaceView,
    read_status,
    require_recent_worker,
)

LONGEST_SILENCE: Final = timedelta(minutes=3)
MOST_SYNCS: Final = 50


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
    healthy: Annotated[
        bool, typer.Option("--healthy", help="Only say, by the exit code, whether the worker is alive.")
    ] = False,
) -> None:
    """The worker, workspaces, watched syncs, receivers and deliveries, from the database.

    With --healthy it exits 1 when the worker's last sign of life is older than 3 minutes.
    """
    watchlist = load(config)
    path = watchlist.database_path
    if healthy:
        require_recent_worker(path, datetime.now(UTC), LONGEST_SILENCE)
        return
    view = read_status(path, watchlist.receivers)
    running = is_held(path)
    if as_json:
        typer.echo(json.dumps(_document(view, running), indent=2, ensure_ascii=False))
    else:
        _show(view, running)


def _time(time: datetime | None) -> str | None:
    return None if time is None else timestamp(time)


def _document(view: Status, running: bool) -> dict[str, Any]:
    worker = view.worker
    return {
        "worker": {
            "running": running,
            "version": worker.version if worker else None,
            "started_at": _time(worker.started_at if worker else None),
            "last_seen_at": _time(worker.last_seen_at if worker else None),
        },
        "workspaces": [_workspace(workspace) for workspace in view.workspaces],
        "syncs": [_sync(sync) for sync in view.syncs],
        "receivers": [_receiver(receiver) for receiver in view.receivers],
    }


def _workspace(workspace: WorkspaceView) -> dict[str, Any]:
    stretched = (
        {"intervals_stretched_by": workspace.stretch, "needed_requests_per_second": workspace.needed_rate}
        if workspace.stretch > 1
        else {}
    )
    return {
        "name": workspace.name,
        "ok": workspace.ok,
        "last_error": workspace.last_error,
        "last_polled_at": _time(workspace.last_polled_at),
        **stretched,
    }


def _sync(sync: SyncView) -> dict[str, Any]:
    gap = (
        {"gap": {"noticed_at": _time(sync.gap_noticed_at), "oldest_reported_run_id": sync.gap_oldest_reported_run_id}}
        if sync.gap_noticed_at
        else {}
    )
    run = sync.newest_run
    newest = run and {
        "id": run.id,
        "status": run.status,
        "error_code": run.error_code,
        "updated_at": _time(run.updated_at),
    }
    return {"workspace": sync.workspace, "id": sync.id, "label": sync.label, "newest_run": newest, **gap}


def _receiver(receiver: ReceiverView) -> dict[str, Any]:
    return {name: getattr(receiver, name) for name in ReceiverView.__slots__}


def _show(view: Status, running: bool) -> None:
    console = Console()
    now = datetime.now(UTC)
    if view.worker is None:
        console.print("No worker has run on this database yet.")
    else:
        state = Text("running", "green") if running else Text("not running", "red")
        seen = ago(view.worker.last_seen_at, now)
        console.print("Worker", state, f"· version {view.worker.version} · last sign of life {seen}", highlight=False)
    console.print(_workspaces_table(view, now), _receivers_table(view), _syncs_table(view, now), sep="\n")
    if len(view.syncs) > MOST_SYNCS:
        console.print(f"… and {len(view.syncs) - MOST_SYNCS} more syncs; --json shows all.", highlight=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _workspaces_table(view: Status, now: datetime) -> Table:
    table = _table("\nWorkspaces", "name", "state", "last polled", "note")
    for workspace in view.workspaces:
        note = workspace.last_error or ""
        if workspace.stretch > 1:
            note = f"intervals stretched x{workspace.stretch:g}: {workspace.needed_rate:g} requests/s needed. {note}"
        state = Text("ok", "green") if workspace.ok else Text("bad", "red")
        polled = ago(workspace.last_polled_at, now) if workspace.last_polled_at else "never"
        table.add_row(workspace.name, state, polled, Text(note.strip()))
    return table


def _receivers_table(view: Status) -> Table:
    table = _table("\nReceivers", "name", "state", "pending", "dead", "note")
    for receiver in view.receivers:
        state = Text("ok", "green") if receiver.ok else Text("broken", "red")
        table.add_row(receiver.name, state, str(receiver.pending), str(receiver.dead), Text(receiver.last_error or ""))
    return table


def _syncs_table(view: Status, now: datetime) -> Table:
    table = _table("\nWatched syncs", "sync", "label", "newest run", "status", "updated", "note")
    for sync in view.syncs[:MOST_SYNCS]:
        run = sync.newest_run or RunView(0, None, None, None)
        status_text = " ".join(part for part in (run.status, run.error_code) if part)
        gap = f"runs before {sync.gap_oldest_reported_run_id} were skipped" if sync.gap_noticed_at else ""
        table.add_row(
            f"{sync.workspace}/{sync.id}",
            Text(sync.label or ""),
            str(run.id) if sync.newest_run else "none yet",
            Text(status_text, "red" if run.status == "failed" else ""),
            ago(run.updated_at, now) if run.updated_at else "",
            gap,
        )
    return table


def ago(time: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits: 3 min ago."""
    seconds = max(0, int((now - time).total_seconds()))
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
