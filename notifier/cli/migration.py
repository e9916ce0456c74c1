"""`migrate`."""

import os

import typer

from notifier.cli.help import Panel, examples
from notifier.cli.options import DEFAULT_CONFIG, OURS_ALONE, Config, look_up
from notifier.service import log
from notifier.store.database import database_at

EXAMPLES = examples(("notifier migrate", "before the worker starts, if you like"))


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.WORKER, epilog=EXAMPLES)(migrate)


def migrate(config: Config = DEFAULT_CONFIG) -> None:
    """Brings the database to the newest schema.

    The worker does so by itself when it starts; this is for those who want it done before.
    """
    log.configure(log.LogFormat.AUTO, log.LogLevel.WARNING)
    os.umask(OURS_ALONE)
    database = database_at(look_up(config).database)
    with database.reserved():
        changed = database.migrate()
    typer.echo(f"{database}: {'brought to the newest schema' if changed else 'is at the newest schema already'}")
