"""What can be seen of the worker from outside, beside what the commands show: its log, its memory, what it sent."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faults.row import fail, must
from notifier.simulator import ReceivedWebhook
from tests.acceptance.workplace import Workplace

HEAD = """version: 1
database: sqlite:///n.db
delivery: {first_retry: 200ms, longest_retry: 1s}
checks: {failing: false, rejected_records: false, unreachable: false, reminders: false}
"""


def write(workplace: Workplace, watchlist: str) -> None:
    """Another watchlist than `write_watchlist` makes."""
    (workplace.directory / "watchlist.yaml").write_text(watchlist)


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
    assert workplace.worker is not None
    for line in Path(f"/proc/{workplace.worker.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    fail("the worker's peak of memory is not known")


def must_be_sound(workplace: Workplace) -> list[dict[str, Any]]:
    """The log, which tells of no fault of the notifier's."""
    logged = workplace.logged()
    faults = [line for line in logged if "fault of the notifier" in line["event"] or "exception" in line]
    must(not faults, f"the log tells of faults of the notifier: {faults[:3]}")
    return logged


def must_stop(workplace: Workplace) -> None:
    """SIGTERM ends the worker with 0, and its log is sound."""
    assert workplace.worker is not None
    must(workplace.worker.poll() is None, "the worker is dead")
    code = workplace.stop()
    must(code == 0, f"the worker ended with {code}")
    must_be_sound(workplace)
