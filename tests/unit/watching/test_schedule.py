"""When each target is polled next: by example, and against a plain model of who waits for what."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import SecretStr

from notifier.model.identity import Id
from notifier.watching import pace
from notifier.watching.schedule import BEFORE_OTHERS, EARLY, Poller, Schedule
from notifier.watching.target import RunTarget, SyncTarget
from notifier.watchlist.models import Workspace

REST, ACTIVE, LISTING, ALLOWED = 60.0, 10.0, 240.0, 2.0


def nobody_waits() -> None:
    """For a schedule whose caller does not wait."""


def a_schedule(*, targets: int = 0, allowed: float = ALLOWED) -> Schedule:
    """With so many targets at rest, of which the first poll is over: each is at its place in the interval."""
    schedule = Schedule(pace.Intervals(REST, ACTIVE), LISTING, allowed, nobody_waits)
    for _ in range(targets):
        add(schedule)
    for poller in list(schedule):
        assert schedule.take(0.0) is poller
        read(schedule, poller, 0.0)
    return schedule


def add(schedule: Schedule, now: float = 0.0, *, active: bool = False) -> Poller:
    target = RunTarget(len(schedule), {})
    schedule.add(target, now, active=active)
    poller = schedule.poller_of(target)
    assert poller is not None
    return poller


def read(schedule: Schedule, poller: Poller, now: float, *, active: bool = False, outside: int = 0) -> bool:
    """A poll ends that was under way, and has read its target."""
    poller.failures = 0
    changed = schedule.was_read(poller, now, active=active, outside=outside)
    schedule.landed(poller, now, is_down=False)
    return changed


def fail(schedule: Schedule, poller: Poller, now: float, retry_at: float) -> None:
    poller.failures += 1
    schedule.retry(poller, retry_at)
    schedule.landed(poller, now, is_down=False)


def take(schedule: Schedule, now: float) -> Poller:
    poller = schedule.take(now)
    assert poller is not None
    return poller


def taken(schedule: Schedule, now: float) -> list[int]:
    """The numbers of all that are due, in their order."""
    numbers = []
    while poller := schedule.take(now):
        numbers.append(poller.number)
    return numbers


# --- who is next ---


def test_what_is_new_is_polled_at_once_and_what_has_a_run_under_way_before_all_others() -> None:
    schedule = a_schedule()
    for active in (False, True, False):
        add(schedule, 7.0, active=active)
    assert schedule.next_due() == 7.0 - BEFORE_OTHERS
    assert taken(schedule, 7.0) == [1, 0, 2]
    assert schedule.next_due() is None


def test_a_target_is_polled_once_in_an_interval_and_all_are_spread_over_it() -> None:
    schedule = a_schedule(targets=10)
    polled: list[int] = []
    gaps: list[float] = []
    now = 0.0
    while (due := schedule.next_due()) is not None and due <= REST:
        gaps.append(due - now)
        now = due
        poller = take(schedule, now)
        polled.append(poller.number)
        read(schedule, poller, now)
    assert sorted(polled) == list(range(10))
    assert max(gaps) < REST / 5


def test_what_is_due_within_a_tick_begins_together_and_each_is_polled_once_in_an_interval_all_the_same() -> None:
    schedule = a_schedule(targets=1_000, allowed=1_000.0)
    polled: list[list[int]] = []
    while (due := schedule.next_due()) is not None and due < 2 * REST:
        together = [take(schedule, due) for _ in iter(lambda: schedule.next_due() == due, False)]
        polled.append([poller.number for poller in together])
        for poller in together:
            read(schedule, poller, due + 0.1)
    assert len(polled) <= 2 * REST * 4  # ticks a second
    assert max(len(numbers) for numbers in polled) <= 1_000 / 240 + 3
    per_poller = Counter(number for numbers in polled for number in numbers)
    assert set(per_poller.values()) <= {1, 2}
    assert sum(per_poller.values()) == pytest.approx(2_000, abs=10)


def test_a_poll_may_begin_a_millisecond_early_and_is_not_made_again_when_it_was_due() -> None:
    schedule = a_schedule(targets=1)
    due = schedule.next_due()
    assert due is not None
    assert schedule.take(due - 2 * EARLY) is None
    read(schedule, take(schedule, due - EARLY / 2), due - EARLY / 2)
    assert schedule.next_due() == due + REST


def test_what_was_taken_and_put_back_is_next_again() -> None:
    schedule = a_schedule(targets=2)
    poller = take(schedule, REST)
    schedule.put_back(poller)
    assert take(schedule, REST) is poller


def test_what_is_removed_is_polled_no_more_though_its_poll_is_under_way() -> None:
    schedule = a_schedule(targets=2)
    first = take(schedule, REST)
    (second,) = (poller for poller in schedule if poller is not first)
    schedule.remove(first.target)
    schedule.remove(second.target)
    schedule.hurry(first, 1.0, is_down=False)
    fail(schedule, first, 1.0, 2.0)
    assert (taken(schedule, 10 * REST), len(schedule), schedule.poller_of(first.target)) == ([], 0, None)


def test_whoever_waits_is_called_only_when_another_has_become_the_first() -> None:
    calls: list[float | None] = []
    schedule = Schedule(pace.Intervals(REST, ACTIVE), LISTING, ALLOWED, lambda: calls.append(schedule.next_due()))
    add(schedule, 5.0)
    add(schedule, 6.0)
    add(schedule, 4.0)
    assert calls == [5.0, 4.0]


# --- hints ---


def test_a_hint_brings_the_next_poll_forward_once() -> None:
    schedule = a_schedule(targets=3)
    last = max(schedule, key=lambda poller: poller.due)
    planned = last.due
    schedule.hurry(last, 1.0, is_down=False)
    schedule.hurry(last, 1.0, is_down=False)
    assert taken(schedule, 1.0) == [last.number]
    read(schedule, last, 1.0)
    assert last.due == planned
    assert taken(schedule, planned).count(last.number) == 1  # though it was planned for then twice


def test_a_hint_during_a_poll_has_it_polled_once_more_and_hints_that_come_together_are_one() -> None:
    schedule = a_schedule(targets=1)
    poller = take(schedule, REST)
    for _ in range(3):
        schedule.hurry(poller, REST, is_down=False)
    assert schedule.take(REST) is None
    read(schedule, poller, REST + 1)
    assert take(schedule, REST + 1) is poller
    read(schedule, poller, REST + 2)
    assert schedule.take(REST + 2) is None


def test_a_hint_neither_hurries_what_fails_nor_a_workspace_that_is_down() -> None:
    schedule = a_schedule(targets=2)
    failing, well = schedule
    failing.failures = 1
    schedule.hurry(failing, 1.0, is_down=False)
    schedule.hurry(well, 1.0, is_down=True)
    assert schedule.take(1.0) is None


def test_what_is_hurried_does_not_wait_for_all_that_is_late() -> None:
    schedule = a_schedule(targets=50)
    late = 2 * REST  # all are due, as after a start
    by_due = sorted(schedule, key=lambda poller: poller.due)
    hinted = by_due[-1:] + by_due[30:32]
    for poller in hinted:
        schedule.hurry(poller, late, is_down=False)
    first = [take(schedule, late) for _ in range(5)]
    assert first == [hinted[0], by_due[0], hinted[1], by_due[1], hinted[2]]


def test_hints_without_end_keep_nobody_waiting() -> None:
    schedule = a_schedule(targets=50)
    noisy = sorted(schedule, key=lambda poller: poller.due)[:40]
    polled = set()
    for number in range(2 * 50):
        for poller in noisy:
            schedule.hurry(poller, REST + number, is_down=False)
        poller = take(schedule, REST + number)
        polled.add(poller.number)
        read(schedule, poller, REST + number)
    assert len(polled) == 50


def test_what_was_hurried_and_put_back_is_still_before_what_is_late() -> None:
    schedule = a_schedule(targets=3)
    last = max(schedule, key=lambda poller: poller.due)
    schedule.hurry(last, 2 * REST, is_down=False)
    assert take(schedule, 2 * REST) is last
    schedule.put_back(last)
    take(schedule, 2 * REST)
    assert take(schedule, 2 * REST) is last


def test_a_hint_that_came_while_the_workspace_was_down_is_heeded_when_it_is_back() -> None:
    schedule = a_schedule(targets=3)
    failing, well, other = schedule
    failing.failures = 1
    for poller in (failing, well):
        schedule.hurry(poller, 1.0, is_down=True)
    schedule.resume(2.0)
    assert schedule.take(2.0) is well
    schedule.resume(2.0)
    read(schedule, well, 2.0)
    assert schedule.take(2.0) is None
    assert [poller.hurried for poller in (failing, well, other)] == [True, False, False]


def test_hints_without_end_do_not_pile_up() -> None:
    schedule = a_schedule(targets=2)
    for number in range(10_000):
        now = number / 1_000
        for poller in schedule:
            schedule.hurry(poller, now, is_down=False)
        while taken_now := schedule.take(now):
            read(schedule, taken_now, now)
    assert len(schedule._entries) < 200
    assert len(schedule._hurried) <= 2


def test_another_is_asked_that_has_not_failed_and_of_those_the_one_that_is_due_first() -> None:
    schedule = a_schedule(targets=4)
    by_due = sorted(schedule, key=lambda poller: poller.due)
    by_due[0].failures = 1
    schedule.hurry_another(1.0, is_down=False)
    assert taken(schedule, 1.0) == [by_due[1].number]
    schedule.hurry_another(1.0, is_down=True)
    assert taken(schedule, 1.0) == []


# --- after failures ---


def test_a_poll_that_failed_is_tried_again_when_its_caller_says() -> None:
    schedule = a_schedule(targets=1)
    poller = take(schedule, REST)
    fail(schedule, poller, REST, REST + 3)
    assert schedule.next_due() == REST + 3


def test_what_failed_with_the_workspace_waits_no_longer_than_any_other_once_that_is_back() -> None:
    schedule = a_schedule(targets=2)
    failed, other = take(schedule, REST), take(schedule, REST)
    fail(schedule, failed, REST, REST + 300)
    fail(schedule, other, REST, REST + 1)
    schedule.resume(REST)
    assert REST < failed.due <= 2 * REST
    assert other.due == REST + 1
    assert len(taken(schedule, 2 * REST)) == 2


def test_what_is_not_found_is_looked_for_at_the_interval_at_rest() -> None:
    schedule = a_schedule(targets=1)
    poller = take(schedule, REST)
    read(schedule, poller, REST, active=True)
    poller = take(schedule, REST + ACTIVE)
    schedule.rests(poller, REST + ACTIVE)
    schedule.landed(poller, REST + ACTIVE, is_down=False)
    assert schedule.next_due() == 2 * REST


# --- pace ---


def test_what_has_a_run_under_way_is_polled_at_the_active_interval() -> None:
    schedule = a_schedule(targets=1)
    poller = take(schedule, REST)
    assert read(schedule, poller, REST, active=True)
    assert schedule.next_due() == REST + ACTIVE
    assert not read(schedule, take(schedule, REST + ACTIVE), REST + ACTIVE, active=True)


def test_the_intervals_of_all_are_stretched_as_one_asks_for_more() -> None:
    schedule = a_schedule(targets=1, allowed=0.1)
    schedule.listed(1)
    assert schedule.stretch == 1.0
    poller = take(schedule, REST)
    assert read(schedule, poller, REST, active=True, outside=1)
    assert schedule.needed == 2 / ACTIVE + 1 / LISTING
    assert 2 / ACTIVE / schedule.stretch + 1 / LISTING <= 0.1
    assert poller.due <= REST + ACTIVE * schedule.stretch
    assert schedule.longest_pause == REST * schedule.stretch
    schedule.remove(poller.target)
    schedule.listed(1)
    assert (schedule.stretch, schedule.longest_pause) == (1.0, LISTING)


def test_what_was_removed_while_its_poll_was_under_way_counts_no_more() -> None:
    schedule = a_schedule(targets=1)
    poller = take(schedule, REST)
    schedule.remove(poller.target)
    assert not read(schedule, poller, REST, active=True, outside=30)
    schedule.listed(1)
    assert schedule.needed == 1 / LISTING


def test_pages_of_a_listing_take_their_part_of_the_budget() -> None:
    schedule = a_schedule(targets=100)
    schedule.listed(1)
    assert schedule.stretch == 1.0
    schedule.listed(200)
    assert schedule.stretch > 1.0


def test_a_short_poll_interval_polls_a_sync_with_a_run_no_less_often() -> None:
    workspace = Workspace(
        api_key=SecretStr("k"), poll_interval=timedelta(seconds=5), active_poll_interval=timedelta(seconds=10)
    )
    schedule = Schedule.of(workspace, sooner=nobody_waits)
    add(schedule)
    read(schedule, take(schedule, 0.0), 0.0, active=True)
    due = schedule.next_due()
    assert due is not None
    assert due <= 5.0


# --- against a model ---


@dataclass
class Wanted:
    """What must hold of one poller."""

    poller: Poller
    due: float
    active: bool
    outside: int = 0
    failures: int = 0
    under_way: bool = False
    again: bool = False
    hurried: bool = False
    removed: bool = False


class Watching(RuleBasedStateMachine):
    """Drives a schedule as the watcher does. One waits for the first poller until its alarm rings or it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.all: list[Wanted] = []
        self.schedule = Schedule(pace.Intervals(REST, ACTIVE), LISTING, ALLOWED, self.call)
        self.pages = 1
        self.stretch = 1.0
        self.looks_at: float | None = None
        """When the one who waits looks again by itself."""
        self.is_called = False
        self.hurried: list[Wanted] = []
        """Before others, at every other turn; in their order."""
        self.is_turn_of_others = False

    def call(self) -> None:
        self.is_called = True

    @initialize(count=st.integers(0, 40))
    def begin(self, count: int) -> None:
        for number in range(count):
            self.add(active=number % 3 == 0)

    @property
    def present(self) -> list[Wanted]:
        return [each for each in self.all if not each.removed]

    @property
    def waiting(self) -> list[Wanted]:
        return [each for each in self.present if not each.under_way]

    @property
    def flying(self) -> list[Wanted]:
        return [each for each in self.all if each.under_way]

    def reckon(self) -> None:
        resting = sum(not each.active for each in self.present)
        busy = sum(each.active + each.outside for each in self.present)
        listings = self.pages / LISTING
        self.stretch = pace.stretch(resting / REST + busy / ACTIVE, listings, ALLOWED)

    # --- what is polled ---

    @rule(active=st.booleans())
    def add(self, active: bool) -> None:
        poller = add(self.schedule, self.now, active=active)
        self.all.append(Wanted(poller, self.now - BEFORE_OTHERS * active, active))

    @precondition(lambda self: self.present)
    @rule(which=st.integers(0, 99))
    def remove(self, which: int) -> None:
        gone = self.present[which % len(self.present)]
        self.schedule.remove(gone.poller.target)
        gone.removed, gone.active, gone.outside = True, False, 0

    # --- polls ---

    @rule(seconds=st.sampled_from([0.0, 0.3, 5.0, 30.0, 90.0]), polls=st.integers(0, 3))
    def wait_and_take(self, seconds: float, polls: int) -> None:
        self.now += seconds
        for _ in range(polls):
            first = min(self.waiting, key=lambda each: (each.due, each.poller.number), default=None)
            hurried = [each for each in self.hurried if not each.removed and not self.is_turn_of_others]
            poller = self.schedule.take(self.now)
            if first is None or first.due > self.now + EARLY:
                assert poller is None
                self.looks_at, self.is_called = self.schedule.next_due(), False
                return
            first = hurried[0] if hurried else first
            self.is_turn_of_others = bool(hurried)
            assert poller is first.poller
            first.under_way = True
            self.hurried = [each for each in self.hurried if each is not first]

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9))
    def put_back(self, which: int) -> None:
        taken = self.flying[which % len(self.flying)]
        self.schedule.put_back(taken.poller)
        taken.under_way = False
        if taken.poller.hurried:
            self.hurried.insert(0, taken)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9), active=st.booleans(), outside=st.sampled_from([0, 0, 1, 30]), is_down=st.booleans())
    def read(self, which: int, active: bool, outside: int, is_down: bool) -> None:
        taken = self.flying[which % len(self.flying)]
        changed = not taken.removed and (active, outside) != (taken.active, taken.outside)
        if changed:
            taken.active, taken.outside = active, outside
            self.reckon()
        taken.failures = taken.poller.failures = 0
        assert self.schedule.was_read(taken.poller, self.now, active=active, outside=outside) == changed
        self.land(taken, self.its_place(taken, max(self.now, taken.due), active=active), is_down=is_down)

    def its_place(self, taken: Wanted, now: float, *, active: bool) -> float:
        """When it is polled next, by the schedule; within an interval from now in any case."""
        interval = (ACTIVE if active else REST) * self.stretch
        assert now < taken.poller.due <= now + interval + 1e-6
        return taken.poller.due

    def land(self, taken: Wanted, due: float, *, is_down: bool) -> None:
        self.schedule.landed(taken.poller, self.now, is_down=is_down)
        again, taken.again = taken.again, False
        taken.under_way, taken.due = False, due
        taken.hurried = taken.hurried and taken.failures > 0
        if again:
            self.is_hurried(taken, is_down=is_down)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9), wait=st.sampled_from([0.0, 2.0, 300.0]), is_down=st.booleans())
    def fail(self, which: int, wait: float, is_down: bool) -> None:
        taken = self.flying[which % len(self.flying)]
        taken.failures += 1
        taken.poller.failures += 1
        self.schedule.retry(taken.poller, self.now + wait)
        self.land(taken, self.now + wait, is_down=is_down)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9))
    def is_not_found(self, which: int) -> None:
        taken = self.flying[which % len(self.flying)]
        self.schedule.rests(taken.poller, self.now)
        self.land(taken, self.its_place(taken, self.now, active=False), is_down=False)

    # --- what others ask for ---

    def is_hurried(self, hinted: Wanted, *, is_down: bool) -> None:
        if hinted.under_way:
            hinted.again = True
            return
        hinted.hurried = True
        if not (is_down or hinted.failures or hinted.removed):
            hinted.due = min(hinted.due, self.now)
            if hinted not in self.hurried:
                self.hurried.append(hinted)

    @precondition(lambda self: self.all)
    @rule(which=st.integers(0, 99), is_down=st.booleans())
    def hint(self, which: int, is_down: bool) -> None:
        hinted = self.all[which % len(self.all)]
        self.schedule.hurry(hinted.poller, self.now, is_down=is_down)
        self.is_hurried(hinted, is_down=is_down)

    @rule(is_down=st.booleans())
    def ask_another(self, is_down: bool) -> None:
        well = [each for each in self.waiting if not each.failures]
        self.schedule.hurry_another(self.now, is_down=is_down)
        if well and not is_down:
            self.is_hurried(min(well, key=lambda each: each.due), is_down=False)

    @rule()
    def resume(self) -> None:
        self.schedule.resume(self.now)
        for each in self.waiting:
            if each.failures:
                assert each.poller.due <= max(self.now, min(each.due, self.now + REST * self.stretch + 1e-6))
                each.due = each.poller.due
            elif each.hurried:
                each.due = min(each.due, self.now)
                if each not in self.hurried:
                    self.hurried.append(each)

    @rule(pages=st.sampled_from([1, 3, 400]))
    def list(self, pages: int) -> None:
        self.pages = pages
        self.schedule.listed(pages)
        self.reckon()

    # --- what always holds ---

    @invariant()
    def those_that_are_there_are_polled_and_no_others(self) -> None:
        assert [each.poller for each in self.present] == list(self.schedule)
        assert len(self.schedule) == len(self.present)

    @invariant()
    def the_first_is_due_when_it_is_wanted(self) -> None:
        assert self.schedule.next_due() == min((each.due for each in self.waiting), default=None)

    @invariant()
    def who_waits_does_not_oversleep(self) -> None:
        due = self.schedule.next_due()
        assert self.is_called or due is None or (self.looks_at is not None and self.looks_at <= due)

    @invariant()
    def the_requests_stay_within_the_budget(self) -> None:
        assert self.schedule.stretch == self.stretch


