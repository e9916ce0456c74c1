"""`run`."""

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Annotated

import typer

from notifier.cli.help import Panel, examples
from notifier.cli.loading import load
from notifier.cli.loop import new_loop, spare_the_collector
from notifier.cli.options import DEFAULT_CONFIG, OURS_ALONE, Config
from notifier.cli.terminal import plain
from notifier.service import log, stderr
from notifier.service import run as service
from notifier.service.reload import Reloads
from notifier.service.round import run_once
from notifier.watchlist.reading.source import WatchlistFile

Format = Annotated[
    log.LogFormat,
    typer.Option("--log-format", metavar="FORMAT", help="console, json, or auto: readable on a terminal, else JSON."),
]
Level = Annotated[
    log.LogLevel,
    typer.Option("--log-level", metavar="LEVEL", help="The least that is logged: debug, info, warning or error."),
]
RUN_EXAMPLES = examples(
    ("notifier run", "until it is told to stop"),
    ("notifier run -c /etc/notifier/watchlist.yaml", "with a watchlist elsewhere"),
    ("notifier run --once", "one round, for a cron job"),
)


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.WORKER, epilog=RUN_EXAMPLES)(run)


def run(
    config: Config = DEFAULT_CONFIG,
    once: Annotated[
        bool, typer.Option("--once", help="One round: poll everything, deliver what is pending, end.")
    ] = False,
    log_format: Format = log.LogFormat.AUTO,
    log_level: Level = log.LogLevel.INFO,
) -> None:
    """The worker: polls, stores and delivers until SIGTERM or SIGINT.

    It logs to standard error. When it is told to stop it ends within 10 seconds, with exit code 0.

    A changed watchlist takes effect by itself, or at SIGHUP; a wrong one changes nothing, and the log says why.

    With --once it exits 1 when a workspace could not be read, else 3 when deliveries are left pending or died, else 0.
    """
    os.umask(OURS_ALONE)
    log.configure(log_format, log_level)
    if not once:
        source = WatchlistFile(config, os.environ)
        watchlist = source.load()
        log.name_replica(watchlist.database_place, os.environ)
        spare_the_collector()
        with asyncio.Runner(loop_factory=new_loop()) as runner:
            runner.run(service.run(watchlist, Reloads(source, watchlist)))
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    watchlist = load(config)
    log.name_replica(watchlist.database_place, os.environ)
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        done = runner.run(run_once(watchlist))
    for workspace, reason in done.unread.items():
        stderr.tell(f"notifier: not all of the workspace {workspace} could be read: {plain(reason)}")
    if done.pending or done.died:
        stderr.tell(f"notifier: {_left(done.pending, done.died)}; `notifier deliveries` shows why")
    if done.unread:
        raise typer.Exit(1)
    if done.pending or done.died:
        raise typer.Exit(3)


def _left(pending: Mapping[str, int], died: Mapping[str, int]) -> str:
    """deliveries are left pending (growth 2, hook 1) and died (hook 1)"""
    parts = [
        f"{what} ({', '.join(f'{name} {count}' for name, count in sorted(counts.items()))})"
        for what, counts in (("are left pending", pending), ("died", died))
        if counts
    ]
    return f"deliveries {' and '.join(parts)}"
