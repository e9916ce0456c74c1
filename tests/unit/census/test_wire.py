"""Answers of the Census API, read into our own values: whatever comes, a value or a CensusError."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import notifier.simulator
from notifier.census import wire
from notifier.model.errors import CensusError, NotFound, Unauthorized, Unreachable, Unusable
from notifier.model.identity import Id, id_of
from notifier.model.run import SyncRun, Watched
from notifier.model.sync import Sync

OPENAPI = YAML(typ="safe").load(Path(notifier.simulator.__file__).with_name("census-openapi.yaml"))


def answer(data: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": data, **more}).encode()


def one(**fields: object) -> SyncRun:
    return wire.one_run(answer({"id": 93, "sync_id": 52, **fields}))


# --- the vendor's own samples ---


def test_the_vendors_completed_run_is_read() -> None:
    value = OPENAPI["components"]["examples"]["Completed"]["value"]
    run = wire.one_run(json.dumps(value).encode())
    assert (run.id, run.sync_id, run.watched) == (94, 52, Watched("completed"))
    assert run.created_at == datetime(2021, 10, 20, 2, 51, 7, 546_000, tzinfo=UTC)
    assert run.updated_at == datetime(2021, 10, 20, 2, 52, 29, 236_000, tzinfo=UTC)
    assert run.completed_at == datetime(2021, 10, 20, 2, 52, 29, 234_000, tzinfo=UTC)
    assert run.ended
    assert run.fields == value["data"]


def test_the_vendors_failed_run_is_read() -> None:
    value = OPENAPI["components"]["examples"]["Failed"]["value"]
    run = wire.one_run(json.dumps(value).encode())
    assert (run.id, run.sync_id) == (93, 52)
    assert run.watched == Watched(
        status="failed",
        canceled=None,
        error_code="JSON_ARRAY_ERROR",
        error_message="The array field being used does not appear to be valid JSON",
        error_detail='Make sure that the field "custom_field:Users" with value "jim" is formatted as a JSON array',
    )
    assert run.completed_at is None
    assert run.ended


# --- one field at a time ---


@pytest.mark.parametrize("field", ["status", "error_code", "error_message", "error_detail"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ("failed", "failed"),
        ("Failed", "Failed"),
        (" ", " "),
        (0, "0"),
        (500, "500"),
        (True, "true"),
        (["a", 1], '["a", 1]'),
        ({"code": "é"}, '{"code": "é"}'),
    ],
)
def test_a_watched_text_is_kept_as_text_whatever_it_is(field: str, given: object, expected: str | None) -> None:
    assert getattr(one(**{field: given}).watched, field) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, True),
        (False, None),
        (None, None),
        ("", None),
        ("true", True),
        ("True", True),
        ("false", None),
        (1, True),
        (0, None),
    ],
)
def test_canceled_is_true_or_nothing(given: object, expected: bool | None) -> None:
    assert one(canceled=given).watched.canceled is expected


def test_absent_fields_are_nothing() -> None:
    run = one()
    assert run.watched == Watched()
    assert (run.created_at, run.updated_at, run.completed_at, run.ended) == (None, None, None, False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2021-10-20T02:51:07.546Z", datetime(2021, 10, 20, 2, 51, 7, 546_000, tzinfo=UTC)),
        ("2021-10-20T02:51:07Z", datetime(2021, 10, 20, 2, 51, 7, tzinfo=UTC)),
        ("2021-10-20T04:51:07+02:00", datetime(2021, 10, 20, 2, 51, 7, tzinfo=UTC)),
        ("2021-10-19T21:21:07-0530", datetime(2021, 10, 20, 2, 51, 7, tzinfo=UTC)),
        ("2021-10-20 02:51:07", datetime(2021, 10, 20, 2, 51, 7, tzinfo=UTC)),  # without a zone it is UTC
        (" 2021-10-20T02:51:07Z ", datetime(2021, 10, 20, 2, 51, 7, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("2021-13-45T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        (1634698267, None),
        (None, None),
        (True, None),
        (["2021-10-20T02:51:07Z"], None),
    ],
)
def test_a_time_is_in_utc_or_absent(given: object, expected: datetime | None) -> None:
    run = one(created_at=given, updated_at=given, completed_at=given)
    assert (run.created_at, run.updated_at, run.completed_at) == (expected, expected, expected)
    assert run.ended is (expected is not None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        ("93", 93),
        ("007", "007"),
        ("glimmering_donkey", "glimmering_donkey"),
        ("1.5", "1.5"),
        ("١", "١"),
    ],
)
def test_an_id_is_a_positive_whole_number_or_a_word(given: object, expected: Id) -> None:
    assert one(id=given).id == expected
    assert one(sync_id=given).sync_id == expected


NO_IDS: list[object] = [
    None,
    0,
    -1,
    2**64,  # which orjson reads as a float
    "",
    "0",
    "-1",
    "a b",
    "a\n",
    "..",
    "9" * 5_000,
    1.0,
    1.5,
    True,
    [],
    {},
    [1],
]


@pytest.mark.parametrize("given", NO_IDS)
def test_a_run_without_an_id_is_unusable_by_itself_and_skipped_in_a_list(given: object) -> None:
    with pytest.raises(Unusable, match="no sync run"):
        one(id=given)
    page = wire.runs_page(answer([{"id": given}, {"id": 2}, "text", None]), 52)
    assert ([run.id for run in page.runs], page.unreadable) == ([2], 3)


@pytest.mark.parametrize("given", NO_IDS)
def test_a_run_of_no_known_sync_is_unusable_by_itself_but_belongs_to_the_sync_whose_list_it_is_in(
    given: object,
) -> None:
    with pytest.raises(Unusable, match="no sync run"):
        one(sync_id=given)
    page = wire.runs_page(answer([{"id": 93, "sync_id": given}]), 52)
    assert [(run.id, run.sync_id) for run in page.runs] == [(93, 52)]


def test_unknown_fields_travel_along_as_they_came() -> None:
    fields = {"id": "93", "sync_id": 52, "status": "working", "brand_new": {"a": [1, 2.5, None, True]}, "canceled": 0}
    assert wire.one_run(answer(fields)).fields == fields


def test_runs_keep_the_order_of_the_answer() -> None:
    page = wire.runs_page(answer([{"id": 3, "status": "working"}, {"id": 1}, {"id": 2}]), 52)
    assert [run.id for run in page.runs] == [3, 1, 2]


def dated_runs(*days: int | None, **fields: Any) -> list[dict[str, Any]]:
    """Runs with a status, of these days of a month."""
    times = [None if day is None else f"2026-11-{day:02}T00:00:00Z" for day in days]
    return [{"id": number + 1, "status": "working", "created_at": at, **fields} for number, at in enumerate(times)]


MORE = {"pagination": {"next_page": 2, "total_records": 30}}


@pytest.mark.parametrize(
    ("runs", "pagination", "reason"),
    [
        (dated_runs(1, 2, 3), MORE, "the oldest runs first"),
        (dated_runs(1, 2, 3), {}, None),  # all there is
        (dated_runs(1, 2), MORE, None),  # by chance
        (dated_runs(1, 3, 2), MORE, None),
        (dated_runs(2, 2, 2), MORE, None),
        (dated_runs(1, None, 3), MORE, None),
        (dated_runs(3, 2, 1, status=None), {}, "none of them has a status"),
        (dated_runs(3, 2, 1, status=""), MORE, "none of them has a status"),
        (dated_runs(3, 2, status=None), {}, None),
        ([*dated_runs(4, 3, 2, status=None), {"id": 9, "status": "queued"}], {}, None),
    ],
)
def test_what_can_not_be_so_by_chance_is_no_answer(
    runs: list[dict[str, Any]], pagination: dict[str, Any], reason: str | None
) -> None:
    body = answer(runs, **pagination)
    if reason is None:
        assert len(wire.runs_page(body, 52).runs) == len(runs)
        return
    with pytest.raises(Unusable, match=reason):
        wire.runs_page(body, 52)


# --- syncs ---


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"id": 52}, Sync(52, None, None, False, None)),
        (
            {"id": "52", "label": "L", "status": "Ready", "paused": True, "created_at": "2021-10-20T02:51:07Z"},
            Sync(52, "L", "Ready", True, datetime(2021, 10, 20, 2, 51, 7, tzinfo=UTC)),
        ),
        ({"id": 52, "label": None, "paused": None, "created_at": 7}, Sync(52, None, None, False, None)),
        ({"id": 52, "label": "", "paused": "false"}, Sync(52, None, None, False, None)),
        ({"id": 52, "name": "N"}, Sync(52, "N", None, False, None)),
        ({"id": 52, "name": "N", "label": "L"}, Sync(52, "L", None, False, None)),
        ({"id": 52, "label": 7}, Sync(52, "7", None, False, None)),
    ],
)
def test_a_sync_is_read_whatever_is_missing(given: dict[str, Any], expected: Sync) -> None:
    assert wire.syncs_page(answer([given])).syncs == (expected,)


@pytest.mark.parametrize("given", NO_IDS)
def test_a_sync_without_an_id_is_skipped_and_counted(given: object) -> None:
    page = wire.syncs_page(answer([{"id": given}, {"id": 2}, []]))
    assert ([sync.id for sync in page.syncs], page.unreadable) == ([2], 2)


# --- paging ---


@pytest.mark.parametrize(
    ("pagination", "more", "total"),
    [
        ({"total_records": 7, "page": 1, "next_page": 2, "last_page": 3}, True, 7),
        ({"total_records": 7, "page": 3, "next_page": None, "last_page": 3}, False, 7),
        ({"page": 1, "last_page": 2}, True, None),
        ({"page": 2, "last_page": 2}, False, None),
        ({"page": 1}, None, None),
        ({"page": "1", "last_page": "2"}, None, None),
        ({"total_records": "7"}, None, None),
        ({"total_records": True}, None, None),
        ({}, None, None),
        (None, None, None),
        ("next", None, None),
        ([1], None, None),
    ],
)
def test_paging_says_whether_there_is_more_or_that_it_does_not_tell(
    pagination: object, more: bool | None, total: int | None
) -> None:
    page = wire.runs_page(answer([{"id": 1}], pagination=pagination), 52)
    assert (page.paging.more, page.paging.total) == (more, total)
    assert wire.syncs_page(answer([{"id": 1}], pagination=pagination)).paging == page.paging


def test_without_paging_an_empty_page_is_the_last_one() -> None:
    assert wire.runs_page(answer([]), 52).paging.more is False
    assert wire.runs_page(answer([{"id": 1}]), 52).paging.more is None


# --- answers that are none ---


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html><body>502 Bad Gateway</body></html>",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b'{"status":"success"}',
        b'{"status":"success","data":null}',
        b'{"status":"success","data":"text"}',
        b'{"data":',
        b'{"data":[]} trailing',
        b"\x00\x01",
        b"\x1f\x8b\x08",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
    ],
)
def test_what_is_no_answer_is_unusable(body: bytes) -> None:
    for read in (wire.one_run, wire.syncs_page, lambda b: wire.runs_page(b, 52)):
        with pytest.raises(Unusable):
            read(body)


def test_a_list_where_an_object_is_due_and_the_reverse_are_unusable() -> None:
    with pytest.raises(Unusable, match="no sync run"):
        wire.one_run(answer([{"id": 93, "sync_id": 52}]))
    with pytest.raises(Unusable, match="no list"):
        wire.runs_page(answer({"id": 93, "sync_id": 52}), 52)
    with pytest.raises(Unusable, match="no list"):
        wire.syncs_page(answer({"id": 52}))


@pytest.mark.parametrize("depth", [90, 300, 990, 1_010, 5_000])
@pytest.mark.parametrize("field", ["status", "brand_new"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_an_answer_that_is_nested_deeply_is_read_or_unusable(
    depth: int, field: str, opening: str, closing: str
) -> None:
    """Deeper than Python can write, it would be the end of the poll at the latest when the event's body is made."""
    body = f'{{"data":{{"id":93,"sync_id":52,"{field}":{opening * depth}1{closing * depth}}}}}'.encode()
    if depth > 100:
        with pytest.raises(Unusable):
            wire.one_run(body)
    else:
        json.dumps(dict(wire.one_run(body).fields))


