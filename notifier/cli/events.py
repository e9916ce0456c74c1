"""`events`: what was found, from the database."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.text import Text

from notifier.cli import completion
from notifier.cli.help import Panel, examples
from notifier.cli.incidents import ended
from notifier.cli.options import DEFAULT_CONFIG, AsJson, Config, Limit, SyncId, look_up
from notifier.cli.terminal import DASH, MOST_SHOWN, ago, brief, long, print_json_array, short, show_newest, table
from notifier.model.body import EventBody, IncidentToldOf, SyncToldOf
from notifier.model.event import EventType
from notifier.model.incident import in_words
from notifier.model.run import Change
from notifier.model.times import counted
from notifier.store.views.events import EventFilter, EventView, read_events
from notifier.web.documents import event_document, types_named

OF_RUNS: Final = "sync_run."
COLORS: Final[Mapping[str, str]] = {
    EventType.COMPLETED: "green",
    EventType.FAILED: "red",
    EventType.ERROR_CHANGED: "red",
    EventType.CANCELED: "yellow",
    EventType.SKIPPED: "yellow",
    EventType.STATUS_CHANGED: "magenta",
    EventType.SYNC_PAUSED: "yellow",
    EventType.SYNC_DELETED: "yellow",
    EventType.INCIDENT_OPENED: "red",
    EventType.INCIDENT_CHANGED: "red",
    EventType.INCIDENT_REMINDER: "red",
    EventType.INCIDENT_RESOLVED: "green",
    EventType.CENSUS_ALERT_RAISED: "red",
    EventType.CENSUS_ALERT_RESOLVED: "green",
}
EXAMPLES = examples(
    ("notifier events", "the newest 50"),
    ("notifier events --type sync_run.failed --limit 5", "the last five failures"),
    ("notifier events --type 'incident.*'", "what lasted, or still does"),
    ("notifier events --sync 52 --json", "all of one sync, as JSON"),
)


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.LOOK, epilog=EXAMPLES)(events)


def events(
    config: Config = DEFAULT_CONFIG,
    sync: SyncId = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only of this type, or of those that fit a glob.",
            autocompletion=completion.event_types,
        ),
    ] = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """The newest events: what was seen of which run or sync.

    They are read from the database, whether or not a worker runs, and kept as long as the watchlist's retention says.
    """
    wanted = EventFilter(sync_id=sync, types=None if kind is None else _types(kind))
    path = look_up(config).database
    if as_json:
        print_json_array(event_document(event) for event in read_events(path, wanted, limit))
        return
    most = limit or MOST_SHOWN
    found = read_events(path, wanted, most + 1)
    columns = (
        *(short("when"), short("type"), short("sync")),
        *(long("label"), short("run"), long("change")),
    )
    shown = table(*columns, rows=_rows(found[:most]))
    show_newest(shown, more=len(found) > most, nothing="No events.")


def _types(pattern: str) -> list[EventType]:
    try:
        return types_named(pattern)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--type") from None


def _rows(found: Sequence[EventView]) -> Iterator[tuple[str | Text, ...]]:
    now = datetime.now(UTC)
    several = len({event.workspace for event in found}) > 1
    for event in found:
        said = EventBody.of(event.body)
        yield (
            ago(event.seen_at, now),
            Text(event.type.removeprefix(OF_RUNS), COLORS.get(event.type, "")),
            DASH if event.sync_id is None else str(event.sync_id),
            _label(event.workspace, said.sync, several),
            DASH if event.run_id is None else str(event.run_id),
            what_happened(said),
        )


def _label(workspace: str, sync: SyncToldOf | None, several: bool) -> str:
    """Whose event it is: without a sync, the workspace's."""
    if sync is None:
        return f"workspace {workspace}"
    label = brief(sync.label)
    return f"{workspace}: {label}" if several else label


def what_happened(said: EventBody) -> str:
    """What an event's body tells, in a few words: of an incident which check, else what changed."""
    if said.incident is not None:
        return _incident(said.incident, said.summary)
    if said.alert is not None:
        return ": ".join(part for part in (said.alert.message, said.alert.details) if part) or DASH
    return what_changed(said.changes) if said.changes else DASH  # its type says it all


def _incident(incident: IncidentToldOf, summary: str | None) -> str:
    """failing: another error, 3 bad runs. Or, once it is over: failing: recovered after 3 h 12 min."""
    check, runs = in_words(incident.check), incident.runs
    if incident.opened_at is not None and incident.resolved_at is not None:
        return f"{check}: {ended(incident.reason, incident.resolved_at - incident.opened_at)}"
    words = [summary] if summary else []
    if runs > 1 or (runs and not summary):
        words.append(counted(runs, "bad run"))
    return f"{check}: {', '.join(words)}" if words else check


def what_changed(changes: Sequence[Change]) -> str:
    """An event's changes in a few words: working → failed, JSON_ARRAY_ERROR. Of long texts only that they differ."""
    new = {change.field: change.new for change in changes}
    words = [f"{change.old or 'new'} → {change.new}" for change in changes if change.field == "status"]
    if "canceled" in new:
        words.append("canceled" if new["canceled"] else "no longer canceled")
    if code := new.get("error_code"):
        words.append(str(code))
    return ", ".join(words) or ("no error code any more" if "error_code" in new else "another error text")
