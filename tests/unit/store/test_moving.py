"""What a move takes along, and how it tells that two databases hold the same."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.store.sql.moving import OF_ALL, OF_SERVERS, columns_of, digest_of, number_of, truths_of
from notifier.store.sql.schema import metadata

values = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False)
rows = st.lists(st.tuples(values, values), max_size=6)


def test_a_table_comes_after_those_that_it_refers_to() -> None:
    names = [table.name for table in OF_ALL]
    assert sorted(names) == sorted(metadata.tables)
    assert names.index("events") < names.index("deliveries")
    assert [table.name for table in OF_SERVERS] == ["hints", "listings"]


def test_numbers_are_those_that_the_database_gives() -> None:
    numbered = {table.name: column.name for table in OF_ALL if (column := number_of(table)) is not None}
    assert numbered == {"snapshots": "id", "incidents": "seq", "events": "seq", "deliveries": "id"}


def test_what_is_true_or_false_is_known_by_its_column() -> None:
    receivers = metadata.tables["receivers"]
    assert [columns_of(receivers)[place] for place in truths_of(receivers)] == ["failing"]


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_batches_makes_no_difference(of: list[tuple[object, object]], chance: Random) -> None:
    other = [*of]
    chance.shuffle(other)
    assert digest_of([of]) == digest_of([[row] for row in other])


@given(rows, rows)
def test_other_rows_are_told_apart(of: list[tuple[object, object]], others: list[tuple[object, object]]) -> None:
    same = sorted(map(repr, of)) == sorted(map(repr, others))
    assert (digest_of([of]) == digest_of([others])) is same


@pytest.mark.parametrize("other", [[], [(1, "a"), (1, "a")], [(1, "A")], [(True, "a")], [(1, b"a")]], ids=repr)
def test_one_row_is_no_other(other: list[tuple[object, object]]) -> None:
    assert digest_of([[(1, "a")]]) != digest_of([other])
