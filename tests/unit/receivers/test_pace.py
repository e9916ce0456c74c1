"""One destination's pace and holds, shared by those that send there."""

from notifier.receivers.pace import Turnstile, Turnstiles


def shared(*names: str, interval: float = 1.0) -> Turnstile:
    turnstile = Turnstile(interval)
    for name in names:
        turnstile.join(name)
    return turnstile


def test_without_a_pace_it_is_always_open_but_for_holds() -> None:
    turnstile = shared("a", interval=0.0)
    turnstile.enter("a", 10.0).leave(10.5)
    assert turnstile.opens_at("a") <= 10.5
    turnstile.hold(30.0)
    assert turnstile.opens_at("a") == 30.0
    assert turnstile.is_held(29.9)
    assert not turnstile.is_held(30.0)


def test_a_hold_is_never_shortened() -> None:
    turnstile = shared("a")
    turnstile.hold(30.0)
    turnstile.hold(20.0)
    assert turnstile.opens_at("a") == 30.0


def test_the_pace_counts_from_the_end_of_an_attempt() -> None:
    turnstile = shared("a")
    turnstile.enter("a", 10.0).leave(10.4)
    assert turnstile.opens_at("a") == 11.4


def test_an_attempt_that_hangs_holds_the_others_no_longer_than_the_pace() -> None:
    turnstile = shared("a", "b")
    turnstile.enter("a", 10.0)
    assert turnstile.opens_at("b") == 11.0


def test_whoever_was_served_last_comes_last() -> None:
    turnstile = shared("a", "b", "c")
    served = []
    now = 0.0
    for _ in range(9):
        now = max(now, min(turnstile.opens_at(name) for name in "abc"))
        first = min("abc", key=turnstile.opens_at)
        assert now >= turnstile.opens_at(first)
        turnstile.enter(first, now)
        served.append(first)
    assert "".join(served) == "abc" * 3


def test_one_that_shares_with_silent_others_is_hardly_slower_than_alone() -> None:
    turnstile = shared("a", "b", "c")
    turnstile.enter("a", 10.0)
    assert 11.0 <= turnstile.opens_at("a") <= 11.05


def test_one_that_turns_back_takes_nobody_elses_pace_away() -> None:
    turnstile = shared("a", "b")
    first = turnstile.enter("a", 0.0)
    second = turnstile.enter("b", 1.0)
    first.leave(1.2)
    second.turn_back()
    assert turnstile.opens_at("b") == 2.2


def test_one_that_turns_back_counts_for_nothing_and_keeps_its_turn() -> None:
    turnstile = shared("a", "b")
    turnstile.enter("b", 10.0).leave(10.0)
    before = turnstile.opens_at("a"), turnstile.opens_at("b")
    turnstile.enter("a", 11.0).turn_back()
    assert (turnstile.opens_at("a"), turnstile.opens_at("b")) == before


def test_two_that_hang_and_one_that_turns_back_leave_the_pace_of_the_last_that_went_in() -> None:
    turnstile = shared("a", "b", "c")
    turnstile.enter("a", 0.0)
    turnstile.enter("b", 1.0)
    turnstile.enter("c", 2.0).turn_back()
    assert turnstile.opens_at("c") == 2.0


def test_who_is_gone_keeps_no_turn_and_the_pace_goes_on() -> None:
    turnstiles = Turnstiles(1.0)
    channel = turnstiles.of("token", "C1")
    for number in range(60):
        turnstiles.disband()
        channel.join(f"name {number}")
    channel.enter("name 59", 10.0).leave(10.5)
    assert channel.opens_at("name 59") == 11.5


def test_however_many_share_a_pace_they_do_not_stretch_it() -> None:
    names = [f"name {number:03}" for number in range(300)]
    turnstile = shared(*names)
    for name in names:
        turnstile.enter(name, 10.0).leave(10.0)
    assert max(turnstile.opens_at(name) for name in names) <= 11.2
    assert turnstile.opens_at(names[0]) == 11.0


def test_who_enters_shares_the_turns_without_having_joined() -> None:
    turnstile = shared("a")
    turnstile.enter("b", 10.0)
    assert turnstile.opens_at("a") < turnstile.opens_at("b")


def test_a_hold_is_for_all_that_share_it() -> None:
    turnstile = shared("a", "b")
    turnstile.hold(13.0)
    assert turnstile.opens_at("a") == turnstile.opens_at("b") == 13.0


def test_a_destination_has_one_turnstile_under_all_its_names() -> None:
    turnstiles = Turnstiles(1.0)
    by_name, by_id = turnstiles.of("token", "data-syncs"), turnstiles.of("token", "C1")
    assert turnstiles.of("token", "data-syncs") is by_name
    assert turnstiles.of("other", "data-syncs") is not by_name
    assert turnstiles.same(by_name, "token", "C1") is by_id
    alone = turnstiles.of("token", "alone")
    assert turnstiles.same(alone, "token", "C2") is turnstiles.of("token", "C2") is alone


def test_names_of_one_destination_that_were_known_apart_have_one_turnstile_from_then_on() -> None:
    turnstiles = Turnstiles(1.0)
    by_name, by_old, by_id = (turnstiles.of("token", name) for name in ("data-syncs", "C0", "C1"))
    by_name.hold(30.0)
    passage = by_old.enter("a", 40.0)
    assert turnstiles.same(by_name, "token", "C1") is by_id
    assert by_id.opens_at("a") == 30.0
    assert turnstiles.same(by_old, "token", "C1") is by_id
    assert by_id.opens_at("a") == 41.0
    passage.leave(40.5)  # what was on its way when they turned out to be one counts for all
    assert by_id.opens_at("a") == 41.5
    assert turnstiles.of("token", "data-syncs") is turnstiles.of("token", "C0") is by_id
