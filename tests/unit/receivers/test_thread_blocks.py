"""Replies in an incident's thread: a line for each event, and what of it stands in the channel."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.incident import Check, Reason
from notifier.model.times import timestamp
from notifier.receivers.slack.blocks.run import render
from notifier.receivers.slack.blocks.text import Rendered
from notifier.receivers.slack.blocks.thread import lines
from notifier.receivers.words.phrases import GOOD, WORDS
from tests.builders import NOW, at
from tests.unit.receivers.test_incident_blocks import (
    ALL_MENTIONS,
    HOSTILE,
    INCIDENT_EVENTS,
    MENTIONS,
    NAME,
    RUN_BODIES,
    UNAUTHORIZED,
    UNREAD,
    URL,
    a_run,
    an_incident,
    assert_harmless,
    change,
    incident_bodies,
    links,
    marked_up,
    of_census,
    of_run,
    shown,
    taken,
)

ERROR = "JSON_ARRAY_ERROR The array field being used does not appear to be valid JSON"
SUCCESS = a_run(98, "completed", records_processed=18_340)


def told(*bodies: bytes, now: datetime = NOW, **options: Any) -> Rendered:
    over = options.pop("over", None)
    end = EventBody.of(over) if over is not None else None
    return taken(lines([EventBody.of(body) for body in bodies], now, over=end, **options))


def line(body: bytes) -> str:
    """The one line in the thread, which is the plain text as well."""
    rendered = told(body)
    (only,) = shown(rendered)
    assert rendered.plain.replace("_ERROR: ", "_ERROR ") == only
    return only


def in_channel(body: bytes) -> str:
    """The one line in the channel, which the notification says as well."""
    rendered = told(body, in_channel=True)
    (only,) = shown(rendered)
    assert rendered.text == rendered.plain
    assert rendered.text.replace("_ERROR: ", "_ERROR ") == re.sub("^:[a-z_]+: ", "", only)
    return only


# --- the lines ---


@pytest.mark.parametrize(
    ("body", "in_thread", "with_name"),
    [
        (an_incident("changed", run=a_run(94)), "run 94 failed too", ": run 94 failed too"),
        (
            an_incident("changed", run=a_run(94), summary="another error"),
            f"run 94 failed with another error: {ERROR}",
            f": run 94 failed with another error: {ERROR}",
        ),
        (
            an_incident("changed", run=a_run(), summary="another error", changes=[change("error_code", "A", "B")]),
            f"run 93 has another error: {ERROR}",
            f": run 93 has another error: {ERROR}",
        ),
        (an_incident("opened", run=a_run()), f"run 93 failed: {ERROR}", f" is failing: {ERROR}"),
        (
            an_incident("reminder", runs=12, opened_at=timestamp(at(-2_880))),
            "still failing after 2 d: 12 runs failed",
            " is still failing after 2 d: 12 runs failed",
        ),
        (
            an_incident("resolved", run=SUCCESS, runs=5),
            "recovered after 3 h 12 min: 5 runs failed, run 98 succeeded",
            " recovered after 3 h 12 min: 5 runs failed, run 98 succeeded",
        ),
    ],
)
def test_a_failing_sync_is_followed_line_by_line(body: bytes, in_thread: str, with_name: str) -> None:
    assert line(body) == in_thread
    sign = ":white_check_mark:" if b"incident.resolved" in body else ":red_circle:"
    assert in_channel(body) == f"{sign} {NAME}{with_name}"


@pytest.mark.parametrize(
    ("body", "in_thread", "with_name"),
    [
        (
            an_incident("opened", Check.REJECTED_RECORDS, SUCCESS),
            "run 98: 12 of 14 records were rejected or invalid (86 %)",
            ":large_yellow_circle: {} rejects records: 12 of 14 records were rejected or invalid (86 %)",
        ),
        (
            an_incident("changed", Check.REJECTED_RECORDS, SUCCESS, summary="9 of 12 records were rejected"),
            "run 98: 9 of 12 records were rejected",
            ":large_yellow_circle: {}: run 98: 9 of 12 records were rejected",
        ),
        (
            an_incident("reminder", Check.REJECTED_RECORDS, runs=2),
            "still rejects records after 3 h 12 min: 2 runs so far",
            ":large_yellow_circle: {} still rejects records after 3 h 12 min: 2 runs so far",
        ),
        (
            an_incident("resolved", Check.REJECTED_RECORDS, SUCCESS, runs=2),
            "recovered after 3 h 12 min of rejected records: 2 runs rejected records, run 98 rejected none",
            ":white_check_mark: {} recovered after 3 h 12 min of rejected records: 2 runs rejected records, "
            "run 98 rejected none",
        ),
        (
            an_incident("changed", Check.RECORD_COUNT, SUCCESS),
            "run 98: 1,240 records, usually about 18,340",
            ":large_yellow_circle: {}: run 98: 1,240 records, usually about 18,340",
        ),
        (
            an_incident("resolved", Check.RECORD_COUNT, SUCCESS, runs=2),
            "recovered after 3 h 12 min of unusual numbers of records: 2 runs sent unusual numbers, run 98 sent 18,340",
            ":white_check_mark: {} recovered after 3 h 12 min of unusual numbers of records: 2 runs sent unusual "
            "numbers, run 98 sent 18,340",
        ),
        (
            an_incident("opened", Check.SLOW_RUN, a_run(status="working")),
            "run 93 has been running for more than 2 h",
            ":turtle: {} has been running for more than 2 h",
        ),
        (
            an_incident("reminder", Check.SLOW_RUN),
            "still running after 5 h 12 min",
            ":turtle: {} is still running after 5 h 12 min",
        ),
        (
            an_incident("resolved", Check.SLOW_RUN, SUCCESS),
            "run 98 completed after 3 h 4 min: 18,340 sent",
            ":white_check_mark: {} completed after 3 h 4 min: run 98, 18,340 sent",
        ),
        (
            an_incident("resolved", Check.SLOW_RUN, SUCCESS | {"records_updated": 18_128, "records_failed": 212}),
            "run 98 completed after 3 h 4 min: 18,340 sent, 18,128 succeeded, 212 rejected",
            ":large_yellow_circle: {} completed after 3 h 4 min: run 98, 18,340 sent, 18,128 succeeded, 212 rejected",
        ),
        (
            an_incident("resolved", Check.SLOW_RUN, a_run(98)),
            f"run 98 failed after 3 h 4 min: {ERROR}",
            f":red_circle: {{}} failed after 3 h 4 min: {ERROR}",
        ),
        (
            an_incident("resolved", Check.SLOW_RUN, a_run(98, error_code=None, error_message="", error_detail=None)),
            "run 98 failed after 3 h 4 min",
            ":red_circle: {} failed after 3 h 4 min: run 98",
        ),
        (
            an_incident("resolved", Check.SLOW_RUN, SUCCESS | {"canceled": True}),
            "run 98 was canceled after 3 h 4 min",
            ":no_entry_sign: {} was canceled after 3 h 4 min: run 98",
        ),
        (
            an_incident("opened", Check.STALE),
            "the sync has not completed a run for more than 1 d 2 h",
            ":zzz: {} has not completed a run for more than 1 d 2 h",
        ),
        (
            an_incident("reminder", Check.STALE),
            "still no completed run for 1 d 1 h",
            ":zzz: {}: still no completed run for 1 d 1 h",
        ),
        (
            an_incident("reminder", Check.STALE, last_good_run=None),
            "still no completed run for 1 d 5 h",
            ":zzz: {}: still no completed run for 1 d 5 h",
        ),
        (
            an_incident("resolved", Check.STALE, SUCCESS),
            "completed a run again after 1 d: run 98",
            ":white_check_mark: {} completed a run again after 1 d: run 98",
        ),
        (
            an_incident("resolved", Check.STALE, SUCCESS | {"records_failed": 212}),
            "completed a run again after 1 d: run 98 completed, 212 rejected",
            ":white_check_mark: {} completed a run again after 1 d: run 98 completed, 212 rejected",
        ),
    ],
)
def test_every_check_is_followed_line_by_line(body: bytes, in_thread: str, with_name: str) -> None:
    assert line(body) == in_thread
    assert in_channel(body) == with_name.format(NAME)


@pytest.mark.parametrize("check", [Check.FAILING, Check.REJECTED_RECORDS, Check.RECORD_COUNT])
def test_a_reminder_counts_more_than_one_bad_run(check: Check) -> None:
    words = {Check.FAILING: "still failing"}.get(check) or WORDS[check].still
    assert line(an_incident("reminder", check)) == f"{words} after 3 h 12 min"
    assert line(an_incident("reminder", check, runs=2)).startswith(f"{words} after 3 h 12 min: 2 runs ")


def test_what_a_slow_run_did_is_said_where_the_channel_sees_it_and_not_only_how_long_it_took() -> None:
    body = an_incident("resolved", Check.SLOW_RUN, SUCCESS)
    headline = shown(render(EventBody.of(body), NOW, living=True))[0]
    assert headline == f":white_check_mark: {NAME} completed after 3 h 4 min"
    assert in_channel(body) != headline


@pytest.mark.parametrize(
    ("kind", "in_thread", "sign"),
    [
        ("opened", f"Census can't be read, {UNAUTHORIZED}", ":electric_plug:"),
        ("reminder", "Census still can't be read after 3 h 12 min", ":electric_plug:"),
        ("resolved", "Census can be read again after 3 h 12 min", ":white_check_mark:"),
    ],
)
def test_a_workspace_that_can_not_be_read_is_named_in_the_channel(kind: str, in_thread: str, sign: str) -> None:
    body = an_incident(kind, Check.UNREACHABLE)
    assert line(body) == in_thread
    assert in_channel(body) == f"{sign} production: {in_thread}"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("opened", f"'s runs can't be read: {UNREAD}"),
        ("changed", f"'s runs can't be read: {UNREAD}"),
        ("reminder", "'s runs still can't be read after 3 h 42 min"),
        ("resolved", f"'s runs can be read again after 3 h 42 min · what was wrong: {UNREAD}"),
    ],
)
def test_a_sync_whose_runs_can_not_be_read_is_followed_too(kind: str, words: str) -> None:
    body = an_incident(kind, Check.UNREADABLE, summary=UNREAD, opened_at=timestamp(at(-192)))
    assert line(body) == f"the sync{words}"
    assert in_channel(body) == f":{GOOD if kind == 'resolved' else 'satellite_antenna'}: {NAME}{words}"


def test_the_end_says_what_was_wrong_of_which_the_thread_had_no_line() -> None:
    body = an_incident("resolved", run=SUCCESS, summary="E1: the disk is full")
    assert line(body) == (
        "recovered after 3 h 12 min: 1 run failed, run 98 succeeded · what was wrong: E1: the disk is full"
    )
    several = an_incident("resolved", run=SUCCESS, runs=2, summary="E1: the disk is full")
    assert line(several) == "recovered after 3 h 12 min: 2 runs failed, run 98 succeeded"


@pytest.mark.parametrize(
    ("reason", "words"),
    [("check_off", "check turned off"), ("unwatched", "no longer watched"), ("deleted", "deleted in Census")],
)
def test_what_just_ended_is_no_success(reason: str, words: str) -> None:
    body = an_incident("resolved", reason=reason)
    assert line(body) == words
    assert in_channel(body) == f":white_circle: {NAME}: {words}"


@pytest.mark.parametrize(
    ("kind", "run", "words"),
    [
        ("queued", {"status": "queued"}, "run 95 is queued"),
        ("working", {"status": "working"}, "run 95 is running"),
        ("skipped", {"status": "skipped"}, "run 95 was skipped"),
        ("canceled", {"status": "canceled"}, "run 95 was canceled"),
        ("completed", {"status": "completed"}, "run 95 completed"),
        ("completed", {"status": "completed", "records_failed": 3}, "run 95 completed, 3 rejected"),
        ("failed", {"status": "failed", "error_code": "X"}, "run 95 failed: X"),
        ("failed", {"status": "failed"}, "run 95 failed"),
        ("error_changed", {"error_message": "no luck"}, "run 95 has a new error: no luck"),
        ("error_changed", {}, "run 95 has no error any more"),
        ("status_changed", {"status": "preparing"}, "run 95 is now “preparing”"),
        ("full_sync", {"status": "completed"}, "run 95 completed a full sync"),
    ],
)
def test_other_runs_meanwhile_have_a_line_too(kind: str, run: dict[str, Any], words: str) -> None:
    body = of_run(kind, {"id": 95, "url": URL, **run}, change("status", "x", run.get("status")))
    assert line(body) == words
    assert in_channel(body).endswith(f"{NAME}: {words}")


def test_a_paused_sync_has_a_line() -> None:
    data = {"workspace": "production", "labels": {}, "sync": {"id": 52, "label": NAME, "url": URL}}
    body = json.dumps({"type": "sync.paused", "timestamp": timestamp(NOW), "data": data}).encode()
    assert line(body) == "the sync was paused"
    assert in_channel(body) == f":double_vertical_bar: {NAME} was paused"


def test_an_error_is_cut_to_two_hundred_characters_on_one_line() -> None:
    run = a_run(94, error_message="m\n" * 400)
    shown_line = line(an_incident("changed", run=run, summary="another error"))
    assert shown_line.startswith("run 94 failed with another error: JSON_ARRAY_ERROR m m m")
    assert shown_line.endswith("m…")
    assert len(shown_line) < 260


# --- where they lead ---


def test_in_the_thread_the_run_is_a_link_and_in_the_channel_the_name() -> None:
    body = an_incident("resolved", run=SUCCESS, runs=5)
    for in_channel_too, name in ((False, "run 98"), (True, NAME)):
        rendered = told(body, in_channel=in_channel_too)
        assert links(rendered) == [f"{URL}?sync_run_id=98"]
        pieces = rendered.blocks[0]["elements"][0]["elements"]
        assert [piece["text"] for piece in pieces if piece["type"] == "link"] == [name]
    assert links(told(an_incident("reminder"), in_channel=True)) == [URL]
    assert links(told(an_incident("reminder"))) == []


# --- several that waited ---


def test_several_events_are_one_reply_oldest_first() -> None:
    bodies = [
        an_incident("changed", run=a_run(94), runs=2),
        of_run("skipped", a_run(95, "skipped")),
        an_incident("resolved", run=SUCCESS, runs=2),
    ]
    end = "recovered after 3 h 12 min: 2 runs failed, run 98 succeeded"
    rendered = told(*bodies)
    assert shown(rendered) == ["run 94 failed too", "run 95 was skipped", end]
    assert rendered.plain == f"run 94 failed too\nrun 95 was skipped\n{end}"
    assert rendered.text == f"{NAME} {end}\nrun 95 was skipped\nrun 94 failed too"
    shown_to_all = told(*bodies, in_channel=True)
    assert shown(shown_to_all) == [
        f":red_circle: {NAME}: run 94 failed too",
        ":fast_forward: run 95 was skipped",
        f":white_check_mark: {end}",
    ]
    assert shown_to_all.plain == f"{NAME}: run 94 failed too\nrun 95 was skipped\n{end}"
    assert shown_to_all.text == rendered.text


def test_of_too_many_the_newest_are_told() -> None:
    bodies = [an_incident("changed", run=a_run(n), summary="another error") for n in range(101, 201)]
    rendered = told(*bodies, an_incident("resolved", run=a_run(201, "completed"), runs=100))
    first, *rest = shown(rendered)
    (count,) = re.fullmatch(r"… (\d+) events before", first).groups()  # type: ignore[union-attr]
    assert int(count) + len(rest) == 101
    assert len(rest) > 15
    assert rest[-1].endswith("100 runs failed, run 201 succeeded")
    assert rendered.plain.splitlines()[1] == first
    assert rendered.plain.endswith("100 runs failed, run 201 succeeded")
    assert rendered.text.splitlines()[0].endswith("100 runs failed, run 201 succeeded")


def test_one_left_out_is_one_event() -> None:
    bodies = [an_incident("changed", run=a_run(n, error_message="&" * 600), summary="another error") for n in range(9)]
    told_of = next(count for count in range(1, 10) if shown(told(*bodies[:count]))[0].startswith("…"))
    assert shown(told(*bodies[:told_of]))[0] == "… 1 event before"


def test_the_notification_begins_with_the_end_and_else_with_the_newest() -> None:
    bodies = [an_incident("changed", run=a_run(94), runs=2), of_run("skipped", a_run(95, "skipped"))]
    assert told(*bodies).text == f"{NAME}: run 95 was skipped\nrun 94 failed too"
    over = told(*bodies, an_incident("resolved", run=SUCCESS, runs=2), of_run("full_sync", SUCCESS), in_channel=True)
    assert over.text.startswith(f"{NAME} recovered after 3 h 12 min: 2 runs failed, run 98 succeeded\n")


@pytest.mark.parametrize("is_for_all", [True, False])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (an_incident(run=a_run()), f"run 93 failed: {ERROR}"),
        (an_incident("changed", run=a_run(94)), "run 94 failed too"),
        (an_incident("reminder", runs=2), "still failing after 3 h 12 min: 2 runs failed"),
    ],
)
def test_what_is_told_after_the_end_says_first_that_it_is_over(body: bytes, words: str, is_for_all: bool) -> None:
    """A message that was refused, and that somebody tried again by hand."""
    end = an_incident("resolved", run=SUCCESS)
    rendered = told(body, over=end, in_channel=is_for_all)
    first, rest = rendered.text.split("\n")
    assert first == f"{NAME} recovered after 3 h 12 min: 1 run failed, run 98 succeeded"
    assert rest.replace("_ERROR: ", "_ERROR ") == f"earlier: {words}"
    (only,) = shown(rendered)
    assert only.endswith(f"earlier: {words}")
    assert "is failing" not in rendered.text + rendered.plain + only


# --- how late they are, and whom they mention ---


def test_each_line_says_how_late_it_is() -> None:
    bodies = [
        an_incident("changed", run=a_run(94, completed_at=timestamp(at(-120)))),
        an_incident("resolved", run=SUCCESS, runs=5),
    ]
    rendered = told(*bodies)
    assert shown(rendered)[0] == "run 94 failed too · 2 h late"
    assert not shown(rendered)[1].endswith("late")
    assert rendered.plain.splitlines()[0] == "run 94 failed too (2 h late)"
    assert shown(told(of_run("working", a_run(95, "working")), now=at(60)))[0] == "run 95 is running · 1 h late"


def test_an_error_that_changed_long_after_its_run_ended_is_news() -> None:
    run = a_run(completed_at=timestamp(at(-300)))
    body = an_incident("changed", run=run, summary="another error", changes=[change("error_code", "A", "B")])
    assert not line(body).endswith("late")


def test_mentions_stand_behind_the_last_line() -> None:
    bodies = [an_incident("changed", run=a_run(94)), an_incident("reminder", runs=3)]
    rendered = told(*bodies, mentions=ALL_MENTIONS, in_channel=True)
    assert shown(rendered)[-1].endswith("3 runs failed @here @channel @everyone @U0123 @W0123 @S0123")
    assert "@" not in rendered.text
    assert "!" not in rendered.text
    assert "<!here>" in rendered.plain


# --- what is missing, and what they can't do ---


@pytest.mark.parametrize("check", Check)
@pytest.mark.parametrize("kind", INCIDENT_EVENTS)
@pytest.mark.parametrize("reason", Reason)
def test_a_line_of_which_little_is_known_reads_well(check: Check, kind: EventType, reason: Reason) -> None:
    name = kind.removeprefix("incident.")
    given: dict[str, Any] = {
        "opened_at": None,
        "resolved_at": None,
        "last_good_run": None,
        "runs": 0,
        "summary": None,
        "reason": reason.value if name == "resolved" else None,
        "sync": None if check is Check.UNREACHABLE else {"id": 52, "label": "", "url": URL},
    }
    for body in (an_incident(name, check, **given), an_incident(name, check, {"id": 9, "url": URL}, **given)):
        for is_for_all in (False, True):
            rendered = told(body, in_channel=is_for_all)
            for text in (*shown(rendered), rendered.text, rendered.plain):
                assert text == text.strip()
                assert not re.search(r"None|null|  | ,|: :|[(:·,]$|\{|\b0 runs", text), text
            assert rendered.text.startswith("production" if check is Check.UNREACHABLE else "sync 52")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_no_text_is_read_as_markup_or_breaks_a_limit(text: str) -> None:
    runs = [
        of_run(
            kind, a_run(96, text, error_code=text, error_message=text, error_detail=text), change("status", text, text)
        )
        for kind in ("status_changed", "error_changed", "failed")
    ]
    for check in Check:
        bodies = [of_census(kind, check, text) for kind in INCIDENT_EVENTS] + runs
        for is_for_all in (False, True):
            assert_harmless(told(*bodies, in_channel=is_for_all))
            for body in bodies:
                assert_harmless(told(body, in_channel=is_for_all))


@pytest.mark.slow
@given(
    bodies=st.lists(incident_bodies() | RUN_BODIES, min_size=1, max_size=12),
    mentions=MENTIONS,
    is_for_all=st.booleans(),
    age=st.integers(min_value=-10_000, max_value=10**9),
)
def test_any_events_make_a_reply_that_slack_takes(
    bodies: list[bytes], mentions: list[str], is_for_all: bool, age: int
) -> None:
    rendered = told(*bodies, now=NOW + timedelta(seconds=age), mentions=mentions, in_channel=is_for_all)
    assert marked_up(rendered.blocks) == []
