"""`deliveries` and `deliveries retry`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.text import Text

from notifier.cli import completion
from notifier.cli.help import Panel, examples
from notifier.cli.options import DEFAULT_CONFIG, AsJson, Config, Limit, look_up
from notifier.cli.terminal import MOST_SHOWN, ago, long, plain, print_json_array, short, show_newest, table
from notifier.model.delivery import DeliveryState
from notifier.model.times import counted
from notifier.store.orders import retry_deliveries
from notifier.store.views.deliveries import DeliveryFilter, DeliveryView, read_deliveries
from notifier.watchlist.durations import parse_duration
from notifier.web.documents import delivery_document

COLORS: Final = {DeliveryState.DELIVERED: "green", DeliveryState.PENDING: "yellow", DeliveryState.DEAD: "red"}
EXAMPLES = examples(
    ("notifier deliveries", "the newest 50"),
    ("notifier deliveries --state dead", "what died, and why"),
    ("notifier deliveries --receiver growth --json", "all of one receiver"),
)
RETRY_EXAMPLES = examples(
    ("notifier deliveries retry 17 18", "these two"),
    ("notifier deliveries retry --dead --since 2h", "what died of the last two hours"),
    ("notifier deliveries retry --receiver growth", "all that growth has not got"),
)

deliveries = typer.Typer(invoke_without_command=True, no_args_is_help=False)


def register(app: typer.Typer) -> None:
    app.add_typer(deliveries, name="deliveries", rich_help_panel=Panel.LOOK)


@deliveries.callback(epilog=EXAMPLES)
def show(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    state: Annotated[
        DeliveryState | None, typer.Option("--state", metavar="STATE", help="Only those: pending, delivered or dead.")
    ] = None,
    receiver: Annotated[
        str | None,
        typer.Option("--receiver", metavar="NAME", help="Only those to this one.", autocompletion=completion.receivers),
    ] = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """The newest deliveries: what arrived, waits or died, and why."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    path, wanted = look_up(config).database, DeliveryFilter(state=state, receiver=receiver)
    if as_json:
        print_json_array(map(delivery_document, read_deliveries(path, wanted, limit)))
        return
    most = limit or MOST_SHOWN
    found = read_deliveries(path, wanted, most + 1)
    columns = (
        *(short("id"), short("type"), long("receiver"), short("state")),
        *(short("tries"), short("event"), long("last error")),
    )
    shown = table(*columns, rows=_rows(found[:most]))
    show_newest(shown, more=len(found) > most, nothing="No deliveries.")


def _refuse_options_before(context: typer.Context) -> None:
    """An option before the subcommand would be read here and forgotten: a --config too."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"options follow the command: notifier deliveries {context.invoked_subcommand} …")


def _rows(found: Sequence[DeliveryView]) -> Iterator[tuple[str | Text, ...]]:
    now = datetime.now(UTC)
    for delivery in found:
        yield (
            str(delivery.id),
            delivery.type.removeprefix("sync_run."),
            delivery.receiver,
            Text(delivery.state, COLORS[delivery.state]),
            str(delivery.attempts),
            ago(delivery.created_at, now),
            delivery.last_error or "",
        )


@deliveries.command(epilog=RETRY_EXAMPLES)
def retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…", help="Deliveries, by their ID.")] = None,
    config: Config = DEFAULT_CONFIG,
    dead: Annotated[bool, typer.Option("--dead", help="All that are dead.")] = False,
    receiver: Annotated[
        str | None,
        typer.Option(
            "--receiver", metavar="NAME", help="All, dead or pending, to this one.", autocompletion=completion.receivers
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE", help="Only of events this young, such as 2h.")
    ] = None,
) -> None:
    """Tries deliveries again: dead ones with a fresh clock, pending ones now.

    A running worker takes them up within 5 seconds. What belongs to a receiver that the watchlist does not have is left
    as it is. Exit code 1 when one of the IDs is neither dead nor pending, or is left.
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
    from notifier.cli.loading import load, outline_of  # a look at deliveries needs no such thing

    outline = outline_of(config)
    if outline.lacks is not None:
        load(config)  # says what is wrong: without its receivers nobody knows whose deliveries would wait for ever
    retried = retry_deliveries(outline.database, wanted, now, outline.receivers)
    typer.echo(f"{counted(len(retried.ids), 'delivery is', 'deliveries are')} tried again.")
    for gone, count in sorted(Counter(retried.left.values()).items()):
        left = "1 is left as it is" if count == 1 else f"{count} are left as they are"
        typer.echo(f"{left}: the watchlist has no receiver {plain(gone)}.", err=True)
    unknown = set(ids or ()) - set(retried.ids) - retried.left.keys()
    if unknown:
        typer.echo(f"Not dead or pending: {', '.join(map(str, sorted(unknown)))}.", err=True)
    if unknown or (ids and retried.left):
        raise typer.Exit(1)
