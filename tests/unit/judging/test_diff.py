"""What an observation means: changes, their name, and which runs are news."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.judging.diff import START, changes_between, dated, event_type, mark_of, read_to_mark, with_floor_of
from notifier.model.event import EventType
from notifier.model.identity import Id
from notifier.model.run import Change, SyncRun, Watched
from notifier.model.sync import Mark
from tests.builders import NOW, a_mark, a_run, at

TEXTS = st.none() | st.sampled_from(["queued", "working", "completed", "failed", "canceled", "retrying", "x"])
STATES = st.builds(
    Watched,
    status=TEXTS,
    canceled=st.sampled_from([None, True]),
    error_code=TEXTS,
    error_message=TEXTS,
    error_detail=TEXTS,
)


# --- changes ---


@given(STATES)
def test_a_run_that_did_not_change_gives_no_change(state: Watched) -> None:
    assert changes_between(state, replace(state)) == ()


@given(STATES, STATES)
def test_the_changes_say_exactly_what_differs(old: Watched, new: Watched) -> None:
    changes = changes_between(old, new)
    assert all(change.old == getattr(old, change.field) for change in changes)
    assert all(change.old != change.new for change in changes)
    assert len({change.field for change in changes}) == len(changes)
    assert asdict(old) | {change.field: change.new for change in changes} == asdict(new)


def test_changes_stand_in_the_order_of_the_interface() -> None:
    new = Watched("failed", True, "E1", "message", "detail")
    assert changes_between(Watched("working"), new) == (
        Change("status", "working", "failed"),
        Change("canceled", None, True),
        Change("error_code", None, "E1"),
        Change("error_message", None, "message"),
        Change("error_detail", None, "detail"),
    )


def test_a_run_that_appears_is_a_change_of_its_status_from_nothing() -> None:
    assert changes_between(None, Watched("queued")) == (Change("status", None, "queued"),)
    assert changes_between(None, Watched("failed", error_code="E1")) == (
        Change("status", None, "failed"),
        Change("error_code", None, "E1"),
    )


def test_a_run_that_appears_without_a_status_is_no_change_from_nothing_to_nothing() -> None:
    assert changes_between(None, Watched()) == ()


# --- the name of an event ---


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (Watched("working"), Watched("queued"), "sync_run.queued"),
        (Watched("queued"), Watched("working"), "sync_run.working"),
        (Watched("working"), Watched("completed"), "sync_run.completed"),
        (Watched("working"), Watched("failed"), "sync_run.failed"),
        (Watched("queued"), Watched("skipped"), "sync_run.skipped"),
        # from whatever it was
        (Watched("completed"), Watched("failed"), "sync_run.failed"),
        (Watched("failed"), Watched("working"), "sync_run.working"),
        (Watched("preparing"), Watched("working"), "sync_run.working"),
        (Watched(None), Watched("working"), "sync_run.working"),
        # canceled, by either sign, beats all
        (Watched("working"), Watched("canceled"), "sync_run.canceled"),
        (Watched("working"), Watched("cancelled"), "sync_run.canceled"),
        (Watched("working"), Watched("completed", True), "sync_run.canceled"),
        (Watched("working"), Watched("failed", True, "E1"), "sync_run.canceled"),
        (Watched("working"), Watched("working", True), "sync_run.canceled"),
        (Watched("working"), Watched("retrying", True), "sync_run.canceled"),
        (Watched("working", True), Watched("canceled"), "sync_run.canceled"),
        # canceled before, and still: the status alone names it
        (Watched("working", True), Watched("completed", True), "sync_run.completed"),
        (Watched("working", True), Watched("failed", True), "sync_run.failed"),
        # canceled fell back
        (Watched("working", True), Watched("working"), "sync_run.status_changed"),
        (Watched("working", True), Watched("working", error_code="E1"), "sync_run.status_changed"),
        (Watched("working", True), Watched("completed"), "sync_run.completed"),
        # any other value
        (Watched("working"), Watched("retrying"), "sync_run.status_changed"),
        (Watched("working"), Watched("Completed"), "sync_run.status_changed"),
        (Watched("working"), Watched(None), "sync_run.status_changed"),
        (Watched("canceled"), Watched("retrying", error_code="E1"), "sync_run.status_changed"),
        # a status beats the errors that come with it
        (Watched("working"), Watched("failed", error_code="E1"), "sync_run.failed"),
        # only error fields
        (Watched("failed"), Watched("failed", error_code="E1"), "sync_run.error_changed"),
        (Watched("failed", error_message="a"), Watched("failed", error_message="b"), "sync_run.error_changed"),
        (Watched("failed", error_detail="a"), Watched("failed"), "sync_run.error_changed"),
        (Watched("completed", True, "E1"), Watched("completed", True, "E2"), "sync_run.error_changed"),
        # runs that appear
        (None, Watched("queued"), "sync_run.queued"),
        (None, Watched("completed"), "sync_run.completed"),
        (None, Watched("completed", True), "sync_run.canceled"),
        (None, Watched("cancelled"), "sync_run.canceled"),
        (None, Watched("new"), "sync_run.status_changed"),
    ],
)  # fmt: skip
def test_an_event_has_the_first_type_that_fits(old: Watched | None, new: Watched, expected: str) -> None:
    assert event_type(changes_between(old, new)) == expected


@given(STATES, STATES)
def test_only_errors_changed_is_never_said_of_a_changed_status(old: Watched, new: Watched) -> None:
    changes = changes_between(old, new)
    if changes:
        only_errors = (old.status, old.canceled) == (new.status, new.canceled)
        assert (event_type(changes) is EventType.ERROR_CHANGED) == only_errors


# --- news, by example ---


def ids(runs: Sequence[SyncRun]) -> list[Id]:
    return [run.id for run in runs]


def test_news_is_what_stands_above_the_mark_oldest_first() -> None:
    listed = [a_run(4, created_at=at(3)), a_run(3, created_at=at(2)), a_run(2, created_at=at(1)), a_run(1)]
    reading = read_to_mark(listed, a_mark(2, at(1)), {2, 1})
    assert (ids(reading.news), reading.reached) == ([3, 4], True)


def test_without_the_mark_in_sight_there_is_more_to_read() -> None:
    listed = [a_run(9, created_at=at(9)), a_run(8, created_at=at(8))]
    reading = read_to_mark(listed, a_mark(2, at(1)), set())
    assert (ids(reading.news), reading.reached) == ([8, 9], False)


def test_the_mark_of_a_deleted_run_is_reached_at_a_run_created_before_it() -> None:
    listed = [a_run(3, created_at=at(2)), a_run(1, created_at=at(0))]
    reading = read_to_mark(listed, a_mark(2, at(1), floor=at(1)), set())
    assert (ids(reading.news), reading.reached) == ([3], True)


def test_a_run_created_in_the_same_instant_as_the_mark_is_news_above_it() -> None:
    reading = read_to_mark([a_run(2), a_run(1)], a_mark(1), {1})
    assert (ids(reading.news), reading.reached) == ([2], True)


def test_a_run_without_a_time_above_the_mark_is_news() -> None:
    reading = read_to_mark([a_run(2, created_at=None), a_run(1)], a_mark(1), {1})
    assert ids(reading.news) == [2]


def test_a_run_without_a_time_below_the_mark_is_never_news() -> None:
    listed = [a_run(5), a_run(3, created_at=None), a_run(2, created_at=at(-2))]
    assert ids(read_to_mark(listed, a_mark(5), {5, 2}).news) == []


def test_a_run_shown_late_is_news_once_it_stands_above_a_known_one() -> None:
    listed = [a_run(5, created_at=at(5)), a_run(4, created_at=at(4)), a_run(3, created_at=at(3))]
    mark = a_mark(5, at(5), floor=at(0))
    assert ids(read_to_mark(listed, mark, {5, 3}).news) == [4]
    assert ids(read_to_mark(listed, mark, {5, 4, 3}).news) == []


def test_a_run_shown_late_that_is_no_younger_than_the_baseline_is_no_news() -> None:
    listed = [a_run(5, created_at=at(5)), a_run(4, created_at=at(0)), a_run(3, created_at=at(-1))]
    assert ids(read_to_mark(listed, a_mark(5, at(5), floor=at(0)), {5, 3}).news) == []


def test_an_unknown_run_below_all_known_ones_is_news_if_it_was_created_after_the_floor() -> None:
    listed = [a_run(5, created_at=at(5)), a_run(4, created_at=at(4)), a_run(3, created_at=at(3))]
    assert ids(read_to_mark(listed, a_mark(5, at(5), floor=at(2)), {5, 4}).news) == [3]
    assert ids(read_to_mark(listed, a_mark(5, at(5), floor=at(3)), {5, 4}).news) == []


def test_every_run_of_a_sync_without_a_baseline_is_news() -> None:
    listed = [a_run(2, created_at=at(1)), a_run(1, created_at=None)]
    reading = read_to_mark(listed, START, set())
    assert (ids(reading.news), reading.reached) == ([1, 2], False)


def test_an_empty_list_holds_no_news_and_no_mark() -> None:
    reading = read_to_mark([], a_mark(2), set())
    assert (reading.news, reading.reached) == ((), False)


# --- the mark, by example ---


def test_the_first_mark_is_the_newest_run_and_makes_the_baseline() -> None:
    assert mark_of([a_run(3, created_at=at(2)), a_run(2)], None, at(9)) == Mark(3, at(2), floor=at(2))


def test_an_empty_list_is_a_baseline_too_and_what_was_created_before_it_is_never_news() -> None:
    mark = mark_of([], None, at(9))
    assert mark == Mark(None, None, floor=at(9))
    old, new = a_run(1, created_at=at(8)), a_run(2, created_at=at(9))
    assert ids(read_to_mark([new, old], mark, set()).news) == [2]


def test_the_floor_of_a_baseline_is_its_youngest_run_wherever_that_stands() -> None:
    assert mark_of([a_run(3, created_at=None), a_run(2, created_at=at(4)), a_run(1)], None, at(9)).floor == at(4)
    assert mark_of([a_run(3, created_at=None)], None, at(9)) == Mark(3, None, floor=at(9))


def test_the_mark_of_a_new_sync_makes_every_run_news() -> None:
    assert START.floor is not None
    assert START.floor < datetime(2000, 1, 1, tzinfo=NOW.tzinfo)


def test_what_lies_below_the_floor_is_no_news_though_the_mark_has_no_time_and_is_gone() -> None:
    mark = Mark(200, None, floor=at(150))
    listed = [a_run(number, created_at=at(number)) for number in (201, 150, 149, 50, 1)]
    assert ids(read_to_mark(listed, mark, {150, 149}).news) == [201]


def test_where_no_run_has_a_time_and_the_mark_is_gone_the_first_known_run_is_its_end() -> None:
    listed = [a_run(number, created_at=None) for number in (9, 8, 3, 2, 1)]
    reading = read_to_mark(listed, Mark(7, None, floor=at(0)), {3, 2})
    assert (ids(reading.news), reading.reached) == ([8, 9], True)


# --- what an answer may say of times ---


def test_a_run_is_created_no_later_than_the_answer_that_shows_it() -> None:
    last = timedelta(milliseconds=999)  # `Date` has whole seconds
    assert dated(a_run(created_at=at(60)), at(0)).created_at == at(0)
    assert dated(a_run(created_at=at(0) + last), at(0)).created_at == at(0) + last
    assert dated(a_run(created_at=None), at(0)).created_at is None


@given(st.integers(-9, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_run_that_was_updated_never_looks_older_than_before(first: int, later: int, passed: int) -> None:
    updated_at = at(0) + timedelta(seconds=first / 4)
    before = dated(a_run(updated_at=updated_at), at(0)).updated_at
    after = dated(a_run(updated_at=updated_at + timedelta(seconds=later / 4)), at(passed)).updated_at
    assert before is not None
    assert after is not None
    assert before <= after


@pytest.mark.parametrize(("shown", "expected"), [(None, None), (-60, -60), (0.999, 0.999), (1, 1), (1.5, 1), (60, 1)])
def test_what_is_beyond_the_second_of_the_answer_is_cut_to_its_end(shown: float | None, expected: float | None) -> None:
    """Each for itself: what is beside it has to be cut, or not."""
    for other in (at(-5), at(60)):
        updated = a_run(created_at=other, updated_at=seconds(shown), completed_at=other)
        assert dated(updated, at(0)).updated_at == seconds(expected)
        completed = a_run(created_at=other, updated_at=other, completed_at=seconds(shown))
        assert dated(completed, at(0)).completed_at == seconds(expected)


@pytest.mark.parametrize(("shown", "expected"), [(None, None), (-60, -60), (0.999, 0.999), (1, 0), (1.5, 0), (60, 0)])
def test_what_is_created_in_the_future_is_created_with_its_answer(shown: float | None, expected: float | None) -> None:
    run = a_run(created_at=seconds(shown), completed_at=at(9))
    assert dated(run, at(0)).created_at == seconds(expected)
    assert dated(replace(run, completed_at=None), at(0)).created_at == seconds(expected)


def seconds(after: float | None) -> datetime | None:
    return None if after is None else at(0) + timedelta(seconds=after)


@pytest.mark.parametrize(
    ("floor", "other", "higher"),
    [(at(1), at(2), at(2)), (at(2), at(1), at(2)), (at(1), at(1), at(1)), (None, at(1), at(1)), (at(1), None, at(1))],
)
def test_a_floor_is_only_ever_raised(floor: datetime | None, other: datetime | None, higher: datetime) -> None:
    assert with_floor_of(Mark(3, at(3), floor), Mark(9, at(9), other)) == Mark(3, at(3), higher)


def test_the_floor_of_a_baseline_with_a_run_of_the_future_is_the_time_of_the_answer() -> None:
    assert mark_of([a_run(3, created_at=at(60))], None, at(9)).floor == at(9)


def test_the_mark_moves_up_and_its_floor_stays() -> None:
    assert mark_of([a_run(3, created_at=at(2)), a_run(2)], a_mark(2, at(0), floor=at(-9)), at(9)) == Mark(
        3, at(2), at(-9)
    )


def test_the_mark_never_moves_down() -> None:
    old = a_mark(3, at(2), floor=at(-9))
    assert mark_of([a_run(2, created_at=at(1))], old, at(9)) == old
    assert mark_of([], old, at(9)) == old
    assert mark_of([a_run(3, created_at=at(2))], old, at(9)) == old


# --- news, against a model ---


@dataclass
class Reader:
    """What the poller does with readings, on a server that is a list of runs, newest first."""

    mark: Mark | None = None
    known: set[Id] = field(default_factory=set)
    told: list[Id] = field(default_factory=list)

    def poll(self, server: Sequence[SyncRun], sizes: Iterator[int]) -> None:
        """One poll: pages of these sizes from the top, until the mark or the list's end."""
        listed: list[SyncRun] = []
        news: tuple[SyncRun, ...] = ()
        if self.mark is None:
            listed = list(server)
        else:
            while True:
                listed.extend(server[len(listed) : len(listed) + next(sizes)])
                reading = read_to_mark(listed, self.mark, self.known)
                news = reading.news
                if reading.reached or len(listed) == len(server):
                    break
        self.told += ids(news)
        self.known |= set(ids(listed))
        times = [run.created_at for run in listed if run.created_at is not None]
        self.mark = mark_of(listed, self.mark, max(times, default=at(-1)))


