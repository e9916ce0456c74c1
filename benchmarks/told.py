"""From seen to told: from the API's answer that shows a change to the receiver's request, for an idle worker.

The database is a file, with `synchronous=FULL` as always. Slack's receivers post to channels of their own, each paced
at one message a second as ever; what is measured is a message that need not wait for the one before. A webhook has to
wait for one commit, Slack for two: beside them stands how long the disk took, at the same time, for one by itself.
"""

import os
import time
from pathlib import Path

from benchmarks.processes import Workspace, wait_until, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure, percentile

CHANNELS = 4
APART = 0.3  # seconds between two changes
LISTEN = "watches:\n{watches}receivers:\n{receivers}routes:\n{routes}"


def measure(scene: Scene) -> list[Figure]:
    changes = scene.size(100, 8)
    of_disk: list[float] = []
    with scene.api.workspace("told", 2 * CHANNELS) as workspace:
        with worker(
            scene.directory / "worker", workspace, poll_interval="100ms", rate=1_000, rest=_receivers(workspace)
        ):
            workspace.wait_for("polls", 10 * CHANNELS)
            for number in range(2 * changes):
                workspace.tell("add_runs", [number % (2 * CHANNELS) + 1])
                time.sleep(APART / 2)
                of_disk.append(1_000 * _sync(scene.directory / "beside"))
                time.sleep(APART / 2)
            wait_until(lambda: len(workspace.seen()["told"]) >= 2 * changes, 60)
        seen = workspace.seen()
    took: dict[bool, list[float]] = {True: [], False: []}
    for run, at in seen["changed"].items():
        sync_id = int(run) // 1_000 % 100_000
        took[sync_id % 2 == 0].append(1_000 * (seen["told"][run] - at))
    return [_figure("Slack", took[True], of_disk), _figure("webhook", took[False], of_disk)]


def _sync(path: Path) -> float:
    """Seconds that a page takes to the disk."""
    with path.open("ab") as file:
        file.write(bytes(4096))
        file.flush()
        begun = time.monotonic()
        os.fsync(file)
        return time.monotonic() - begun


def _receivers(workspace: Workspace) -> str:
    """Syncs with odd IDs go to the webhook, each of the others to a channel of its own."""
    watches = "".join(
        f"  - {{sync: {sync_id}, labels: {{to: '{sync_id}'}}}}\n" for sync_id in range(1, 2 * CHANNELS + 1)
    )
    receivers = f"  hook: {{type: webhook, url: '{workspace.hook}', secret: whsec_{'MDEy' * 11}}}\n"
    routes = "  - {events: [sync_run.*], syncs: [1, 3, 5, 7], receivers: [hook]}\n"
    for sync_id in range(2, 2 * CHANNELS + 1, 2):
        token = f"xoxb-benchmark-token-{sync_id}"
        place = f"channel: C012345678{sync_id}, api_url: '{workspace.slack}'"
        receivers += f"  channel{sync_id}: {{type: slack, token: {token}, {place}}}\n"
        routes += f"  - {{events: [sync_run.*], syncs: [{sync_id}], receivers: [channel{sync_id}]}}\n"
    return LISTEN.format(watches=watches, receivers=receivers, routes=routes)


def _figure(receiver: str, took: list[float], of_disk: list[float]) -> Figure:
    disk = f"{percentile(of_disk, 50):.1f}, {percentile(of_disk, 99):.1f} ms"
    middle, late = percentile(took, 50), percentile(took, 99)
    return Figure(
        f"seen to delivered, {receiver}",
        f"p50 {middle:.1f} ms, p99 {late:.1f} ms of {len(took)} (the disk alone {disk})",
        "p50 10 ms, p99 30 ms",
        middle <= 10 and late <= 30,
    )
