"""From an answer of Census to a message in Slack: what the API may send survives the whole way."""

import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.census.wire import one_run
from notifier.judging.body import LARGEST, event_body
from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.run import Change
from notifier.receivers.slack.blocks.run import render
from notifier.receivers.slack.blocks.text import Rendered
from notifier.simulator.slack.block_kit import problems_of, text_length
from tests.builders import NOW

LINK: Final = "https://app.getcensus.com/syncs/52/history?sync_run_id=93"
COUNTS: Final = ("records_processed", "records_updated", "records_failed", "records_invalid", "source_record_invalids")
TEXTS: Final = ("status", "error_code", "error_message", "error_detail", "sync_trigger_reason", "current_step")
OTHERS: Final = ("canceled", "created_at", "updated_at", "completed_at", "quite_new_field")


def body_of(answer: bytes, kind: EventType = EventType.FAILED) -> bytes:
    """The event that is made of an answer to "Fetch sync run"."""
    run = one_run(answer)
    changes = (Change("status", "working", run.watched.status), Change("error_code", None, run.watched.error_code))
    return event_body(
        type=kind,
        seen_at=NOW,
        workspace="production",
        app_url="https://app.getcensus.com",
        labels={},
        sync_id=52,
        sync_label="Leads",
        run=run,
        previous_run=None,
        changes=changes,
    )


def told(answer: bytes, kind: EventType = EventType.FAILED) -> Rendered:
    """What the channel is shown, which Slack takes."""
    rendered = render(EventBody.of(body_of(answer, kind)), NOW)
    assert problems_of(list(rendered.blocks)) == []
    assert text_length(list(rendered.blocks)) <= 9_000
    assert 0 < len(rendered.text) <= 4_000
    assert 0 < len(rendered.plain) <= 4_000
    assert re.findall(r'"url": "([^"]*)"', json.dumps(rendered.blocks)) == [LINK]
    return rendered


def answer_of(**fields: Any) -> bytes:
    run = {"id": 93, "sync_id": 52, "status": "failed", **fields}
    return json.dumps({"status": "success", "data": run}).encode()


@pytest.mark.parametrize("number", [2**63, 2**64, 10**30, 10**400, 10**4_000, -(10**400)])
@pytest.mark.parametrize("kind", [EventType.FAILED, EventType.COMPLETED])
def test_a_number_beyond_all_measure_is_no_count_and_stops_no_message(number: int, kind: EventType) -> None:
    rendered = told(answer_of(**dict.fromkeys((*COUNTS, "quite_new_field"), number)), kind)
    assert not re.search(r"\d (sent|succeeded|rejected|invalid)", rendered.plain)


def test_a_number_that_no_float_holds_is_left_out() -> None:
    rendered = told(b'{"data": {"id": 93, "sync_id": 52, "status": "failed", "records_failed": 1e999, "x": -1e999}}')
    assert rendered.text == "Leads: run 93 failed"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (rb'"out \ud800 of\u0000 luck\udfff"', "out \ufffd of luck\ufffd"),
        (b'"out of \xff luck"', "out of \ufffd luck"),
        (b'{"reason": ["out", {"of": "luck"}]}', '{"reason": ["out", {"of": "luck"}]}'),
        (b"[" * 80 + b"]" * 80, "[" * 80 + "]" * 80),
        (b'"\xe2\x80\xae\xef\xbb\xbfkcul"', "kcul"),
    ],
)
def test_a_text_that_is_hardly_one_is_shown_as_far_as_it_can_be(raw: bytes, shown: str) -> None:
    answer = b'{"data": {"id": 93, "sync_id": 52, "status": "failed", "error_message": %s}}' % raw
    assert told(answer).plain.splitlines()[1] == shown


def test_an_event_that_was_cut_to_its_largest_size_is_a_message_with_its_link() -> None:
    answer = answer_of(error_message="m" * 400_000, error_detail="<&>" * 200_000, error_code="c" * 50_000)
    body = body_of(answer)
    assert len(body) <= LARGEST
    assert json.loads(body)["data"]["truncated"] is True
    rendered = told(answer)
    assert rendered.text == f"Leads: run 93 failed, {'c' * 119}…"
    assert rendered.plain.endswith("…")


def test_ids_that_came_as_text_lead_to_the_same_page() -> None:
    assert told(answer_of(id="93", sync_id="52")).text == "Leads: run 93 failed"


NUMBERS = st.integers() | st.integers(min_value=-(10**500), max_value=10**500) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=())),  # lone surrogates too
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    kind=st.sampled_from([kind for kind in EventType if kind.startswith("sync_run.")]),
    fields=st.fixed_dictionaries({}, optional=dict.fromkeys((*COUNTS, *TEXTS, *OTHERS), JSON)),
)
def test_whatever_an_answer_holds_becomes_a_message(kind: EventType, fields: dict[str, Any]) -> None:
    told(answer_of(**fields), kind)
