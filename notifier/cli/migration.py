"""`migrate`."""

import os
from typing import Annotated

import typer

from notifier.cli.help import Panel, examples
from notifier.cli.options import DEFAULT_CONFIG, OURS_ALONE, Config, look_up
from notifier.service import log, stderr
from notifier.store.database import database_at
from notifier.watchlist.database import DatabasePlace
from notifier.watchlist.reading.place import place_of

EXAMPLES = examples(
    ("notifier migrate", "before the worker starts"),
    ("notifier migrate --from sqlite:///notifier.db", "moves all of that"),
    ("notifier migrate --from '${OLD_DATABASE_URL}'", "the same, by a variable"),
)
INTERRUPTED = "notifier: interrupted; say the same once more: it begins anew, or ends what only the last step lacks"
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="URL",
        help="First moves all of this database, with no worker on either, to the watchlist's, which must be empty. "
        "All or nothing. A URL as the watchlist has it, ${NAME} included.",
    ),
]
Keep = Annotated[
    bool, typer.Option("--keep", help="With --from sqlite:///FILE: leaves FILE, which else becomes FILE.moved.")
]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.WORKER, epilog=EXAMPLES)(migrate)


def migrate(config: Config = DEFAULT_CONFIG, moved_from: From = None, keep: Keep = False) -> None:
    """Brings the database to the newest schema.

    The worker does so by itself when it starts; this is for those who want it done before.
    """
    if keep and moved_from is None:
        raise typer.BadParameter("it goes with --from", param_hint="'--keep'")
    source = None if moved_from is None else _place(moved_from)
    log.configure(log.LogFormat.AUTO, log.LogLevel.WARNING)
    os.umask(OURS_ALONE)
    target = look_up(config).database
    if source is not None:
        _move(source, target, keep=keep)
        return
    database = database_at(target)
    with database.reserved():
        changed = database.migrate()
    typer.echo(f"{database}: {'brought to the newest schema' if changed else 'is at the newest schema already'}")


def _place(value: str) -> DatabasePlace:
    try:
        return place_of(value, os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--from'") from None


def _move(source: DatabasePlace, target: DatabasePlace, *, keep: bool) -> None:
    from notifier.store.move import move  # which needs what no migration does

    try:
        moved = move(source, target, keep=keep)
    except (KeyboardInterrupt, SystemExit):  # a signal; a kill is no other
        stderr.tell(INTERRUPTED)
        raise
    for table, number in moved.rows.items():
        typer.echo(f"{number:>12,} {table}")
    typer.echo(f"{target}: {'held all of that already' if moved.was_there else 'holds all of that now'}")
    typer.echo(moved.left)
