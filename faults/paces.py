"""How often who was asked, judged where the requests arrive: a workspace's budget, Slack's pace, and how long nobody
asked."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from faults.row import must
from notifier.simulator import SlackRequest

BETWEEN_MESSAGES: Final = 1.0
"""Seconds between two messages to a channel (interface, section 8)."""
BETWEEN_EDITS: Final = 1.2
"""Seconds between two edits by one token."""
POST: Final = "chat.postMessage"
EDIT: Final = "chat.update"


def fullest(times: Iterable[float], rate: float) -> float:
    """How full a bucket was at most into which each request falls, and which loses `rate` a second.

    It is never fuller than `rate` where there are never more in a second than that, beyond one burst of that size."""
    level = most = last = 0.0
    for at in times:
        level = max(0.0, level - (at - last) * rate) + 1
        most, last = max(most, level), at
    return most


def must_keep_the_budget(asked: Mapping[str, Sequence[float]], rate: float, tolerance: float) -> str:
    """By workspace, when it was asked, by whomever. How full the fullest bucket was; `tolerance` is for requests that
    bunched on their way."""
    most = {name: fullest(times, rate) for name, times in asked.items()}
    worst = max(most, key=lambda name: most[name])
    must(
        most[worst] <= rate + tolerance,
        f"{worst} may be asked {rate:g} times a second, beyond one burst of that size, and was {most[worst]:.1f}",
    )
    return f"{most[worst]:.1f} of {rate:g}"


def must_keep_slacks_pace(requests: Sequence[SlackRequest]) -> str:
    """No message to a channel comes within a second of another, and no edit within 1.2 s. The shortest times."""
    refused = [request for request in requests if request.answer == "ratelimited"]
    must(not refused, f"Slack was asked too often, {len(refused)} times")
    posts = {request.channel for request in requests if request.method == POST}
    to_channels = [[each.at for each in requests if (each.method, each.channel) == (POST, to)] for to in posts]
    least_posts = min((shortest(times) for times in to_channels), default=float("inf"))
    least_edits = shortest([request.at for request in requests if request.method == EDIT])
    must(least_posts >= BETWEEN_MESSAGES, f"two messages to a channel within {least_posts:.3f} s")
    must(least_edits >= BETWEEN_EDITS, f"two edits within {least_edits:.3f} s")
    return f"{least_posts:.3f} s between two messages, {least_edits:.3f} s between two edits"


def shortest(times: Sequence[float]) -> float:
    """The shortest time between two of these."""
    return min((after - before for before, after in pairwise(times)), default=float("inf"))


def longest_gap(times: Iterable[float], begin: float, end: float) -> float:
    """The longest time between two of these, of which the later came after `begin` and the earlier before `end`."""
    near = (after - before for before, after in pairwise(times) if after > begin and before < end)
    return max(near, default=0.0)