# --- text that is no text ---


def test_a_byte_order_mark_before_the_json_is_passed_over() -> None:
    assert wire.one_run(b'\xef\xbb\xbf{"data":{"id":93,"sync_id":52}}').id == 93
    assert wire.decode(b'\xef\xbb\xbf{"a": NaN}') == {"a": None}


def test_broken_utf8_is_mended() -> None:
    run = wire.one_run(b'{"data":{"id":93,"sync_id":52,"error_message":"caf\xe9 \xff","x":"\xed\xa0\x80"}}')
    assert run.watched.error_message == "caf� �"
    assert "\ud800" not in str(run.fields["x"])


def test_lone_surrogates_are_mended_and_whole_pairs_are_not() -> None:
    run = wire.one_run(
        rb'{"data":{"id":93,"sync_id":52,"error_message":"a\ud800b","x":["\udfff",{"\ud83d":"\ud83d\ude00"}]}}'
    )
    assert run.watched.error_message == "a�b"
    assert run.fields["x"] == ["�", {"�": "😀"}]
    json.dumps(run.fields, ensure_ascii=False).encode()


def test_numbers_that_json_does_not_know_are_null() -> None:
    run = wire.one_run(b'{"data":{"id":93,"sync_id":52,"a":NaN,"b":[Infinity,-Infinity],"c":1e999,"status":NaN}}')
    assert (run.fields["a"], run.fields["b"], run.fields["c"], run.watched.status) == (None, [None, None], None, None)


