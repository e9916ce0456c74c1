"""The bodies of older versions, which say what a check found in a sentence only."""

from datetime import timedelta

import pytest

from notifier.model.incident import Check
from notifier.model.measure import AnotherError, Counted, Measure, NotRead, Running, Said, Silent, Standstill
from notifier.receivers.words.older import measure_of_older

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("check", "summary", "measure"),
    [
        (Check.FAILING, "another error", AnotherError()),
        (Check.FAILING, "E1: the disk is full", Said("E1: the disk is full")),
        (Check.SLOW_RUN, "running for more than 2 h", Running(120 * MINUTE)),
        (Check.SLOW_RUN, "running for more than under 1 s", Running(timedelta(0))),
        (Check.STALE, "no run has completed for more than 1 d 2 h", Standstill(timedelta(hours=26))),
        (Check.UNREACHABLE, "no usable answer for more than 5 min: HTTP 503", Silent(5 * MINUTE, "HTTP 503")),
        (Check.UNREACHABLE, "HTTP 401 Unauthorized", Said("HTTP 401 Unauthorized")),
        (Check.UNREADABLE, "no readable answer for more than 30 min: HTTP 500", NotRead(30 * MINUTE, "HTTP 500")),
        (Check.UNREADABLE, "run 94 can't be read for more than 30 min: a: b", NotRead(30 * MINUTE, "a: b", 94)),
        (Check.RECORD_COUNT, "1,240 records sent, the mean of the runs before is 18,340", Counted(1_240, 18_340)),
        (Check.RECORD_COUNT, "1 records sent, the mean of the runs before is 1", Counted(1, 1)),
        (Check.REJECTED_RECORDS, "1 of 2 records was rejected", Said("1 of 2 records was rejected")),
        (Check.SLOW_RUN, "no run has completed for more than 2 h", Said("no run has completed for more than 2 h")),
    ],
)
def test_a_sentence_is_read_as_what_the_check_had_found(check: Check, summary: str, measure: Measure) -> None:
    assert measure_of_older(check, summary) == measure