def sizes_from(data: st.DataObject) -> Iterator[int]:
    while True:
        yield data.draw(st.integers(1, 6), label="page size")


# How much younger each run is than the one before: 0 for runs of the same instant.
STEPS = st.lists(st.integers(0, 2), min_size=1, max_size=25)


@given(STEPS, st.integers(0, 25), st.booleans(), st.lists(st.integers(0, 8), max_size=8), st.data())
def test_every_run_above_the_baseline_is_news_once_and_in_order(
    steps: list[int], baseline: int, timeless: bool, growth: list[int], data: st.DataObject
) -> None:
    time, grown = 0, list[SyncRun]()
    for number, step in enumerate(steps, start=1):
        time += step
        grown.append(a_run(number, created_at=None if timeless else at(time)))
    reader = Reader()
    come = baseline
    for more in [0, *growth, len(grown), 0]:
        come += more
        reader.poll(list(reversed(grown[:come])), sizes_from(data))
    assert reader.told == list(range(baseline + 1, len(grown) + 1))


@given(STEPS, st.integers(1, 25), st.data())
def test_the_mark_never_moves_down_and_no_run_is_news_twice_whatever_is_hidden_or_deleted(
    steps: list[int], baseline: int, data: st.DataObject
) -> None:
    time, grown = 0, list[SyncRun]()
    for number, step in enumerate(steps, start=1):
        time += step
        grown.append(a_run(number, created_at=at(time)))
    reader = Reader()
    come = min(baseline, len(grown))
    reader.poll(list(reversed(grown[:come])), sizes_from(data))
    assert reader.mark is not None
    floor = reader.mark.floor
    for _ in range(data.draw(st.integers(1, 8), label="polls")):
        come = min(come + data.draw(st.integers(0, 4), label="come"), len(grown))
        hidden = data.draw(st.sets(st.integers(1, len(grown))), label="hidden")
        before = reader.mark
        reader.poll([run for run in reversed(grown[:come]) if run.id not in hidden], sizes_from(data))
        assert before.created_at is not None
        assert reader.mark.created_at is not None
        assert reader.mark.created_at >= before.created_at
        assert reader.mark.floor == floor
    assert len(reader.told) == len(set(reader.told))
    assert not {run.id for run in grown[:baseline]} & set(reader.told)


