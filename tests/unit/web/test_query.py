"""The parameters of the JSON endpoints: each known and there once, and what is wrong with one is said in a sentence."""

from collections.abc import Callable

import pytest

from notifier.model.delivery import DeliveryState
from notifier.model.event import EventType
from notifier.model.identity import NO_ID
from notifier.web.query import (
    Parameters,
    WrongParameter,
    delivery_state_of,
    flag_of,
    limit_of,
    parameters,
    sync_of,
    types_of,
)


def test_what_was_asked_is_what_is_given() -> None:
    assert parameters([("sync", "52"), ("limit", "9")], ("limit", "sync", "type")) == {"sync": "52", "limit": "9"}
    assert parameters([], ()) == {}


@pytest.mark.parametrize(
    ("asked", "known", "sentence"),
    [
        ([("wat", "1")], ("sync", "limit"), "there is no such parameter; known are limit, sync"),
        ([("limit", "1")], (), "there is no such parameter; there are none here"),
        ([("limit", "1"), ("sync", "2"), ("limit", "1")], ("limit", "sync"), "limit is given twice"),
    ],
)
def test_a_parameter_is_known_and_there_once(
    asked: list[tuple[str, str]], known: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(WrongParameter) as wrong:
        parameters(asked, known)
    assert str(wrong.value) == sentence


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("7", 7), ("007", 7), ("200", 200)])
def test_a_limit_is_a_number_from_1_to_200(text: str, number: int) -> None:
    assert limit_of({"limit": text}) == number


def test_where_nothing_is_asked_it_is_fifty_of_everything() -> None:
    assert limit_of({}) == 50
    assert (sync_of({}), types_of({}), delivery_state_of({})) == (None, None, None)


def test_a_sync_is_a_number_or_a_word() -> None:
    assert sync_of({"sync": "1"}) == 1
    assert sync_of({"sync": "glimmering_donkey"}) == "glimmering_donkey"
    assert sync_of({"sync": "007"}) == "007"


def test_types_and_states_are_read_by_their_names() -> None:
    assert types_of({"type": "sync_run.failed"}) == [EventType.FAILED]
    assert delivery_state_of({"state": "dead"}) is DeliveryState.DEAD


def test_a_switch_is_off_where_it_is_not_given() -> None:
    assert flag_of({"open": "true"}, "open")
    assert not flag_of({"open": "false"}, "open")
    assert not flag_of({}, "open")


@pytest.mark.parametrize(
    ("ask", "given", "sentence"),
    [
        *((limit_of, {"limit": text}, "limit must be a whole number from 1 to 200") for text in ("0", "201", "-1", "")),
        *(
            (limit_of, {"limit": text}, "limit must be a whole number from 1 to 200")
            for text in ("1.0", "٣", "²", "0001")
        ),
        *((sync_of, {"sync": text}, f"sync {NO_ID}") for text in ("0", "", "-1", "two words", "9" * 5000)),
        (delivery_state_of, {"state": "lost"}, "state must be one of pending, delivered, dead"),
        (lambda given: flag_of(given, "open"), {"open": "yes"}, "open must be true or false"),
        (
            types_of,
            {"type": "sync_run.faild"},
            'no event has the type "sync_run.faild"; did you mean "sync_run.failed"?',
        ),
    ],
)
def test_what_is_wrong_is_said(ask: Callable[[Parameters], object], given: Parameters, sentence: str) -> None:
    with pytest.raises(WrongParameter) as wrong:
        ask(given)
    assert str(wrong.value) == sentence
