"""What a workspace at rest costs: requests, CPU and memory of the worker's process, over a minute.

    python benchmarks/rest.py --syncs 1000 --rate 50 --seconds 60

The simulator runs in this process, the worker in its own, over loopback. Nothing is asserted: figures for a person.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from notifier.simulator import SimulatorThread

COMMAND = Path(sys.executable).with_name("notifier")


def main() -> None:
    options = _options()
    with SimulatorThread() as simulator, tempfile.TemporaryDirectory() as directory:
        simulator.simulator.record_requests = False
        simulator.call(_populate, simulator, options.syncs)
        (Path(directory) / "watchlist.yaml").write_text(
            f"""version: 1
workspaces:
  bench:
    api_key: ${{API_KEY}}
    base_url: {simulator.base_url}
    max_requests_per_second: {options.rate}
watches:
  - syncs: all
receivers:
  hook: {{type: webhook, url: "{simulator.sink_url}/hook"}}
"""
        )
        environment = {"PATH": os.environ["PATH"], "API_KEY": simulator.api_key}
        worker = subprocess.Popen([COMMAND, "run", "--log-level", "warning"], cwd=directory, env=environment)
        try:
            _measure(simulator, psutil.Process(worker.pid), options)
        finally:
            worker.terminate()
            worker.wait(15)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--syncs", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=50, help="max_requests_per_second")
    parser.add_argument("--seconds", type=int, default=60)
    return parser.parse_args()


def _populate(simulator: SimulatorThread, syncs: int) -> None:
    for _ in range(syncs):
        sync_id = simulator.simulator.add_sync()["id"]
        for _ in range(5):
            simulator.simulator.add_run(sync_id, status="completed")


def _measure(simulator: SimulatorThread, worker: psutil.Process, options: argparse.Namespace) -> None:
    first_round = options.syncs + -(-options.syncs // 100)  # one list each, and the pages of the listing
    begun = time.monotonic()
    while simulator.request_count < first_round:
        time.sleep(0.1)
    print(f"first round: {first_round} requests in {time.monotonic() - begun:.1f} s (CPU {_cpu(worker):.2f} s)")
    requests, connections, cpu = simulator.request_count, simulator.connections, _cpu(worker)
    time.sleep(options.seconds)
    requests, connections = simulator.request_count - requests, simulator.connections - connections
    cpu = _cpu(worker) - cpu
    peak = _peak_memory(worker.pid)
    print(
        f"{options.syncs} syncs at rest for {options.seconds} s, "
        f"poll_interval 60 s, at most {options.rate:g} requests/s"
    )
    print(f"  requests sent      {requests}")
    print(f"  new connections    {connections}")
    print(f"  CPU of the worker  {cpu:.2f} s ({1e6 * cpu / max(requests, 1):.0f} us a request)")
    print(f"  peak memory (RSS)  {peak / 1e6:.0f} MB")


def _cpu(worker: psutil.Process) -> float:
    times = worker.cpu_times()
    return float(times.user + times.system)


def _peak_memory(pid: int) -> int:
    """VmHWM of Linux' /proc, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc")


if __name__ == "__main__":
    main()
