"""Webhooks of Census as rows: what one replica keeps, another reads as the same."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.census.lifecycle import ALERTS, notice_of
from notifier.model.event import CensusAlert, EventType
from notifier.model.notice import Notice
from notifier.store.sql.rows import ALERT_TYPES, hint_key, hint_of, hint_row

IDS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(max_size=200))
SAID = st.one_of(st.none(), st.text(), st.lists(st.integers(-9, 9), max_size=2))
KEPT = {"id": 1, "type": "census_alert.raised", "kind": None, "message": None, "details": None, "url": None}


def stored(row: dict[str, Any], **other: Any) -> Any:
    """The row as a read gives it back."""
    return SimpleNamespace(**{**row, **other})


@given(
    st.fixed_dictionaries(
        {
            "sync_id": IDS,
            "event": st.sampled_from([*ALERTS, "sync.completed"]),
            "alert_instance_id": IDS,
            "alert_type": SAID,
            "message": SAID,
            "details": SAID,
            "followup_url": st.sampled_from([None, "https://app.getcensus.com/x", "https://elsewhere.example.com"]),
            "sync_run_id": IDS,
        }
    )
)
def test_whatever_a_webhook_says_is_the_same_after_the_row(said: dict[str, Any]) -> None:
    body = json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass")
    notice = notice_of(body, "https://app.getcensus.com")
    if notice is not None:
        kept = hint_of(stored(hint_row("main", notice)))
        assert kept == notice
        assert repr(kept) == repr(notice)  # 1 is True, and equal to it


def test_every_alert_that_is_read_can_be_kept() -> None:
    assert set(ALERTS.values()) == set(ALERT_TYPES)


def test_a_hint_is_the_same_one_by_its_sync_and_by_its_alert() -> None:
    raised = CensusAlert(1, EventType.CENSUS_ALERT_RAISED)
    resolved = CensusAlert(1, EventType.CENSUS_ALERT_RESOLVED)
    notices = [Notice(52), Notice(53), Notice(52, raised), Notice(52, resolved), Notice(53, raised)]
    keys = {tuple(hint_key("main", notice).items()) for notice in notices}
    assert len(keys) == len(notices)
    again = Notice(52, CensusAlert("1", EventType.CENSUS_ALERT_RAISED, message="as told once already"))
    assert hint_key("main", again) == hint_key("main", Notice(52, raised))


def test_what_a_later_version_adds_is_left_out() -> None:
    row = stored({"sync_id": 52, "kind": "x", "alert": json.dumps({**KEPT, "severity": 3}).encode()})
    assert hint_of(row) == Notice(52, CensusAlert(1, EventType.CENSUS_ALERT_RAISED))


@pytest.mark.parametrize(
    "changed",
    [
        {"id": None},
        {"id": True},
        {"id": 1.5},
        {"id": [1]},
        {"type": "sync_run.failed"},
        {"type": "census_alert.snoozed"},
        {"type": ["census_alert.raised"]},
        {"message": 5},
        {"url": {"href": "x"}},
        {"run_id": True},
        {"run_id": ""},
        {"run_id": [1]},
    ],
    ids=str,
)
def test_an_alert_of_another_shape_can_not_be_read(changed: dict[str, Any]) -> None:
    row = {"sync_id": 52, "kind": "census_alert.raised:1", "alert": json.dumps({**KEPT, **changed}).encode()}
    assert hint_of(stored(row)) is None


@pytest.mark.parametrize(
    "alert",
    [b"", b"null", b"1", b"[]", b"{}", b'{"id": 1}', b"\xff", b"[" * 10_000, b'{"type": "census_alert.raised"}'],
)
def test_garbage_can_not_be_read(alert: bytes) -> None:
    assert hint_of(stored({"sync_id": 52, "kind": "x", "alert": alert})) is None


def test_a_kind_without_an_alert_that_is_not_known_can_not_be_read() -> None:
    assert hint_of(stored({"sync_id": 52, "kind": "poll of tomorrow", "alert": None})) is None
