"""How long something gave no usable answer, and what time an API's answers tell."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from notifier.watching.api_clock import AGREEING, ApiClock, ApiTime
from notifier.watching.silence import Silence

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clocks:
    """Ours and the loop's, which a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ours = NOW
        self.loop = 5.0  # as soon after a machine's start as may be
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.loop)

    def pass_(self, seconds: float) -> None:
        self.ours += timedelta(seconds=seconds)
        self.loop += seconds

    def silence(self, remembered: datetime | None = None) -> Silence:
        return Silence(lambda: self.ours, remembered)

    def api_clock(self) -> ApiClock:
        return ApiClock("production", lambda: self.ours)


@pytest.mark.asyncio
async def test_it_lasts_from_the_beginning_of_the_first_request_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    silence = clocks.silence()
    assert [silence.lasted, silence.since] == [None, None]
    clocks.pass_(30)
    silence.fails(begun=clocks.loop - 20)
    assert [silence.lasted, silence.since] == [timedelta(seconds=20), NOW + timedelta(seconds=10)]
    clocks.pass_(5)
    silence.fails(begun=clocks.loop)
    assert silence.lasted == timedelta(seconds=25)
    silence.ends()
    assert [silence.lasted, silence.since] == [None, None]


@pytest.mark.asyncio
async def test_our_clock_moves_it_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    silence = clocks.silence()
    silence.fails()
    clocks.ours += timedelta(days=9)
    assert silence.lasted == timedelta(0)
    clocks.pass_(60)
    assert silence.lasted == MINUTE


@pytest.mark.asyncio
async def test_what_is_remembered_counts_once_a_request_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    silence = clocks.silence(NOW - 40 * MINUTE)
    assert silence.lasted is None
    silence.fails()
    assert [silence.lasted, silence.since] == [40 * MINUTE, NOW - 40 * MINUTE]
    silence.ends()
    silence.fails()
    assert silence.lasted == timedelta(0)
    of_another_clock = clocks.silence(NOW + MINUTE)
    of_another_clock.fails()
    assert of_another_clock.lasted == timedelta(0)


@pytest.mark.asyncio
async def test_time_in_which_nobody_could_ask_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    silence = clocks.silence(NOW - 10 * MINUTE)
    silence.fails()
    silence.begins_no_earlier_than(clocks.loop - 120)
    assert [silence.lasted, silence.since] == [2 * MINUTE, NOW - 2 * MINUTE]
    silence.begins_no_earlier_than(float("-inf"))
    assert silence.lasted == 2 * MINUTE
    clocks.pass_(3600)
    silence.was_not_seen_for(3600)
    assert silence.lasted == 2 * MINUTE
    clocks.silence().was_not_seen_for(9)


@pytest.mark.asyncio
async def test_the_api_tells_the_time_and_between_answers_the_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    clock = clocks.api_clock()
    assert clock.now() == NOW, "ours, until an answer has told it"
    api = NOW + timedelta(days=3)
    assert clock.read(api).now == api
    clocks.ours -= timedelta(days=30)
    clocks.loop += 60
    assert clock.now() == api + MINUTE
    assert clock.read(None).now == api + MINUTE
    assert clock.read(api + 2 * MINUTE).now == api + 2 * MINUTE, "near the last one, though our clock is elsewhere"


@pytest.mark.parametrize("days", [8, 400, -8, -9000])
@pytest.mark.asyncio
async def test_a_date_that_is_far_from_both_clocks_is_none(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    clocks = Clocks(monkeypatch)
    clock = clocks.api_clock()
    wrong = NOW + timedelta(days=days)
    assert clock.read(wrong).now == min(wrong, NOW), "there is no last one yet: the earlier one makes nobody late"
    assert clock.read(NOW + MINUTE).now == NOW + MINUTE
    assert [clock.read(wrong).now, clock.read(wrong).now] == [NOW + MINUTE, NOW + MINUTE]
    assert clock.read(NOW + timedelta(days=6)).now == NOW + timedelta(days=6), "a week is not far"


@pytest.mark.asyncio
async def test_nothing_is_later_than_the_later_of_both_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    clock = clocks.api_clock()
    assert clock.read(NOW + MINUTE) == ApiTime(NOW + MINUTE, NOW + MINUTE, NOW + MINUTE)
    assert clock.read(NOW - MINUTE) == ApiTime(NOW - MINUTE, NOW - MINUTE, NOW + MINUTE)


@pytest.mark.parametrize("days", [100, -100])
@pytest.mark.asyncio
async def test_where_one_of_two_clocks_must_be_wrong_nothing_is_old_or_of_the_future_by_it(
    monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    clocks = Clocks(monkeypatch)
    other = NOW + timedelta(days=days)
    assert clocks.api_clock().read(other) == ApiTime(min(NOW, other), min(NOW, other), NOW)


@pytest.mark.asyncio
async def test_answers_in_a_row_that_agree_with_each_other_are_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    clock = clocks.api_clock()
    api = NOW + timedelta(days=100)  # ours was put back long ago
    for _ in range(AGREEING - 1):
        clocks.pass_(60)
        api += MINUTE
        assert clock.read(api).now < api
    assert clock.read(api).now == api
    clocks.pass_(60)
    assert clock.now() == api + MINUTE


@pytest.mark.asyncio
async def test_answers_that_do_not_agree_are_none_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    clock = clocks.api_clock()
    for number in range(2 * AGREEING):
        clock.read(NOW + timedelta(days=100 + 30 * (number % 2)))
    assert clock.now() == clocks.ours


@pytest.mark.asyncio
async def test_what_an_answer_told_before_a_restart_is_a_witness_and_tells_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocks = Clocks(monkeypatch)
    clock = clocks.api_clock()
    api = NOW + timedelta(days=100)  # ours was put back, while nothing ran
    clock.remember(api)
    assert clock.now() == NOW
    assert clock.read(NOW + timedelta(days=400)).now == NOW
    assert clock.read(api + timedelta(days=2)).now == api + timedelta(days=2)
