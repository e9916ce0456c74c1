"""The demo's stage: on loopback, a simulated Census API, the real worker, and a simulated Slack whose channels are
shown."""

import asyncio
import json
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from notifier import service
from notifier.cli.slack_terminal import drawn
from notifier.cli.terminal import console
from notifier.config.load import load_watchlist
from notifier.simulator import CensusSimulator, SlackMessage, SlackSimulator, load_scenario, play

TOKEN: Final = "xoxb-simulated"  # noqa: S105 - the simulator's
WATCHLIST: Final = """\
version: 1
database: sqlite:///{database}
workspaces:
  demo:
    api_key: ${{API_KEY}}
    base_url: {base_url}
    poll_interval: 1s
    active_poll_interval: 500ms
watches:
  - syncs: all
    labels: {{team: data}}
  - sync: 52
    labels: {{team: growth}}
receivers:
  growth: {{type: slack, token: "${{TOKEN}}", channel: "#growth", api_url: "{api_url}"}}
  data: {{type: slack, token: "${{TOKEN}}", channel: "#data-syncs", api_url: "{api_url}"}}
routes:
  - labels: {{team: growth}}
    events: {events}
    receivers: [growth]
  - labels: {{team: data}}
    events: {events}
    receivers: [data]
"""
QUIET: Final = ("failed", "canceled", "skipped", "completed", "error_changed", "status_changed")
EVENTS: Final = f"[{', '.join(f'sync_run.{kind}' for kind in QUIET)}]"


@dataclass(frozen=True, slots=True)
class Stage:
    """The two simulators and the names of Slack's channels by their ID."""

    census: CensusSimulator
    slack: SlackSimulator
    channels: dict[str, str]


def set_stage() -> Stage:
    """Simulators that nobody has talked to yet."""
    slack = SlackSimulator()
    channels = {slack.add_channel(name): name for name in ("growth", "data-syncs")}
    return Stage(CensusSimulator(), slack, channels)


async def play_demo(directory: Path, lasts: timedelta, *, as_json: bool) -> int:
    """Plays the story until it ends, `lasts` is over or a signal comes; how many messages were shown."""
    stage = set_stage()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    curtain = asyncio.Event()
    story = asyncio.create_task(play(stage.census, load_scenario("demo"), curtain=curtain), name="scenario")
    try:
        await asyncio.sleep(0)  # the scenario's second 0: the workspace has a past before anyone looks at it
        async with stage.census.serve() as base_url, stage.slack.serve():
            path = directory / "watchlist.yaml"
            path.write_text(
                WATCHLIST.format(
                    database=directory / "demo.db", base_url=base_url, api_url=stage.slack.api_url, events=EVENTS
                )
            )
            watchlist = load_watchlist(path, {"API_KEY": stage.census.api_key, "TOKEN": TOKEN})
            out = console()
            if not as_json:
                _introduce(out, lasts)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.serve(watchlist, stop), name="worker")
                shown = tasks.create_task(_show(out, stage, stop, as_json=as_json), name="show")
                tasks.create_task(_raise_curtain(stage.census, curtain, stop), name="curtain")
                try:
                    async with asyncio.timeout(lasts.total_seconds()):
                        await stop.wait()
                except TimeoutError:
                    stop.set()
            if not as_json:
                out.print(f"End of the simulation: {shown.result()} messages.", style="dim")
            return shown.result()
    finally:
        story.cancel()
        await asyncio.gather(story, return_exceptions=True)


async def _raise_curtain(census: CensusSimulator, curtain: asyncio.Event, stop: asyncio.Event) -> None:
    """Once the worker has looked at each sync: what happened before that would be no news to it."""
    unseen = {f"/syncs/{sync['id']}/sync_runs" for sync in census.syncs()}
    # The simulator records what it was asked, but tells nobody.
    while unseen - {request.path for request in census.requests} and not stop.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    curtain.set()


def _introduce(out: Console, lasts: timedelta) -> None:
    out.rule("SIMULATION")
    out.print(
        "Census and Slack are simulated on this machine; the worker between them is the real one.\n"
        f"It ends after {lasts.total_seconds():g} s, or with Ctrl-C. This is what the channels show:\n",
        style="dim",
    )


async def _show(out: Console, stage: Stage, stop: asyncio.Event, *, as_json: bool) -> int:
    shown = 0
    while not stop.is_set():
        try:
            async with asyncio.timeout(0.5):
                messages = await stage.slack.wait_for(shown + 1, timeout=60)
        except TimeoutError:
            continue
        for message in messages[shown:]:
            _show_one(out, stage, message, as_json=as_json)
            shown += 1
    return shown


def _show_one(out: Console, stage: Stage, message: SlackMessage, *, as_json: bool) -> None:
    channel = stage.channels[message.channel]
    if as_json:
        document = {"channel": channel, "text": message.text, "blocks": message.blocks, "metadata": message.metadata}
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        out.print(drawn(channel, message.text, message.blocks, datetime.now(UTC)))
