"""The demo's stage: on loopback, a simulated Census API, the real worker, and a simulated Slack whose channels are
shown."""

import asyncio
import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from notifier.cli.demo.channel_view import ChannelView
from notifier.cli.terminal import console
from notifier.model.errors import OutputUnwritable, ReaderGone
from notifier.service import run as service
from notifier.simulator import CensusSimulator, SlackSimulator, load_scenario, play
from notifier.watchlist.models import Watchlist
from notifier.watchlist.reading.load import load_watchlist

TOKEN: Final = "xoxb-simulated"  # noqa: S105 - the simulator's
_CURTAIN_CALL: Final = timedelta(minutes=1)  # the worker takes less to end
WATCHLIST: Final = """\
version: 1
database: sqlite:///{database}
workspaces:
  demo:
    token: ${{ACTIVATIONS_TOKEN}}
    base_url: {base_url}
    poll_interval: 1s
    active_poll_interval: 500ms
watches:
  - syncs: all
    labels: {{team: data}}
  - sync: 52
    labels: {{team: growth}}
checks:
  slow_run: {{after: 6s}}
  reminders: {{first: 14s, longest: 1m}}
receivers:
  growth: {{type: slack, token: "${{TOKEN}}", channel: "#growth", api_url: "{api_url}", mentions: ["@here"]}}
  data: {{type: slack, token: "${{TOKEN}}", channel: "#data-syncs", api_url: "{api_url}"}}
routes:
  - labels: {{team: growth}}
    events: {events}
    receivers: [growth]
  - labels: {{team: data}}
    events: {events}
    receivers: [data]
"""
EVENTS: Final = "[incident.*, sync_run.canceled, sync_run.skipped, sync_run.status_changed, sync.*]"


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
    census = CensusSimulator(versions="v2")
    census.announce_runs()
    return Stage(census, slack, channels)


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
            watchlist = load_watchlist(path, {"ACTIVATIONS_TOKEN": stage.census.token, "TOKEN": TOKEN})
            out = console()
            view = ChannelView(out, stage.slack, stage.channels, as_json=as_json)
            if not as_json:
                _introduce(out, lasts)
            await _perform(watchlist, stage, view, curtain, stop, lasts)
            if not as_json:
                out.print(f"End of the simulation: {view.summary}.", style="dim")
            return view.shown.total()
    finally:
        story.cancel()
        await asyncio.gather(story, return_exceptions=True)


async def _perform(
    watchlist: Watchlist,
    stage: Stage,
    view: ChannelView,
    curtain: asyncio.Event,
    stop: asyncio.Event,
    lasts: timedelta,
) -> None:
    """The worker's part, before spectators, to its end. Raises what ends a command whose output is not taken."""
    left: ReaderGone | OutputUnwritable | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(view.follow(lasts + _CURTAIN_CALL), name="view")
            worker = tasks.create_task(service.serve(watchlist, stop), name="worker")
            worker.add_done_callback(lambda _: following.cancel())
            tasks.create_task(_raise_curtain(stage.census, curtain, stop), name="curtain")
            try:
                async with asyncio.timeout(lasts.total_seconds()):
                    await stop.wait()
            except TimeoutError:
                stop.set()
    except* (ReaderGone, OutputUnwritable) as errors:
        (left,) = (error for error in errors.exceptions if isinstance(error, ReaderGone | OutputUnwritable))
    if left is not None:
        raise left
    view.look()


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
        "Census and Slack are simulated on this machine; the worker between is real.\n"
        "Each problem has one message, which is edited; the thread under it says more.\n"
        f"It ends after {lasts.total_seconds():g} s, or with Ctrl-C. This is what the channels show:\n",
        style="dim",
    )