TestWatching = pytest.mark.slow(Watching.TestCase)
TestWatching.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, report_multiple_bugs=False)


# --- who is polled seldom ---


def announced(schedule: Schedule, *sync_ids: Id) -> list[Poller]:
    """Syncs at rest whose list announces what becomes of them, each polled once at 0."""
    schedule.rely_on(set(sync_ids), 0.0)
    pollers = []
    for sync_id in sync_ids:
        target = SyncTarget(sync_id, None, {}, None)
        schedule.add(target, 0.0, active=False)
        poller = schedule.poller_of(target)
        assert poller is not None
        pollers.append(poller)
    for poller in pollers:
        assert schedule.take(0.0) is poller
        rest(schedule, poller, 0.0)
    return pollers


def rest(schedule: Schedule, poller: Poller, now: float, until: float | None = math.inf) -> None:
    schedule.was_read(poller, now, active=False, outside=0, until=until)
    schedule.landed(poller, now, is_down=False)


def test_who_is_announced_is_polled_every_tenth_interval() -> None:
    schedule = a_schedule()
    pollers = announced(schedule, 52, 53, "a_word")
    assert sorted(poller.due for poller in pollers)[-1] <= 10 * REST
    assert sum(poller.due for poller in pollers) > 3 * REST
    first = pollers[0]
    due = first.due
    assert schedule.take(due) is not None
    rest(schedule, first, due)
    assert first.due == due + 10 * REST


