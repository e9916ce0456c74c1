"""What the list of syncs is worth as a hint: by example."""

from collections.abc import Iterator

import pytest

from notifier.model.hints import Hints
from notifier.model.identity import Id
from notifier.watching.hints import FEWEST, NEEDED, SAMPLE, ListHints

PATIENCE = 60.0


class Told:
    """A list of three syncs that is read every ten seconds, and polls in between."""

    def __init__(self, *, on: bool = True, announced: int = 0) -> None:
        self.hints = ListHints(on=on, patience=PATIENCE, announced=announced)
        self.items: dict[Id, int] = {52: 1, 53: 1, "a_word": 1}
        self.now = 1_000.0
        self.polled_at: dict[Id, float] = {}

    def read(self, *changed: Id, after: float = 10.0) -> tuple[Id, ...]:
        """Another reading, in which these items are others: whom it hurries."""
        self.now += after
        self.items = {i: item + (i in changed) for i, item in self.items.items()}
        self.said = self.hints.read(dict(self.items), self.now - 1, self.now)
        return self.said.hurried

    def poll(self, sync_id: Id = 52, *, found: bool, at_rest: bool = True) -> None:
        self.now += 1
        before, self.polled_at[sync_id] = self.polled_at.get(sync_id), self.now
        self.hints.polled(sync_id, self.now, before, found=found, at_rest=at_rest)


@pytest.fixture
def told() -> Told:
    """After a first reading and a first poll of each, which say nothing."""
    told = Told()
    assert told.read() == ()
    for sync_id in told.items:
        told.poll(sync_id, found=True)
    assert told.hints.announced == 0
    return told


def trusted() -> Told:
    told = Told(announced=NEEDED)
    told.read()
    for sync_id in told.items:
        told.poll(sync_id, found=False)
    return told


def test_who_is_another_item_than_before_is_polled_at_once(told: Told) -> None:
    assert told.read(53, "a_word") == (53, "a_word")
    assert told.read() == ()


def test_what_a_page_announces_is_polled_before_the_list_was_read_to_its_end_and_once(told: Told) -> None:
    told.items[53] = 2
    assert told.hints.shows({53: 2}, told.now) == (53,)
    assert told.hints.shows({52: 1}, told.now) == ()
    assert told.read() == ()
    assert told.read(53) == (53,)


def test_what_a_page_announced_counts_though_the_list_could_not_be_read_to_its_end(told: Told) -> None:
    for version in range(2, NEEDED + 2):
        told.items[53] = version
        told.hints.shows({53: version}, told.now)
        told.poll(53, found=True)
    assert told.hints.state is Hints.TRUSTED
    told.read()
    assert told.said.silent_on is None


def test_a_page_says_nothing_of_what_other_pages_have_to_show(told: Told) -> None:
    told.poll(52, found=True)
    told.now += PATIENCE
    told.hints.shows({53: 2}, told.now)
    told.items[53] = 2
    told.read(after=2.0)
    assert told.said.silent_on == 52


def test_a_page_of_a_list_that_is_not_heeded_hurries_nobody() -> None:
    told = Told(on=False)
    told.read()
    assert told.hints.shows({53: 2}, told.now) == ()


def test_a_sync_that_appears_is_not_announced_by_that(told: Told) -> None:
    told.items[99] = 1
    assert told.read() == ()
    assert told.read(99) == (99,)


def test_it_is_trusted_when_it_announced_the_last_fifty_changes_all_of_them(told: Told) -> None:
    for _ in range(NEEDED):
        assert told.hints.state is Hints.LEARNING
        told.read(52)
        told.poll(found=True)
    assert told.hints.state is Hints.TRUSTED
    assert told.hints.is_trusted


def test_what_a_poll_finds_first_was_announced_if_a_later_reading_shows_it(told: Told) -> None:
    """While it is not trusted the list is read seldom: most changes are found by polls."""
    for _ in range(NEEDED):
        assert told.hints.state is Hints.LEARNING
        told.poll(found=True)
        told.read(52, after=240.0)
        told.poll(found=False)
    assert told.hints.state is Hints.TRUSTED


def test_two_changes_between_two_readings_are_announced_by_one(told: Told) -> None:
    told.poll(found=True)
    told.poll(found=True)
    told.read(52)
    assert told.hints.announced == 2


def test_the_first_change_that_was_not_announced_ends_the_trust() -> None:
    told = trusted()
    told.poll(found=True)
    told.read(53, after=PATIENCE + 2)
    assert told.said.silent_on == 52
    assert told.hints.state is Hints.LEARNING
    assert told.hints.announced == 0


def test_a_list_that_is_late_has_as_long_as_a_poll_at_rest_would_have() -> None:
    told = trusted()
    told.poll(found=True)
    told.read(after=PATIENCE - 1)  # it began a second before it ended
    assert told.said.silent_on is None
    told.read(52)
    assert told.hints.state is Hints.TRUSTED


