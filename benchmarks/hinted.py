"""A worker that has learned that a workspace's list of syncs announces what changes: it is there within seconds.

It learns on a few syncs that it polls often. What it learned is kept in its database, so that a worker that is started
there with other intervals and all syncs trusts the list from its first reading on.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Final

from benchmarks.processes import NOTIFIER, Workspace, wait_until, worker

FEW: Final = 60  # syncs; fifty changes must have been announced


def learn(directory: Path, workspace: Workspace, syncs: int) -> None:
    """Makes changes until the list is trusted. Raises TimeoutError."""
    few = list(range(1, min(FEW, syncs) + 1))
    watches = "".join(f"  - sync: {sync_id}\n" for sync_id in few)
    rest = f"watches:\n{watches}receivers: {{hook: {{type: webhook, url: '{workspace.hook}'}}}}\n"
    with worker(directory, workspace, poll_interval="500ms", active_poll_interval="500ms", rest=rest):
        workspace.wait_for("polls", 4 * len(few))

        def is_trusted() -> bool:
            workspace.tell("add_runs", few)
            time.sleep(1)  # each has been polled since
            return trust(directory) == "trusted"

        wait_until(is_trusted, 60)


def know(directory: Path, workspace: Workspace, syncs: int) -> None:
    """Polls every sync once, so that what happens from then on is news."""
    polls = workspace.count("polls")
    with worker(directory, workspace):
        workspace.wait_for("polls", polls + syncs)


def trust(directory: Path) -> str:
    """What `notifier status` says of the list of syncs: off, learning or trusted."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    said = subprocess.run(
        [NOTIFIER, "status", "--json"], cwd=directory, env=environment, capture_output=True, check=False
    )
    if not said.stdout:  # the worker has yet to make its database
        return ""
    return str(json.loads(said.stdout)["workspaces"][0]["hints"])
