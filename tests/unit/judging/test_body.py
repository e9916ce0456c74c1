"""The body that every receiver gets: its shape to the byte, and what is cut where it is too large."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.judging.body import encoded, event_body
from notifier.model.event import EventType
from notifier.model.identity import Id
from notifier.model.run import Change, PreviousRun
from notifier.model.times import timestamp
from tests.builders import NOW, a_run

LIMIT = 262_144  # 256 KiB


def body_of(
    fields: dict[str, Any], *, labels: dict[str, str] | None = None, previous: PreviousRun | None = None
) -> bytes:
    return event_body(
        type=EventType.FAILED,
        seen_at=NOW,
        workspace="production",
        app_url="https://app.getcensus.com",
        labels=labels if labels is not None else {"team": "growth"},
        sync_id=52,
        sync_label="New Signups to Leads",
        run=a_run(93, sync_id=52, fields=fields),
        previous_run=previous,
        changes=[Change("status", "working", "failed"), Change("error_code", None, "JSON_ARRAY_ERROR")],
    )


def test_the_body_is_to_the_byte_what_the_interface_says() -> None:
    fields = {"id": 93, "status": "failed", "records_failed": None, "brand_new": {"ui_tag": "Grüße", "rate": 0.5}}
    assert (
        body_of(fields, previous=PreviousRun(92, "completed"))
        == (
            '{"type":"sync_run.failed","timestamp":"2026-11-23T10:15:30.123Z","data":{"workspace":"production",'
            '"labels":{"team":"growth"},'
            '"sync":{"id":52,"label":"New Signups to Leads","url":"https://app.getcensus.com/syncs/52/history"},'
            '"sync_run":{"id":93,"status":"failed","records_failed":null,"brand_new":{"ui_tag":"Grüße","rate":0.5},'
            '"url":"https://app.getcensus.com/syncs/52/history?sync_run_id=93"},'
            '"previous_run":{"id":92,"status":"completed"},'
            '"changes":[{"field":"status","old":"working","new":"failed"},'
            '{"field":"error_code","old":null,"new":"JSON_ARRAY_ERROR"}]}}'
        ).encode()
    )


def test_what_is_not_known_is_null_and_what_is_empty_is_empty() -> None:
    body = event_body(
        type=EventType.STATUS_CHANGED,
        seen_at=NOW,
        workspace="w",
        app_url="http://127.0.0.1:8700",
        labels={},
        sync_id=2,
        sync_label=None,
        run=a_run(1, sync_id=2, fields={"id": 1}),
        previous_run=None,
        changes=[Change("canceled", True, None)],
    )
    assert json.loads(body)["data"] == {
        "workspace": "w",
        "labels": {},
        "sync": {"id": 2, "label": None, "url": "http://127.0.0.1:8700/syncs/2/history"},
        "sync_run": {"id": 1, "url": "http://127.0.0.1:8700/syncs/2/history?sync_run_id=1"},
        "previous_run": None,
        "changes": [{"field": "canceled", "old": True, "new": None}],
    }


@pytest.mark.parametrize(
    ("sync_id", "given", "told"),
    [
        (52, "52", "52"),
        (52, 52, 52),
        (52, "053", 52),  # another sync's, if it is one
        (52, None, 52),
        ("glimmering_donkey", "glimmering_donkey", "glimmering_donkey"),
        ("007", "007", "007"),
        ("007", 7, "007"),
    ],
)
def test_a_syncs_id_is_told_as_the_api_gave_it(sync_id: Id, given: object, told: object) -> None:
    body = event_body(
        type=EventType.FAILED,
        seen_at=NOW,
        workspace="w",
        app_url="https://x",
        labels={},
        sync_id=sync_id,
        sync_label=None,
        run=a_run(93, fields={"id": "93", "sync_id": given}),
    )
    data = json.loads(body)["data"]
    assert data["sync"] == {"id": told, "label": None, "url": f"https://x/syncs/{sync_id}/history"}
    assert data["sync_run"] == {
        "id": "93",
        "sync_id": given,
        "url": f"https://x/syncs/{sync_id}/history?sync_run_id=93",
    }


def test_links_bear_any_id() -> None:
    body = event_body(
        type=EventType.FAILED,
        seen_at=NOW,
        workspace="w",
        app_url="https://x",
        labels={},
        sync_id="a/b?c",
        sync_label=None,
        run=replace(a_run(93, fields={}), id="d&e#f"),
    )
    url = json.loads(body)["data"]["sync_run"]["url"]
    assert url == "https://x/syncs/a%2Fb%3Fc/history?sync_run_id=d%26e%23f"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "url"), JSON_VALUES, max_size=5))
def test_every_field_of_the_run_passes_through_as_it_came(fields: dict[str, Any]) -> None:
    run = json.loads(body_of(fields))["data"]["sync_run"]
    assert run.pop("url") == "https://app.getcensus.com/syncs/52/history?sync_run_id=93"
    assert run == fields
    assert "truncated" not in json.loads(body_of(fields))["data"]


@pytest.mark.parametrize(
    "value", [2**64 - 1, 2**64, -(2**63) - 1, 10**400, 1.5e-7, 1e300, -0.0, "\x7f\x00\u2028\U0001f600"]
)
def test_no_value_of_json_is_too_large_or_too_strange_to_pass_through(value: object) -> None:
    assert json.loads(body_of({"id": 93, "other": [value]}))["data"]["sync_run"]["other"] == [value]


def test_a_field_named_url_gives_way_to_the_link() -> None:
    run = json.loads(body_of({"id": 93, "url": "https://evil.example"}))["data"]["sync_run"]
    assert run["url"] == "https://app.getcensus.com/syncs/52/history?sync_run_id=93"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (NOW, "2026-11-23T10:15:30.123Z"),
        (NOW.replace(microsecond=0), "2026-11-23T10:15:30.000Z"),
        (NOW.replace(microsecond=123_999), "2026-11-23T10:15:30.123Z"),
        (NOW.replace(microsecond=5_000), "2026-11-23T10:15:30.005Z"),
        (NOW.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-11-23T10:15:30.123Z"),
        (NOW.astimezone(timezone(timedelta(hours=-11))), "2026-11-23T10:15:30.123Z"),
    ],
)
def test_a_timestamp_is_in_utc_with_milliseconds(time: datetime, expected: str) -> None:
    assert timestamp(time) == expected


# --- too large ---


def document(strings: list[str]) -> dict[str, Any]:
    return {"type": "t", "data": {"sync_run": {f"f{i}": text for i, text in enumerate(strings)}}}


def cut_strings(body: bytes) -> list[str]:
    return list(json.loads(body)["data"]["sync_run"].values())


def test_a_body_of_just_256_kib_is_left_alone() -> None:
    frame = len(encoded(document([""])))
    body = encoded(document(["x" * (LIMIT - frame)]))
    assert len(body) == LIMIT
    assert "truncated" not in json.loads(body)["data"]


def test_a_body_of_one_byte_more_is_cut_and_says_so() -> None:
    frame = len(encoded(document([""])))
    text = "x" * (LIMIT - frame + 1)
    body = encoded(document([text]))
    assert len(body) <= LIMIT
    assert json.loads(body)["data"]["truncated"] is True
    [cut] = cut_strings(body)
    assert cut.endswith("x…")
    assert text.startswith(cut[:-1])


def test_no_more_is_cut_than_must_be() -> None:
    body = encoded(document(["x" * 1_000_000]))
    # The ellipsis is three bytes for one character, so the length can miss the limit by two.
    assert LIMIT - 2 <= len(body) <= LIMIT


def test_only_the_longest_strings_are_cut() -> None:
    short, longer, longest = "s" * 30_000, "l" * 100_000, "x" * 400_000
    first, second, third = cut_strings(encoded(document([short, longer, longest])))
    assert (first, second) == (short, longer)
    assert third[-1] == "…"
    assert longest.startswith(third[:-1])


def test_strings_deep_inside_lists_and_objects_are_cut_too() -> None:
    body = encoded({"type": "t", "data": {"a": [{"b": ["x" * 300_000, 7, None]}], "kept": "k" * 1_000}})
    data = json.loads(body)["data"]
    assert len(body) <= LIMIT
    assert data["a"][0]["b"][0].endswith("x…")
    assert data["a"][0]["b"][1:] == [7, None]
    assert data["kept"] == "k" * 1_000


def test_with_too_many_strings_each_keeps_its_thousand_characters() -> None:
    body = encoded(document(["a" * 1_000] * 200 + ["b" * 999] * 100 + ["c" * 1_001, "d" * 5_000]))
    assert len(body) > LIMIT
    strings = cut_strings(body)
    assert strings[:300] == ["a" * 1_000] * 200 + ["b" * 999] * 100
    assert strings[300:] == ["c" * 999 + "…", "d" * 999 + "…"]
    assert json.loads(body)["data"]["truncated"] is True


@st.composite
def long_strings(draw: st.DrawFn) -> list[str]:
    """Strings of 1 to 4 bytes a character, or of characters that JSON escapes, of any length."""
    lengths = st.sampled_from([0, 1, 999, 1_000, 1_001, 1_500, 40_000, 90_000, 262_144, 300_000])
    characters = st.sampled_from(["x", "é", "€", "😀", '"', "\n", "\x01", "👩‍💻"])
    count = draw(st.sampled_from([1, 2, 3, 7]))
    strings = []
    for _ in range(count):
        unit, length = draw(characters), draw(lengths)
        strings.append((unit * length)[:length])
    few_hundred = draw(st.sampled_from([0, 0, 60, 300]))
    return strings + [draw(characters) * draw(st.sampled_from([900, 1_000, 1_100]))] * few_hundred


@settings(max_examples=40, deadline=None)
@given(long_strings())
def test_a_body_is_never_above_the_limit_while_a_string_could_be_cut(strings: list[str]) -> None:
    body = encoded(document(strings))
    cut = cut_strings(body)
    assert len(body) <= LIMIT or all(len(text) <= 1_000 for text in cut)
    for text, kept in zip(strings, cut, strict=True):
        if kept != text:
            assert len(text) > 1_000
            assert len(kept) >= 1_000
            assert kept[-1] == "…"
            assert text.startswith(kept[:-1])
    assert json.loads(body)["data"].get("truncated", False) is (cut != strings or len(body) > LIMIT)
    assert encoded(document(strings)) == body
