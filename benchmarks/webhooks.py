"""Census' webhooks at the worker: how soon a change is told, and what a flood costs.

    python benchmarks/webhooks.py                            both
    python benchmarks/webhooks.py soon --changes 200
    python benchmarks/webhooks.py flood --count 10000 --seconds 60

The simulator runs in this process, the worker in its own, over loopback; it polls once a minute. Nothing is asserted:
figures for a person.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from notifier.simulator import SimulatorThread

COMMAND = Path(sys.executable).with_name("notifier")
SECRET = "benchmark-secret"
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Scene:
    """A worker with a server, the simulated Census that it polls, and where it listens."""

    simulator: SimulatorThread
    worker: psutil.Process
    url: str


@contextmanager
def a_scene(syncs: int) -> Iterator[Scene]:
    """A worker that has a baseline of its syncs."""
    with SimulatorThread() as simulator, tempfile.TemporaryDirectory() as directory:
        for _ in range(syncs):
            simulator.add_sync()
        (Path(directory) / "watchlist.yaml").write_text(
            f"""version: 1
workspaces:
  bench:
    api_key: ${{API_KEY}}
    base_url: {simulator.base_url}
    poll_interval: 60s
    active_poll_interval: 60s
    lifecycle_webhook: {{secret: {SECRET}}}
watches:
  - syncs: all
checks: {{failing: false, unreachable: false}}
receivers:
  hook: {{type: webhook, url: "{simulator.sink_url}/hook"}}
server: {{listen: "127.0.0.1:0"}}
"""
        )
        log = Path(directory) / "log"
        environment = {"PATH": os.environ["PATH"], "API_KEY": simulator.api_key}
        with log.open("wb") as stream:
            worker = subprocess.Popen([COMMAND, "run"], cwd=directory, env=environment, stderr=stream)
        try:
            yield Scene(simulator, psutil.Process(worker.pid), _address(log))
        finally:
            worker.terminate()
            worker.wait(15)


def _address(log: Path) -> str:
    while True:
        for line in log.read_text().splitlines():
            if (said := json.loads(line))["event"] == "notifier started":
                return f"http://{said['listen']}/webhooks/census/bench"
        time.sleep(0.05)


def signature(body: bytes) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()


async def soon(scene: Scene, changes: int) -> None:
    """Each change by itself: from the sending of its webhook until the receiver has its message."""
    simulator, sink = scene.simulator, scene.simulator.sink
    sync_ids = [sync["id"] for sync in simulator.call(simulator.simulator.syncs)]
    while len({request.path for request in simulator.requests if request.path.endswith("/sync_runs")}) < len(sync_ids):
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)  # the last baseline is written
    took = []
    async with aiohttp.ClientSession() as session:
        for number in range(1, changes + 1):
            sync_id = sync_ids[number % len(sync_ids)]
            simulator.add_run(sync_id, id=number, status="failed")
            body = json.dumps({"event": "sync.completed", "sync_id": sync_id, "sync_run_id": number}).encode()
            began = time.perf_counter()
            async with session.post(scene.url, data=body, headers={"X-Signature": signature(body)}) as answer:
                assert answer.status == 202, answer.status
            await asyncio.to_thread(sink.wait_for, number, 60)
            took.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(0.12)  # the workspace's budget is 10 requests a second
    cuts = statistics.quantiles(took, n=100)
    print(f"{changes} changes, polled once a minute, each told by a signed webhook, to its message at the receiver:")
    print(f"  p50 {cuts[49]:.1f} ms   p99 {cuts[98]:.1f} ms   longest {max(took):.1f} ms")


async def flood(scene: Scene, count: int, seconds: float, *, signed: bool) -> None:
    """So many webhooks for one run, evenly over so many seconds, from eight connections."""
    simulator = scene.simulator
    sync_id = simulator.call(simulator.simulator.syncs)[0]["id"]
    body = json.dumps({"event": "sync.completed", "sync_id": sync_id, "sync_run_id": 1}).encode()
    headers = {"X-Signature": signature(body) if signed else base64.b64encode(bytes(32)).decode()}
    answers: Counter[int] = Counter()
    slowest = 0.0
    peak = scene.worker.memory_info().rss
    before, cpu = simulator.request_count, sum(scene.worker.cpu_times()[:2])
    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()

        async def one(place: int) -> None:
            nonlocal slowest, peak
            for number in range(place, count, 8):
                await asyncio.sleep(began + seconds * number / count - time.perf_counter())
                sent = time.perf_counter()
                async with session.post(scene.url, data=body, headers=headers) as answer:
                    answers[answer.status] += 1
                slowest = max(slowest, time.perf_counter() - sent)
                if number % 100 == 0:
                    peak = max(peak, scene.worker.memory_info().rss)

        await asyncio.gather(*(one(place) for place in range(8)))
        lasted = time.perf_counter() - began
    asked = simulator.request_count - before
    cpu = sum(scene.worker.cpu_times()[:2]) - cpu
    print(f"{count} webhooks {'for one run' if signed else 'with a bad signature'} in {lasted:.0f} s:")
    print(f"  answers {dict(answers)}, the slowest after {1000 * slowest:.0f} ms")
    print(f"  requests to the API {asked} ({asked / lasted:.1f} a second; the budget is 10)")
    print(f"  peak memory {peak / MEGABYTE:.0f} MB, CPU {cpu:.1f} s ({1e6 * cpu / count:.0f} µs a webhook)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["soon", "flood", "both"], default="both")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with a_scene(20) as scene:
        if options.what != "flood":
            asyncio.run(soon(scene, options.changes))
        if options.what != "soon":
            for signed in (False, True):
                asyncio.run(flood(scene, options.count, options.seconds, signed=signed))


if __name__ == "__main__":
    main()
