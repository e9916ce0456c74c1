"""`make demo-replicas`: three workers at one PostgreSQL tell a story, one of them is killed, and it goes on.

As `notifier demo`, but with workers that are processes of their own. It talks to this machine only, and ends by itself.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from notifier.cli.demo.channel_view import ChannelView
from notifier.cli.demo.stage import EVENTS, TOKEN, WATCHLIST, Stage, set_stage
from notifier.cli.terminal import console
from notifier.simulator import load_scenario, play
from notifier.store.migrate import migrate
from notifier.store.views.status import ReplicaView, read_status
from notifier.watchlist.database import ServerUrl
from tests.postgres.programs import REMEDY, programs
from tests.postgres.server import own_server

NAMES: Final = ("worker-1", "worker-2", "worker-3")
SPEED: Final = 0.5  # of the demo's story: half a minute of it, over the time that a replica takes to be replaced
KILLED_AFTER: Final = 8.0  # seconds of the story
LASTS: Final = 50.0  # seconds, from the moment that all have taken their places
PATIENCE: Final = 60.0
WATCHING: Final = "workspace:demo"


class Workers:
    """The three processes, by their names."""

    def __init__(self, directory: Path, url: str, api_token: str) -> None:
        self._directory = directory
        self._env = {**os.environ, "DATABASE_URL": url, "ACTIVATIONS_TOKEN": api_token, "TOKEN": TOKEN}
        self.place = ServerUrl(url)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "notifier", "run", "--config", str(self._directory / "watchlist.yaml")]
        with (self._directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, env={**self._env, "NOTIFIER_REPLICA": name}, stderr=log)

    def kill(self, name: str) -> None:
        self._running[name].kill()
        self._running.pop(name).wait()

    async def replicas(self) -> tuple[ReplicaView, ...]:
        return (await asyncio.to_thread(read_status, self.place, ())).replicas

    async def owner(self, part: str, *, other_than: str | None = None) -> str:
        """The name of the one that has a part, once there is one."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for replica in await self.replicas():
                    if part in replica.parts and replica.name != other_than:
                        return replica.name
                await asyncio.sleep(0.2)

    async def shares(self) -> str:
        """Who has what, in words."""
        return "; ".join(f"{each.name}: {', '.join(each.parts) or 'nothing'}" for each in await self.replicas())

    async def until_all_there(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(await self.replicas()) < len(NAMES):
                await asyncio.sleep(0.2)

    def end(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            process.wait()


@contextmanager
def three_workers(directory: Path, url: str, stage: Stage, base_url: str) -> Iterator[Workers]:
    """Started, and ended with SIGTERM."""
    document = WATCHLIST.replace("sqlite:///{database}", "${{DATABASE_URL}}")
    watchlist = document.format(base_url=base_url, api_url=stage.slack.api_url, events=EVENTS)
    (directory / "watchlist.yaml").write_text(watchlist)
    workers = Workers(directory, url, stage.census.token)
    try:
        for name in NAMES:
            workers.start(name)
        yield workers
    finally:
        workers.end()


async def play_replicas(directory: Path, url: str) -> int:
    """Plays it; how many messages were shown."""
    out, stage, curtain = console(), set_stage(), asyncio.Event()
    out.rule("THREE WORKERS, ONE POSTGRESQL")
    out.print("Census and Slack are simulated on this machine; PostgreSQL and the workers are real.", style="dim")
    story = asyncio.create_task(play(stage.census, load_scenario("demo"), speed=SPEED, curtain=curtain), name="story")
    await asyncio.sleep(0)
    async with stage.census.serve() as base_url, stage.slack.serve():
        with three_workers(directory, url, stage, base_url) as workers:
            await workers.until_all_there()
            await _until_all_polled(stage)
            first = await workers.owner(WATCHING)
            out.print(f"{await workers.shares()}.\n", style="bold")
            view = ChannelView(out, stage.slack, stage.channels, as_json=False)
            showing = asyncio.create_task(view.follow(timedelta(seconds=LASTS + PATIENCE)), name="view")
            curtain.set()
            try:
                await _kill_one(workers, first)
                await asyncio.sleep(LASTS - KILLED_AFTER)
            finally:
                showing.cancel()
                story.cancel()
                await asyncio.gather(showing, story, return_exceptions=True)
            view.look()
            out.print(f"End of the simulation: {view.summary}.", style="dim")
            return view.shown.total()


async def _kill_one(workers: Workers, first: str) -> None:
    out, now = console(), asyncio.get_running_loop().time
    await asyncio.sleep(KILLED_AFTER)
    killed_at = now()
    workers.kill(first)
    out.print(f"\n{first} was killed (kill -9).\n", style="bold red")
    second = await workers.owner(WATCHING, other_than=first)
    out.print(f"\n{second} watches now, {now() - killed_at:.1f} seconds later.\n", style="bold green")
    workers.start(first)


async def _until_all_polled(stage: Stage) -> None:
    unseen = {f"/syncs/{sync['id']}/sync_runs" for sync in stage.census.syncs()}
    async with asyncio.timeout(PATIENCE):
        while unseen - {request.path for request in stage.census.requests}:
            await asyncio.sleep(0.05)


def main() -> int:
    """0 when the channels got what happened."""
    if programs() is None:
        print(REMEDY, file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="notifier-replicas.") as directory,
        own_server() as server,
        server.database() as url,
    ):
        migrate(ServerUrl(url))
        return 0 if asyncio.run(play_replicas(Path(directory), url)) else 1


if __name__ == "__main__":
    sys.exit(main())
