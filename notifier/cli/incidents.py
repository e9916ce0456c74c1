"""`incidents`: what lasts, from the database."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from rich.table import Column
from rich.text import Text

from notifier.cli.help import Panel, examples
from notifier.cli.options import DEFAULT_CONFIG, AsJson, Config, look_up, tell_what_lacks
from notifier.cli.terminal import DASH, MOST_SHOWN, ago, brief, long, print_json_array, short, show_newest, table
from notifier.model.incident import Incident, Reason, in_words
from notifier.model.run import GoodRun
from notifier.model.times import spoken
from notifier.store.views.incidents import read_incidents
from notifier.web.documents import incident_document

EXAMPLES = examples(
    ("notifier incidents", "what is wrong now"),
    ("notifier incidents --all --limit 5", "the last five, over or not"),
    ("notifier incidents --json | jq '.[].sync.url'", "where to look"),
)
NO_REASON: Final = "over"  # where no reason is known
IncidentLimit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="At most so many; otherwise all, but 50 in a table of --all."),
]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.LOOK, epilog=EXAMPLES)(incidents)


def incidents(
    config: Config = DEFAULT_CONFIG,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    limit: IncidentLimit = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong with syncs and workspaces, and since when.

    An incident is opened once, however many runs it spans. All is read from the database.
    """
    if as_json:
        from notifier.cli.loading import outline_of  # for the workspaces, whose hosts the links name

        outline = outline_of(config)
        tell_what_lacks(outline.lacks)
        found = read_incidents(outline.database, limit, resolved=everything)
        print_json_array(incident_document(incident, outline.workspaces) for incident in found)
        return
    path = look_up(config).database
    most = limit or (MOST_SHOWN if everything else None)
    found = read_incidents(path, most and most + 1, resolved=everything)
    shown = table(*_columns(everything), rows=_rows(found[:most], everything))
    nothing = "No incidents." if everything else "No open incidents; --all shows those that are over."
    show_newest(shown, more=most is not None and len(found) > most, nothing=nothing)


def ended(reason: str | None, lasted: timedelta) -> str:
    """How an incident ended: recovered after 3 h 12 min."""
    return f"{in_words(reason or NO_REASON)} after {spoken(lasted)}"


def _columns(everything: bool) -> tuple[Column, ...]:
    state = long("state") if everything else short("open for")
    return (short("check"), short("sync"), long("label"), state, short("bad runs"), short("last good"))


def _rows(found: Sequence[Incident], everything: bool) -> Iterator[tuple[str | Text, ...]]:
    now = datetime.now(UTC)
    several = len({incident.workspace for incident in found}) > 1
    for incident in found:
        yield (
            in_words(incident.check),
            DASH if incident.sync_id is None else str(incident.sync_id),
            _label(incident, several),
            _state(incident, now) if everything else spoken(now - incident.opened_at),
            str(incident.runs) if incident.runs else DASH,
            _last_good(incident.last_good_run, now),
        )


def _label(incident: Incident, several: bool) -> str:
    if incident.sync_id is None:
        return f"workspace {incident.workspace}"
    label = brief(incident.sync_label)
    return f"{incident.workspace}: {label}" if several else label


def _last_good(run: GoodRun | None, now: datetime) -> str:
    if run is None:
        return DASH
    return ago(run.completed_at, now) if run.completed_at is not None else f"run {run.id}"


def _state(incident: Incident, now: datetime) -> Text:
    """open for 3 h 12 min. Or: recovered 2 d ago, lasted 3 h 12 min."""
    if incident.resolved_at is None:
        return Text(f"open for {spoken(now - incident.opened_at)}", "red")
    how, lasted = in_words(incident.reason or NO_REASON), spoken(incident.resolved_at - incident.opened_at)
    style = "green" if incident.reason is Reason.RECOVERED else "yellow"
    return Text(f"{how} {ago(incident.resolved_at, now)}, lasted {lasted}", style)
