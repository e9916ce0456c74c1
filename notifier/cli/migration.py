"""`migrate`."""

import os

import typer

from notifier.cli.help import Panel, examples
from notifier.cli.options import DEFAULT_CONFIG, OURS_ALONE, Config, look_up
from notifier.store.migrate import migrate as migrate_database
from notifier.store.sqlite.lock import worker_lock

EXAMPLES = examples(("notifier migrate", "before the worker starts, if you like"))


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.WORKER, epilog=EXAMPLES)(migrate)


def migrate(config: Config = DEFAULT_CONFIG) -> None:
    """Brings the database to the newest schema.

    The worker does so by itself when it starts; this is for those who want it done before.
    """
    os.umask(OURS_ALONE)
    path = look_up(config).database
    with worker_lock(path):
        changed = migrate_database(path)
    typer.echo(f"{path}: {'brought to the newest schema' if changed else 'is at the newest schema already'}")