# --- anything at all ---

SURROGATES = st.characters(categories=["Cs"])
ANY_TEXT = st.text(st.characters() | SURROGATES, max_size=10)
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.sampled_from(["2021-10-20T02:51:07.546Z", "0001-01-01T00:00:00+14:00", "93", "true", 1e308, 2**63]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(ANY_TEXT, children, max_size=3),
    max_leaves=6,
)
FIELDS = ["id", "sync_id", "status", "canceled", "error_code", "error_message", "error_detail", "created_at",
          "updated_at", "completed_at", "label", "name", "paused", "other"]  # fmt: skip
ITEMS = st.fixed_dictionaries({"id": st.just(93) | ANY_JSON}, optional=dict.fromkeys(FIELDS[1:], ANY_JSON))
PAGES = st.fixed_dictionaries(
    {"data": st.lists(ITEMS | ANY_JSON, max_size=3) | ITEMS | ANY_JSON},
    optional={
        "pagination": ANY_JSON
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("page", "last_page", "next_page", "total_records"), ANY_JSON)
        )
    },
)


def check_run(run: SyncRun) -> None:
    assert id_of(run.id) == run.id
    assert id_of(run.sync_id) == run.sync_id
    for time in (run.created_at, run.updated_at, run.completed_at):
        assert time is None or time.utcoffset() is not None
    assert run.watched.canceled in (None, True)
    for text in (run.watched.status, run.watched.error_code, run.watched.error_message, run.watched.error_detail):
        assert text != ""
        (text or "").encode()
    json.dumps(dict(run.fields), ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=300, deadline=None)
