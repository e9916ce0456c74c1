"""Who has which part: fair, the same whoever computes it and whenever, and nothing moves that need not."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from notifier.model.part import UPKEEP, kind_of, workspace_part
from notifier.store.shares import share_out

WORKERS = ("a", "b", "c", "d", "e")
PARTS = (
    UPKEEP,
    "slack",
    *(workspace_part(f"w{number}") for number in range(8)),
    *(f"webhook:h{number}" for number in range(5)),
)

parts = st.sets(st.sampled_from(PARTS))
workers = st.sets(st.sampled_from(WORKERS))
somebody = workers.filter(bool)


@st.composite
def owned(draw: st.DrawFn) -> dict[str, str | None]:
    """Who has what, by whatever came before: nobody, the living, and those who are gone."""
    names = sorted(draw(parts))
    owner = st.none() | st.sampled_from((*WORKERS, "gone"))
    return {name: draw(owner) for name in draw(st.permutations(names))}


def within_one(counts: Counter[str], workers: set[str]) -> bool:
    shares = [counts[worker] for worker in workers]
    return max(shares) - min(shares) <= 1


@given(owned(), somebody)
def test_each_has_as_many_as_the_others_or_one_more_of_each_kind_and_in_all(
    parts: dict[str, str | None], workers: set[str]
) -> None:
    plan = share_out(parts, workers)
    assert plan.keys() == parts.keys()
    assert set(plan.values()) <= workers
    assert within_one(Counter(plan.values()), workers)
    for kind in map(kind_of, parts):
        assert within_one(Counter(worker for part, worker in plan.items() if kind_of(part) == kind), workers)


@given(owned())
def test_where_nobody_may_have_anything_nothing_is_planned(parts: dict[str, str | None]) -> None:
    assert share_out(parts, ()) == {}


@given(owned(), somebody)
def test_what_was_moved_as_planned_stays(parts: dict[str, str | None], workers: set[str]) -> None:
    plan = share_out(parts, workers)
    assert share_out(plan, workers) == plan


@given(parts, somebody, st.permutations(WORKERS))
def test_what_is_shared_fairly_stays_whoever_has_the_more(parts: set[str], workers: set[str], order: list[str]) -> None:
    """IDs are drawn by lot: those that come first in the alphabet may not have what is one more."""
    named = dict(zip(WORKERS, order, strict=True))
    fair = {part: named[worker] for part, worker in share_out(dict.fromkeys(parts), workers).items()}
    assert share_out(fair, [named[worker] for worker in workers]) == fair


def test_who_keeps_the_one_more_is_not_changed_by_what_he_gives() -> None:
    now: dict[str, str | None] = {workspace_part(f"w{number}"): "aaabbbb"[number] for number in range(7)}
    plan = share_out(now, WORKERS[:3])
    assert Counter(plan.values()) == {"a": 3, "b": 2, "c": 2}
    for part in [part for part in now if now[part] != plan[part]]:
        now[part] = None
        assert share_out(now, WORKERS[:3]) == plan


@given(owned(), somebody, st.data())
def test_the_plan_is_the_same_whichever_moves_were_made_already(
    parts: dict[str, str | None], workers: set[str], data: st.DataObject
) -> None:
    """Parts are given one by one, and claimed at different moments; nobody may change his mind meanwhile."""
    plan = share_out(parts, workers)
    now = dict(parts)
    for part in data.draw(st.lists(st.sampled_from(sorted(parts)), max_size=20)) if parts else ():
        has_owner = now[part] is not None and now[part] != plan[part]
        now[part] = None if has_owner else plan[part]  # first it is given, or its owner expelled; then claimed
        assert share_out(now, workers) == plan


@given(owned(), somebody)
def test_it_is_the_same_whoever_computes_it(parts: dict[str, str | None], workers: set[str]) -> None:
    other_order = dict(reversed(parts.items()))
    assert share_out(parts, workers) == share_out(other_order, sorted(workers, reverse=True))


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {part for part in before if before[part] != after[part]}


@given(parts, somebody, st.sampled_from(WORKERS))
def test_who_goes_leaves_the_others_what_they_have(parts: set[str], workers: set[str], goes: str) -> None:
    before = share_out(dict.fromkeys(parts), workers | {goes})
    rest = workers - {goes}
    if rest:
        after = share_out(before, rest)
        kept = {part for part, worker in before.items() if worker != goes}
        # None of a kind moves between two that stay, unless the kinds together would be shared unevenly.
        most = len(set(map(kind_of, parts)))
        assert len(moved(before, after) & kept) <= most


def test_parts_of_one_worker_are_shared_with_one_that_comes_and_stay_while_nobody_does() -> None:
    alone = share_out(dict.fromkeys(PARTS), {"a"})
    assert set(alone.values()) == {"a"}
    two = share_out(alone, {"a", "b"})
    assert {part for part, worker in two.items() if worker == "a"} <= alone.keys()
    assert sorted(Counter(two.values()).values()) == [7, 8]
    assert share_out(two, {"a"}) == alone