@given(STEPS, st.integers(1, 25), st.data())
def test_a_deleted_mark_hides_no_news(steps: list[int], deleted: int, data: st.DataObject) -> None:
    time, grown = 0, list[SyncRun]()
    for number, step in enumerate(steps, start=1):
        time += step
        grown.append(a_run(number, created_at=at(time)))
    known = grown[: data.draw(st.integers(1, len(grown)), label="baseline")]
    reader = Reader()
    reader.poll(list(reversed(known)), sizes_from(data))
    gone = {run.id for run in known[-deleted:]}
    reader.poll([run for run in reversed(grown) if run.id not in gone], sizes_from(data))
    assert reader.told == ids(grown[len(known) :])


@given(st.integers(1, 5), st.integers(0, 5), st.data())
def test_a_list_that_is_empty_for_a_while_and_back_is_no_news(old: int, fresh: int, data: st.DataObject) -> None:
    grown = [a_run(number, created_at=at(number)) for number in range(1, old + fresh + 1)]
    reader = Reader()
    reader.poll(list(reversed(grown[:old])), sizes_from(data))
    for _ in range(3):
        reader.poll([], sizes_from(data))
    reader.poll(list(reversed(grown)), sizes_from(data))
    assert reader.told == list(range(old + 1, old + fresh + 1))


@given(st.permutations(range(2, 8)), st.data())
def test_runs_that_the_list_shows_late_are_news_once(order: list[int], data: st.DataObject) -> None:
    """Run 1 is the baseline; the others were created in turn but the list shows them in any order."""
    created = {number: a_run(number, created_at=at(number)) for number in range(1, 8)}
    shown = {1}
    reader = Reader()
    reader.poll([created[1]], sizes_from(data))
    for number in order:
        shown.add(number)
        # The whole list in one page: a run that is further down than what is read can't be seen.
        reader.poll([created[i] for i in sorted(shown, reverse=True)], iter([10]))
    assert sorted(reader.told) == list(range(2, 8))
