"""What a check found: the sentence that it becomes, and its way through JSON."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.model.measure import (
    AnotherError,
    Counted,
    Lost,
    Measure,
    NotRead,
    Running,
    Said,
    Silent,
    Standstill,
    measure_json,
    measure_of,
    sentence,
)

HOUR = timedelta(hours=1)
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=10_000))
COUNTS = st.integers(0, 10**15)
MEASURES = st.one_of(
    st.builds(Running, LENGTHS),
    st.builds(Standstill, LENGTHS),
    st.builds(Silent, LENGTHS, st.text()),
    st.builds(NotRead, LENGTHS, st.text(), st.none() | st.integers(1, 2**63)),
    st.builds(Counted, COUNTS, COUNTS),
    st.builds(Lost, COUNTS, COUNTS),
    st.just(AnotherError()),
)


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        (Running(2 * HOUR), "running for more than 2 h"),
        (Standstill(26 * HOUR), "no run has completed for more than 1 d 2 h"),
        (Silent(HOUR / 12, "HTTP 503"), "no usable answer for more than 5 min: HTTP 503"),
        (NotRead(HOUR / 2, "HTTP 500"), "no readable answer for more than 30 min: HTTP 500"),
        (NotRead(HOUR / 2, "HTTP 500", 94), "run 94 can't be read for more than 30 min: HTTP 500"),
        (Counted(1_240, 18_340), "1,240 records sent, the mean of the runs before is 18,340"),
        (Counted(1, 100), "1 record sent, the mean of the runs before is 100"),
        (Lost(12, 14), "12 of 14 records were rejected or invalid (85 %)"),
        (Lost(1, 1), "1 of 1 record was rejected or invalid (100 %)"),
        (AnotherError(), "another error"),
        (Said("E1: the disk is full"), "E1: the disk is full"),
    ],
)
def test_each_has_its_sentence(measure: Measure, words: str) -> None:
    assert sentence(measure) == words


@given(MEASURES)
def test_what_became_json_is_read_as_it_was(measure: Measure) -> None:
    assert measure_of(measure_json(measure)) == measure


def test_seconds_are_whole_where_they_can_be() -> None:
    assert repr(measure_json(Running(2 * HOUR))) == "{'kind': 'running', 'than_seconds': 7200}"
    assert measure_json(Running(timedelta(milliseconds=500))) == {"kind": "running", "than_seconds": 0.5}


def test_what_others_said_has_its_sentence_alone() -> None:
    assert measure_json(Said("E1")) is None
    assert measure_json(None) is None


@pytest.mark.parametrize(
    "given",
    [
        None,
        "running",
        {},
        {"kind": "newer", "than_seconds": 5},
        {"kind": "running"},
        {"kind": "running", "than_seconds": "5"},
        {"kind": "running", "than_seconds": 1e300},
        {"kind": "running", "than_seconds": float("nan")},
        {"kind": "silent", "than_seconds": 5},
        {"kind": "not_read", "than_seconds": 5, "error": "x", "sync_run_id": [94]},
        {"kind": "counted", "records_sent": 5},
        {"kind": "lost", "records_lost": None, "of": 5},
    ],
)
def test_other_json_is_no_measure(given: Any) -> None:
    assert measure_of(given) is None
