"""IDs: which values are one, which are the same one, and how they stand in lists and URLs."""

from random import Random
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from notifier.model.event import run_story
from notifier.model.identity import LARGEST_NUMBER, LONGEST_ID, Id, id_of, in_order, in_path, run_page, sync_page

NUMBERS = st.integers(1, LARGEST_NUMBER)
WORDS = st.text(
    st.characters(exclude_categories=("C", "Z")) | st.sampled_from(":/%?#&=+.@"), min_size=1, max_size=LONGEST_ID
).filter(lambda text: isinstance(id_of(text), str))
IDS = NUMBERS | WORDS
APP = "https://app.getcensus.com"


@given(NUMBERS)
def test_a_number_and_its_digits_are_one_id(number: int) -> None:
    assert id_of(number) == id_of(str(number)) == number


@given(IDS)
def test_what_is_an_id_stays_what_it_is(identity: Id) -> None:
    assert id_of(identity) == identity
    assert id_of(str(identity)) == identity  # as the database and URLs hold it


@pytest.mark.parametrize("word", ["glimmering_donkey", "007", "00", "1e5", "1.5", "٣", "²", "-", "true", "nächste"])
def test_what_is_not_plainly_a_number_is_a_word(word: str) -> None:
    assert id_of(word) == word


@pytest.mark.parametrize("number", [LARGEST_NUMBER + 1, 10**30])
def test_a_number_beyond_all_readers_of_json_is_a_word_of_digits(number: int) -> None:
    assert id_of(number) == id_of(str(number)) == str(number)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 10**LONGEST_ID, 1 << 3_000, 1.0, 52.5, [], {}, b"52"),
        *("", "0", "-1", "-0", "two words", " 52", "52 ", "52\n", "a\tb", "a\x00", "a\u00a0b", "a\u202eb", "\ud800"),
        *(".", "..", "a" * (LONGEST_ID + 1)),
    ],
)
def test_what_can_be_no_id_is_none(value: object) -> None:
    assert id_of(value) is None


def test_nor_is_a_number_of_more_digits_than_python_writes() -> None:
    assert id_of(10**5_000) is None


@given(st.lists(IDS, unique=True), st.randoms())
def test_any_ids_have_one_order_numbers_by_their_size_before_words(identities: list[Id], chance: Random) -> None:
    ordered = sorted(identities, key=in_order)
    chance.shuffle(identities)
    assert sorted(identities, key=in_order) == ordered
    numbers = [identity for identity in ordered if isinstance(identity, int)]
    assert ordered[: len(numbers)] == sorted(numbers)


@given(IDS)
def test_in_a_path_an_id_is_one_segment_which_a_client_sends_as_it_is(identity: Id) -> None:
    path = f"/api/v1/syncs/{in_path(identity)}/sync_runs"
    assert [unquote(part) for part in path.split("/")] == ["", "api", "v1", "syncs", str(identity), "sync_runs"]
    assert URL(f"http://127.0.0.1{path}", encoded=True).raw_path == path


@given(IDS, IDS)
def test_a_runs_page_leads_to_it_whatever_it_is_called(sync_id: Id, run_id: Id) -> None:
    page = urlsplit(run_page(APP, sync_id, run_id))
    assert unquote(page.path) == f"/syncs/{sync_id}/history"
    assert page.query.startswith("sync_run_id=")
    assert unquote(page.query.removeprefix("sync_run_id=")) == str(run_id)
    assert page.fragment == ""


def test_pages_of_numbers_are_as_they_always_were() -> None:
    assert sync_page(APP, 52) == f"{APP}/syncs/52/history"
    assert run_page(APP, 52, 93) == f"{APP}/syncs/52/history?sync_run_id=93"
    assert run_page(APP, "glimmering_donkey", "a/b c&d") == (
        f"{APP}/syncs/glimmering_donkey/history?sync_run_id=a%2Fb%20c%26d"
    )


@given(IDS, IDS, IDS, IDS)
def test_no_two_runs_have_one_story(sync_id: Id, run_id: Id, other_sync: Id, other_run: Id) -> None:
    is_same = (sync_id, run_id) == (other_sync, other_run)
    assert (run_story("eu", sync_id, run_id) == run_story("eu", other_sync, other_run)) == is_same
    assert run_story("eu:west", 52, 93) == "run:93:52:eu:west"


def test_a_colon_in_an_id_does_not_make_one_story_of_two() -> None:
    assert run_story("eu", "b:c", "a") != run_story("eu", "c", "a:b")
    assert run_story("eu", "c", "a%3Ab") != run_story("eu", "c", "a:b")
