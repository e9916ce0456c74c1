"""What can be seen of the worker from outside, beside what the commands show: its log, its memory, what it sent."""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faults.row import fail, must
from notifier.simulator import ReceivedWebhook
from tests.acceptance.forked import Forked
from tests.acceptance.workplace import Workplace

HEAD = """version: 1
database: sqlite:///n.db
delivery: {first_retry: 200ms, longest_retry: 1s}
checks: {failing: false, rejected_records: false, unreachable: false, reminders: false}
"""


def write(workplace: Workplace, watchlist: str) -> None:
    """Another watchlist than `write_watchlist` makes."""
    (workplace.directory / "watchlist.yaml").write_text(watchlist)


def by_turns(api: str, number: int) -> str:
    """A workspace's address and key below this one: of version 1 where the number is even, else of version 2."""
    if number % 2:
        return f"base_url: '{api}/v2', token: '${{ACTIVATIONS_TOKEN}}', group: wandering_aimlessly"
    return f"base_url: '{api}/v1', api_key: '${{API_KEY}}'"


def runs_told(webhooks: Iterable[ReceivedWebhook]) -> list[int]:
    """The runs of the events that were accepted, as often as they were, an event that came again once."""
    seen: dict[str, int] = {}
    for webhook in webhooks:
        if webhook.accepted:
            # Not by a library: the body is judged, not trusted.
            seen[webhook.headers["webhook-id"]] = json.loads(webhook.body)["data"]["sync_run"]["id"]
    return list(seen.values())


def peak_memory(workplace: Workplace) -> int:
    """The most bytes that the worker's process has had in memory."""
    status = Path(f"/proc/{running(workplace).pid}/status").read_text()
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak) * 1024


def running(workplace: Workplace) -> subprocess.Popen[bytes] | Forked:
    """The worker's process, which lives."""
    if workplace.worker is None or workplace.worker.poll() is not None:
        fail(f"the worker is dead; its log ends so:\n{workplace.log.read_text()[-4000:]}")
    return workplace.worker


def must_be_sound(workplace: Workplace) -> list[dict[str, Any]]:
    """The log, which tells of no fault of the notifier's."""
    logged = workplace.logged()
    faults = [line for line in logged if "fault of the notifier" in line["event"] or "exception" in line]
    must(not faults, f"the log tells of faults of the notifier: {faults[:3]}")
    return logged


def must_stop(workplace: Workplace) -> None:
    """SIGTERM ends the worker with 0, and its log is sound."""
    running(workplace)
    code = workplace.stop()
    must(code == 0, f"the worker ended with {code}")
    must_be_sound(workplace)
