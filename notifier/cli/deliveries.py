"""`deliveries` and `deliveries retry`."""

import json
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from notifier.body import timestamp
from notifier.cli.options import DEFAULT_CONFIG, AsJson, Config, load
from notifier.cli.status import ago
from notifier.config.durations import parse_duration
from notifier.model import DeliveryState
from notifier.store.views import DeliveryFilter, DeliveryView, read_deliveries, retry_deliveries

MOST_SHOWN: Final = 50

deliveries = typer.Typer(invoke_without_command=True, no_args_is_help=False)


def register(app: typer.Typer) -> None:
    app.add_typer(deliveries, name="deliveries")


@deliveries.callback()
def show(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    state: Annotated[DeliveryState | None, typer.Option("--state", help="Only those.")] = None,
    receiver: Annotated[str | None, typer.Option("--receiver", help="Only those to this receiver.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most so many, the newest first; --json shows all otherwise."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What was sent where, what waits, and what died and why."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    most = limit if limit or as_json else MOST_SHOWN
    found = read_deliveries(load(config).database_path, DeliveryFilter(state=state, receiver=receiver), most)
    if as_json:
        typer.echo(json.dumps([_document(delivery) for delivery in found], indent=2, ensure_ascii=False))
    else:
        _show(found)


def _refuse_options_before(context: typer.Context) -> None:
    """An option before the subcommand would be read here and forgotten: a --config too."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"options follow the command: notifier deliveries {context.invoked_subcommand} …")


def _document(delivery: DeliveryView) -> dict[str, object]:
    values = {name: getattr(delivery, name) for name in DeliveryView.__slots__}
    return {name: timestamp(value) if isinstance(value, datetime) else value for name, value in values.items()}


def _show(found: tuple[DeliveryView, ...]) -> None:
    now = datetime.now(UTC)
    colors = {DeliveryState.DELIVERED: "green", DeliveryState.PENDING: "yellow", DeliveryState.DEAD: "red"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "type", "receiver", "state", "tries", "event", "last error"):
        table.add_column(column, overflow="fold")
    for delivery in found:
        table.add_row(
            str(delivery.id),
            delivery.type.removeprefix("sync_run."),
            delivery.receiver,
            Text(delivery.state, colors[delivery.state]),
            str(delivery.attempts),
            ago(delivery.created_at, now),
            Text(delivery.last_error or ""),
        )
    console = Console()
    console.print(table if found else "No deliveries.")
    if len(found) == MOST_SHOWN:
        console.print(f"The newest {MOST_SHOWN}; --limit shows more, --json all.", style="dim", highlight=False)


@deliveries.command()
def retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…", help="Deliveries, by their ID.")] = None,
    config: Config = DEFAULT_CONFIG,
    dead: Annotated[bool, typer.Option("--dead", help="All that are dead.")] = False,
    receiver: Annotated[str | None, typer.Option("--receiver", help="All, dead or pending, to this receiver.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only of events this young, such as 2h.")] = None,
) -> None:
    """Makes dead deliveries pending with a fresh clock, and pending ones due now.

    A running worker takes them up within 5 seconds.
    """
    if not (ids or dead or receiver or since):
        raise typer.BadParameter("name deliveries by their ID, or use --dead, --receiver NAME or --since 2h")
    now = datetime.now(UTC)
    try:
        age = parse_duration(since) if since else None
    except ValueError as error:
        raise typer.BadParameter(f"--since: {error}") from None
    wanted = DeliveryFilter(
        ids=ids or None,
        state=DeliveryState.DEAD if dead else None,
        receiver=receiver,
        since=now - age if age else None,
    )
    touched = retry_deliveries(load(config).database_path, wanted, now)
    typer.echo(f"{len(touched)} {'delivery is' if len(touched) == 1 else 'deliveries are'} tried again.")
    unknown = set(ids or ()) - set(touched)
    if unknown:
        typer.echo(f"Not dead or pending: {', '.join(map(str, sorted(unknown)))}.", err=True)
        raise typer.Exit(1)
