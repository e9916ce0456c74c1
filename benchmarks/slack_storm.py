"""A storm: many syncs fail at once into one Slack channel, recover at once, and do both before anyone could be told.

    .venv/bin/python benchmarks/slack_storm.py [SYNCS]

The worker is the real one, with an empty database in a new directory. Census and Slack are simulated on this machine,
and Slack enforces its pace: one message a second a channel, fifty edits in any minute. Prints how long it takes until
the channel is true again and all is told, and what that cost. 200 syncs take about fifteen minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from notifier.simulator import SimulatorThread, SlackMessage

NOTIFIER = Path(sys.executable).with_name("notifier")
WATCHLIST = """\
version: 1
database: sqlite:///storm.db
workspaces:
  production:
    api_key: {api_key}
    base_url: {base_url}
    poll_interval: 2s
    active_poll_interval: 1s
    max_requests_per_second: 500
watches: [{{syncs: all}}]
receivers: {{channel: {{type: slack, token: xoxb-simulated, channel: {channel}, api_url: "{api_url}"}}}}
routes: [{{events: [incident.*], receivers: [channel]}}]
"""


class Storm:
    """A simulated workspace with healthy syncs, and the channel that hears of them."""

    def __init__(self, simulator: SimulatorThread, syncs: int, directory: str) -> None:
        self.simulator = simulator
        self.directory = directory
        self.syncs = range(1, syncs + 1)
        self.channel = simulator.slack.add_channel("data-syncs")
        simulator.slack.enforce_pace = True
        for number in self.syncs:
            simulator.add_sync(id=number, label=f"Sync {number}")

    def watchlist(self) -> str:
        simulator = self.simulator
        return WATCHLIST.format(
            api_key=simulator.api_key,
            base_url=simulator.base_url,
            channel=self.channel,
            api_url=simulator.slack.api_url,
        )

    def wait_for_baseline(self) -> None:
        while sum(request.path.endswith("/sync_runs") for request in self.simulator.requests) < 2 * len(self.syncs):
            time.sleep(0.2)

    def every_sync(self, status: str) -> None:
        error_code = "WAREHOUSE_DOWN" if status == "failed" else None
        for number in self.syncs:
            self.simulator.add_run(number, status=status, error_code=error_code)

    def roots(self) -> list[SlackMessage]:
        return [message for message in self.simulator.slack.messages(self.channel) if message.thread_ts is None]

    def is_told(self) -> bool:
        status = subprocess.run([NOTIFIER, "status", "--json"], cwd=self.directory, capture_output=True, check=True)
        return all(receiver["pending"] == 0 for receiver in json.loads(status.stdout)["receivers"])

    def report(self, title: str, act: Callable[[], None], *, messages: int, said: str) -> None:
        """Acts, and waits until so many messages say so and nothing is left to send."""
        began, asked = time.monotonic(), len(self.simulator.slack.requests)
        act()

        def is_true() -> bool:
            roots = self.roots()
            return len(roots) == messages and all(said in message.text for message in roots)

        while not is_true():
            time.sleep(0.5)
        true_after = time.monotonic() - began
        while not self.is_told():
            time.sleep(1)
        sent = Counter(f"{r.method} {r.status}" for r in self.simulator.slack.requests[asked:])
        requests = ", ".join(f"{count} x {what}" for what, count in sorted(sent.items()))
        told_after = time.monotonic() - began
        print(f"{title}: true after {true_after:.0f} s, told after {told_after:.0f} s; {requests}", flush=True)

    def rages_and_calms_down(self) -> None:
        for status in ("failed", "failed", "completed"):
            self.every_sync(status)
            time.sleep(5)


def main(syncs: int) -> None:
    with SimulatorThread() as simulator, tempfile.TemporaryDirectory() as directory:
        storm = Storm(simulator, syncs, directory)
        Path(directory, "watchlist.yaml").write_text(storm.watchlist())
        with Path(directory, "log").open("w") as log:
            worker = subprocess.Popen([NOTIFIER, "run"], cwd=directory, env={"PATH": os.environ["PATH"]}, stderr=log)
        try:
            storm.wait_for_baseline()
            storm.report(
                f"{syncs} syncs fail at once",
                lambda: storm.every_sync("failed"),
                messages=syncs,
                said="is failing",
            )
            storm.report(
                f"{syncs} syncs recover at once",
                lambda: storm.every_sync("completed"),
                messages=syncs,
                said="recovered",
            )
            storm.report(
                f"{syncs} syncs fail twice and recover within 15 s",
                storm.rages_and_calms_down,
                messages=2 * syncs,
                said="recovered",
            )
        finally:
            worker.terminate()
            worker.wait(timeout=15)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
