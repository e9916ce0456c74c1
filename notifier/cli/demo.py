"""`demo`: the whole pipeline against the built-in simulator."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from notifier import log
from notifier.cli.worker import new_loop
from notifier.config.durations import parse_duration


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    duration: Annotated[str, typer.Option("--duration", help="How long it lasts.")] = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="Print each body as the webhook got it.")] = False,
) -> None:
    """The worker against a simulated Census workspace, and what a webhook gets. No account needed."""
    from notifier.cli.stage import play_demo  # the simulator is no part of a worker in production

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
        typer.echo("The webhook got nothing; was the demo too short?", err=True)
        raise typer.Exit(1)