@given(PAGES | ANY_JSON, st.booleans())
def test_any_json_is_read_or_a_census_error(document: object, escaped: bool) -> None:
    body = json.dumps(document, ensure_ascii=escaped).encode(errors="surrogatepass")
    try:
        check_run(wire.one_run(body))
    except CensusError as error:
        str(error).encode()
    try:
        runs = wire.runs_page(body, 52)
    except CensusError:
        pass
    else:
        for run in runs.runs:
            assert run.sync_id == 52
            check_run(run)
    try:
        syncs = wire.syncs_page(body)
    except CensusError:
        return
    for sync in syncs.syncs:
        assert id_of(sync.id) == sync.id
        (sync.label or "").encode()
        assert sync.paused in (True, False)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_any_bytes_are_read_or_unusable(body: bytes) -> None:
    try:
        wire.runs_page(body, 52)
    except Unusable:
        return
    assert b"data" in body


# --- statuses ---


def expected_error(status: int) -> type[CensusError] | None:
    if status in range(200, 300):
        return None
    if status in (401, 403):
        return Unauthorized
    if status in (404, 410):
        return NotFound
    if status in (408, 425) or status in range(500, 600):
        return Unreachable
    return Unusable  # 1xx, 3xx, and every other 4xx; 429 is the client's


@pytest.mark.parametrize("hundred", [100, 200, 300, 400, 500])
def test_every_status_has_its_error(hundred: int) -> None:
    for status in range(hundred, hundred + 100):
        error = wire.error_of(status)
        wanted = expected_error(status)
        assert (error if error is None else type(error)) is wanted, status
        if error is not None:
            assert f"HTTP {status}" in str(error)
        if isinstance(error, Unauthorized):
            assert error.status == status


def test_an_error_tells_the_remedy() -> None:
    assert str(wire.error_of(401)) == "HTTP 401 Unauthorized"
    assert "check the workspace's region or base_url" in str(wire.error_of(302))
    assert str(wire.error_of(503)) == "HTTP 503 Service Unavailable"
    assert str(wire.error_of(599)) == "HTTP 599"
