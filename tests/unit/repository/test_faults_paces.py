"""What the fault suite says of paces: a budget that is exceeded, messages too close, a workspace that nobody asks."""

from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from faults.paces import fullest, longest_gap, must_keep_slacks_pace, must_keep_the_budget
from faults.row import Failed
from notifier.simulator import SlackRequest


def test_a_burst_and_then_what_leaks_away_keep_the_budget() -> None:
    times = [10.0] * 5 + [10 + n / 5 for n in range(1, 50)]
    assert fullest(times, 5) == pytest.approx(5)
    assert must_keep_the_budget({"amber": times, "birch": []}, 5, 0.1) == "5.0 of 5"


def test_two_bursts_within_a_second_exceed_it() -> None:
    times = [10.0] * 5 + [10.6] * 5
    assert fullest(times, 5) == pytest.approx(7)
    with pytest.raises(Failed, match=r"birch may be asked 5 times a second, .* and was 7\.0"):
        must_keep_the_budget({"amber": [], "birch": times}, 5, 1.5)
    assert must_keep_the_budget({"birch": [10.0] * 5 + [11.0] * 5}, 5, 0.1) == "5.0 of 5"


def test_twice_as_often_for_long_exceeds_it_though_no_second_has_more_than_a_burst() -> None:
    assert fullest([n / 10 for n in range(50)], 5) > 20


def asked(at: float, **other: Any) -> SlackRequest:
    given: Mapping[str, Any] = {"method": "chat.postMessage", "channel": "C1", "arguments": {}, "answer": "ok", **other}
    return SlackRequest(at=at, headers=CIMultiDictProxy(CIMultiDict()), **given)


def test_slack_is_asked_once_a_second_and_channel() -> None:
    well = [
        asked(1),
        asked(1.5, channel="C2"),
        asked(1.6, method="conversations.history"),
        asked(2),
        asked(2.5, channel="C2"),
    ]
    edits = [asked(3, method="chat.update"), asked(4.25, method="chat.update", channel="C2")]
    assert must_keep_slacks_pace([*well, *edits]) == "1.000 s between two messages, 1.250 s between two edits"
    with pytest.raises(Failed, match=r"two messages to a channel within 0\.700 s"):
        must_keep_slacks_pace([*well, asked(2.7)])
    with pytest.raises(Failed, match=r"two edits within 1\.000 s"):
        must_keep_slacks_pace([*edits, asked(5.25, method="chat.update")])
    with pytest.raises(Failed, match="Slack was asked too often, 1 times"):
        must_keep_slacks_pace([*well, asked(9, answer="ratelimited")])


@pytest.mark.parametrize(
    ("times", "gap"),
    [([1, 2, 2.5, 9, 11], 6.5), ([], 0), ([0, 4, 11], 7), ([-4, 1, 3, 9, 20], 11), ([-5, 1, 2, 5, 10, 30], 5)],
)
def test_a_gap_is_looked_for_that_has_something_of_a_time_in_it(times: list[float], gap: float) -> None:
    assert longest_gap(times, 1, 10) == gap
