"""`demo`: the whole pipeline against the built-in simulator."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from notifier.cli.help import Panel, examples
from notifier.cli.loop import new_loop
from notifier.service import log
from notifier.watchlist.durations import parse_duration

EXAMPLES = examples(
    ("notifier demo", "a minute of it"),
    ("notifier demo --duration 20s", "the beginning"),
    ("notifier demo --json", "what Slack was sent, a thing a line"),
)


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.WORKER, epilog=EXAMPLES)(demo)


def demo(
    duration: Annotated[str, typer.Option("--duration", help="How long it lasts.")] = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="Print each thing that Slack was sent as JSON.")] = False,
) -> None:
    """The worker between a simulated Census and a simulated Slack.

    It needs no account, talks to this machine only, and ends by itself or with Ctrl-C.
    """
    from notifier.cli.demo.stage import play_demo  # the simulator is no part of a worker in production

    try:
        lasts = parse_duration(duration)
    except ValueError as error:
        raise typer.BadParameter(f"--duration: {error}") from None
    log.configure(log.LogFormat.AUTO, log.LogLevel.WARNING)
    with (
        tempfile.TemporaryDirectory(prefix="census-notifier-demo-") as directory,
        asyncio.Runner(loop_factory=new_loop()) as runner,
    ):
        shown = runner.run(play_demo(Path(directory), lasts, as_json=as_json))
    if shown == 0:
        typer.echo("The channels got nothing; was the demo too short?", err=True)
        raise typer.Exit(1)