def test_a_change_found_while_a_reading_was_under_way_that_already_showed_it_was_announced() -> None:
    told = trusted()
    told.read(52)
    told.hints.polled(52, told.now - 2, told.now - 50, found=True, at_rest=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None
    assert told.hints.is_trusted


def test_an_announcement_that_comes_while_a_poll_is_under_way_stands_for_the_next() -> None:
    told = trusted()
    told.read(52)
    told.hints.polled(52, told.now - 2, told.now - 50, found=False, at_rest=True)  # it began before
    told.poll(found=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None


def test_what_the_first_reading_may_have_shown_already_is_held_against_no_list() -> None:
    """What changed while the worker was down is found by the first poll of each."""
    told = Told(announced=NEEDED)
    told.hints.polled(52, 900.0, None, found=False, at_rest=True)  # a poll before the first reading ended
    told.read()
    told.hints.polled(52, told.now, 900.0, found=True, at_rest=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None
    assert told.hints.is_trusted


def test_a_sync_that_the_list_does_not_show_says_nothing_of_it() -> None:
    told = trusted()
    told.poll(found=True)
    del told.items[52]
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None
    assert told.hints.is_trusted


def test_what_a_reading_lacked_that_was_not_whole_is_compared_with_the_one_before() -> None:
    told = trusted()
    told.hints.read({53: 1}, told.now, told.now + 1, is_whole=False)
    assert told.read(52) == (52,)


@pytest.mark.parametrize("readings", [1, 3])
def test_a_sync_that_was_lacking_for_a_while_is_compared_with_how_it_was_shown_last(readings: int) -> None:
    told = trusted()
    for _ in range(readings):
        told.now += 10
        told.hints.read({53: 1, "a_word": 1}, told.now - 1, told.now)
    assert told.read(52) == (52,)
    told.poll(found=True)
    told.read(after=PATIENCE + 5)
    assert told.hints.is_trusted
    told.now += 10
    told.hints.read({53: 1, "a_word": 1}, told.now - 1, told.now)
    assert told.read() == ()


def test_what_nobody_polls_is_not_remembered_as_announced() -> None:
    """Watched one day, it has to be announced anew; until then there may be thousands."""
    told = trusted()
    told.read(52, 53)
    told.hints.keep({53})
    told.poll(52, found=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on == 52
    told.read(53)
    told.hints.keep({53})
    told.poll(53, found=True)
    assert told.hints.announced == 1


def test_what_nobody_polls_is_not_remembered_as_lacking() -> None:
    told = trusted()
    told.hints.read({53: 1}, told.now, told.now + 1)
    told.hints.keep({52, 53})
    told.hints.keep({53})
    assert told.read(52, "a_word") == ()


def test_a_poll_that_began_while_a_reading_was_under_way_is_not_the_one_that_it_hurried() -> None:
    """Its answer may be older than the page that announces."""
    told = trusted()
    told.read(52)
    told.hints.polled(52, told.now - 0.5, told.polled_at[52], found=False, at_rest=True)
    told.poll(found=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None


def test_what_was_learned_counts_for_no_more_than_is_needed() -> None:
    told = Told(announced=10 * NEEDED)
    assert told.hints.announced == NEEDED


def test_a_poll_that_begins_when_a_reading_ends_is_the_one_that_it_hurried() -> None:
    told = trusted()
    told.read(52)
    told.hints.polled(52, told.now - 1, told.polled_at[52], found=False, at_rest=True)
    assert told.hints.tries(52) == 0
    told.hints.polled(52, told.now, told.now - 1, found=False, at_rest=True)
    assert told.hints.tries(52) == 1


def test_what_a_poll_had_found_before_it_was_announced_is_looked_for_once(told: Told) -> None:
    told.poll(found=True)
    told.read(52)
    told.poll(found=False)
    assert told.hints.tries(52) == 0


def test_runs_may_be_behind_their_list_as_long_as_a_poll_at_rest_would_be() -> None:
    """It finds nothing at first; what another poll finds soon was announced, and what one finds much later was not."""
    told = trusted()
    told.read(52)
    told.poll(found=False)
    told.poll(found=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None
    told.read(52)
    told.poll(found=False)
    told.now += PATIENCE
    told.poll(found=False)
    assert told.hints.tries(52) == 0
    told.poll(found=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on == 52


def test_a_reading_that_was_not_whole_excuses_no_change_that_it_does_not_show() -> None:
    told = trusted()
    told.poll(found=True)
    told.now += PATIENCE + 5
    assert told.hints.read({53: 1}, told.now - 1, told.now, is_whole=False).silent_on is None
    told.read()
    assert told.said.silent_on == 52
    assert not told.hints.is_trusted


def test_a_sync_that_is_let_go_is_waited_for_no_longer() -> None:
    told = trusted()
    told.poll(found=True)
    told.hints.forget(52)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None


def noisy(told: Told, found: Iterator[bool]) -> None:
    for _ in range(SAMPLE):
        told.read(52)
        told.poll(found=next(found))


@pytest.mark.parametrize(("useful", "hurried"), [(FEWEST - 1, ()), (FEWEST, (52,))])
def test_a_list_that_announces_what_is_nothing_hurries_nobody_and_is_not_trusted(
    told: Told, useful: int, hurried: tuple[int, ...]
) -> None:
    told.hints.announced = NEEDED
    noisy(told, iter([True] * useful + [False] * (SAMPLE - useful)))
    assert told.read(52) == hurried
    assert told.hints.is_trusted == bool(hurried)


def test_one_that_stops_that_is_heeded_again(told: Told) -> None:
    noisy(told, iter([False] * SAMPLE))
    for _ in range(FEWEST):
        told.read(52)
        told.poll(found=True)
    assert told.read(52) == (52,)


def test_what_moves_all_the_time_while_a_run_is_under_way_is_no_noise(told: Told) -> None:
    for _ in range(SAMPLE):
        told.read(52)
        told.poll(found=False, at_rest=False)
    assert told.read(52) == (52,)


def test_what_polls_found_before_it_was_announced_is_no_noise(told: Told) -> None:
    for _ in range(SAMPLE):
        told.poll(found=True)
        told.read(52)
        told.poll(found=False)
    assert told.read(52) == (52,)


def test_turned_off_they_hurry_nobody_and_learn_nothing() -> None:
    told = Told(on=False, announced=NEEDED)
    told.read()
    assert told.read(52) == ()
    told.poll(found=True)
    told.poll(found=True)
    told.read(after=PATIENCE + 5)
    assert told.said.silent_on is None
    assert told.hints.state is Hints.OFF