@pytest.mark.parametrize("why", ["something is pending", "it has a run under way", "the list does not show it"])
def test_who_is_not_at_rest_or_not_shown_is_polled_as_ever(why: str) -> None:
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    if why == "the list does not show it":
        schedule.rely_on({53}, 0.0)
        assert 0 < poller.due <= REST
        return
    at = poller.due
    assert schedule.take(at) is poller
    if why == "something is pending":
        rest(schedule, poller, at, until=None)
    else:
        schedule.was_read(poller, at, active=True, outside=0, until=math.inf)
        schedule.landed(poller, at, is_down=False)
    assert at < poller.due <= at + REST
    assert schedule.next_due() == poller.due


@pytest.mark.parametrize(("until", "due"), [(math.inf, 10 * REST), (250.0, 250.0), (5.0, REST), (-5.0, REST)])
def test_who_is_polled_seldom_is_polled_when_time_has_something_to_say(until: float, due: float) -> None:
    """Never sooner than at rest, whatever the time has to say."""
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    at = poller.due
    assert schedule.take(at) is poller
    rest(schedule, poller, at, until=at + until)
    assert poller.due == at + due


def test_when_the_list_is_relied_on_no_longer_all_are_at_their_places_at_rest() -> None:
    schedule = a_schedule(allowed=100.0)
    pollers = announced(schedule, *range(1, 31))
    before = {poller.number: poller.due for poller in pollers}
    pollers[29].due = 100.0 + 10 * REST
    schedule.rely_on(None, 100.0)
    assert all(poller.due <= min(before[poller.number], 100.0 + REST) for poller in pollers[:29])
    assert len({poller.due for poller in pollers}) == 30
    assert schedule.next_due() == min(poller.due for poller in pollers)
    assert schedule.needed == pytest.approx(30 / REST + 1 / LISTING)


