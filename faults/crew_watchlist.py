"""The watchlist of several workers: several workspaces, two webhooks, and Slack."""

from collections.abc import Sequence
from typing import Final

from faults.account import three
from faults.seen import write
from faults.workspaces import Workspaces
from notifier.simulator.slack.workspace import DEFAULT_TOKEN
from tests.acceptance.workplace import NO_CHECKS, Workplace

LIVING: Final = "living"
"""The receiver whose messages are edited as what they tell of goes on."""


def write_for_crew(workplace: Workplace, simulator: Workspaces, rate: float, living: Sequence[int]) -> None:
    """All syncs of all workspaces are watched; `rate`: how often a second each workspace may be asked."""
    receivers, routes = three(workplace, simulator)
    if living:
        slack, channel = simulator.slack, simulator.slack.add_channel(LIVING)
        receivers += (
            f"\n  {LIVING}: {{type: slack, token: {DEFAULT_TOKEN}, channel: {channel}, api_url: '{slack.api_url}'}}"
        )
        routes = (*routes, f"  - {{syncs: [{', '.join(map(str, living))}], receivers: [{LIVING}]}}")
    budget = f"poll_interval: 1s, active_poll_interval: 200ms, max_requests_per_second: {rate:g}"
    spaces = [
        f"  {name}: {{api_key: '${{API_KEY}}', base_url: '{each.base_url}', {budget}}}"
        for name, each in simulator.each.items()
    ]
    lines = ["version: 1", f"database: {workplace.database}", "delivery: {first_retry: 200ms, longest_retry: 1s}"]
    lines += [f"checks: {NO_CHECKS}", "workspaces:", *spaces, "watches:"]
    lines += [f"  - {{workspace: {name}, syncs: all}}" for name in simulator.each]
    write(workplace, "\n".join([*lines, "receivers:", f"  {receivers}", "routes:", *routes, ""]))