def test_of_thousands_none_comes_before_its_place_in_the_stretched_interval() -> None:
    """Else all of them are due at once, and what has a run under way waits behind them."""
    schedule = a_schedule(allowed=10.0)
    pollers = announced(schedule, *range(1, 10_001))
    for poller in pollers:
        poller.due = 100.0 + 10 * REST * schedule.stretch
    schedule.rely_on(None, 100.0)
    assert schedule.stretch == pytest.approx(10_000 / REST / 10, rel=0.1)
    assert sum(poller.due <= 100.0 + REST for poller in pollers) <= 700


def test_a_poll_that_was_about_to_come_comes_no_later_for_that() -> None:
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    poller.due = 130.0
    schedule.rely_on(None, 125.0)
    assert poller.due == 130.0


def test_a_poll_under_way_lands_at_rest_when_the_list_is_relied_on_no_longer() -> None:
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    assert schedule.take(poller.due) is poller
    schedule.rely_on(None, poller.due)
    before = poller.due
    rest(schedule, poller, before)
    assert poller.due == before + REST


def test_what_seldom_polls_and_frequent_listings_need_is_reckoned() -> None:
    schedule = a_schedule(allowed=100.0)
    announced(schedule, *range(1, 1_001))
    schedule.listed(10)
    assert schedule.listing_interval == ACTIVE
    assert schedule.needed == pytest.approx(1_000 / (10 * REST) + 10 / ACTIVE)
    schedule.rely_on(None, 0.0)
    assert schedule.listing_interval == LISTING
    assert schedule.needed == pytest.approx(1_000 / REST + 10 / LISTING)


def test_a_long_list_never_takes_more_than_half_of_the_budget() -> None:
    schedule = a_schedule(allowed=10.0)
    announced(schedule, 52)
    schedule.listed(100)
    assert schedule.listing_interval == 20.0
    assert schedule.whole_listing_interval == LISTING


def test_one_that_fails_is_seldom_no_more() -> None:
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    assert schedule.take(poller.due) is poller
    fail(schedule, poller, poller.due, poller.due + 1)
    assert not poller.seldom
    assert schedule.longest_pause == REST


def test_one_that_is_not_found_is_seldom_no_more() -> None:
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    assert schedule.take(poller.due) is poller
    schedule.rests(poller, poller.due)
    assert not poller.seldom
    assert schedule.longest_pause == REST


def test_one_whose_runs_are_fetched_one_by_one_is_not_polled_seldom() -> None:
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    at = poller.due
    assert schedule.take(at) is poller
    schedule.was_read(poller, at, active=False, outside=1, until=math.inf)
    assert poller.due == at + REST


def test_a_poll_under_way_is_given_no_other_time() -> None:
    """It began late or early by the time at which it was due."""
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    due = poller.due = 500.0
    poller.under_way = True
    schedule.rely_on(None, 10.0)
    assert poller.due == due


@pytest.mark.parametrize(("syncs", "pause"), [(1, 10 * REST), (4, 5 * REST), (20, REST), (400, REST)])
def test_the_longest_pause_between_two_polls_is_that_of_all_of_them(syncs: int, pause: float) -> None:
    schedule = a_schedule(allowed=1_000.0)
    announced(schedule, *range(1, syncs + 1))
    assert schedule.longest_pause == pause


def test_a_poll_that_was_hurried_knows_it_until_it_is_over() -> None:
    schedule = a_schedule()
    (poller,) = announced(schedule, 52)
    schedule.hurry(poller, 7.0, is_down=False)
    assert schedule.take(7.0) is poller
    assert poller.hurried
    schedule.hurry(poller, 7.0, is_down=False)
    rest(schedule, poller, 8.0)
    assert poller.hurried
    assert schedule.take(8.0) is poller
    rest(schedule, poller, 9.0)
    assert not poller.hurried
