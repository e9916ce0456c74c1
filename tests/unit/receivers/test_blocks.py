"""Events as Slack messages: what a reader is told, and that nothing that Census says can do more than be read."""

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.judging.body import body_of_test
from notifier.model.body import EventBody
from notifier.model.event import EventType
from notifier.model.times import spoken, timestamp
from notifier.receivers.slack.blocks.run import EMOJI, render
from notifier.receivers.slack.blocks.text import Rendered, escaped
from notifier.receivers.words.event import cleaned
from notifier.simulator.slack.block_kit import problems_of, text_length
from tests.builders import NOW, at, minutes

ROOT = Path(__file__).parents[3]
OWN_DATE = re.compile(r"<!date\^\d+\^\{date_short_pretty\} at \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>")
RUN_EVENTS = [kind for kind in EventType if kind.startswith("sync_run.")]
FAILED = {
    "id": 93,
    "status": "failed",
    "created_at": timestamp(at(-2)),
    "updated_at": timestamp(at(-0.5)),
    "error_code": "JSON_ARRAY_ERROR",
    "error_message": "The array field being used does not appear to be valid JSON",
    "error_detail": "Make sure that it is formatted as a JSON array",
}
COMPLETED = {
    "id": 94,
    "status": "completed",
    "created_at": timestamp(at(-3)),
    "updated_at": timestamp(at(0)),
    "completed_at": timestamp(at(-1)),
    "records_processed": 18_340,
    "records_updated": 18_338,
    "records_failed": 0,
    "records_invalid": 14,
}


def change(field: str, old: Any, new: Any) -> dict[str, Any]:
    return {"field": field, "old": old, "new": new}


def an_event(kind: str, run: dict[str, Any], *changes: dict[str, Any], **data: Any) -> bytes:
    """An event's body; a change of the status from working to the run's where none is given."""
    url = "https://app.getcensus.com/syncs/52/history"
    whole: dict[str, Any] = {
        "workspace": "production",
        "labels": {"team": "growth"},
        "sync": {"id": 52, "label": "New Signups to Leads", "url": url},
        "sync_run": {"url": f"{url}?sync_run_id={run.get('id')}", **run},
        "previous_run": None,
        "changes": list(changes) or [change("status", "working", run.get("status"))],
    }
    document = {"type": f"sync_run.{kind}", "timestamp": timestamp(NOW), "data": whole | data}
    return json.dumps(document).encode()


def told(body: bytes, now: datetime = NOW) -> Rendered:
    """The message, which Slack's limits and shapes allow."""
    rendered = render(EventBody.of(body), now)
    assert problems_of(list(rendered.blocks)) == []
    assert text_length(list(rendered.blocks)) <= 9_000
    assert 0 < len(rendered.text) <= 4_000
    assert 0 < len(rendered.plain) <= 4_000
    return rendered


def strings(value: Any) -> list[str]:
    """All that can be read in a block or an element."""
    if isinstance(value, dict):
        return [text for key, item in value.items() if key in ("text", "elements", "name") for text in strings(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def lines(rendered: Rendered) -> list[str]:
    """What a reader sees, a line for each section and context block; emoji by their name."""
    rich, *contexts = rendered.blocks
    return ["".join(strings(part)) for part in [*rich["elements"], *contexts]]


def headline(body: bytes, now: datetime = NOW) -> str:
    return lines(told(body, now))[0]


def facts(body: bytes) -> str:
    return lines(told(body))[-2]


# --- what is told ---


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        ({"error_detail": "Something happened"}, "Something happened", ["Something happened"]),
        ({"error_message": "no luck", "error_detail": "at all"}, "no luck", ["no luck", "at all"]),
        ({"error_code": "E1", "error_message": "E1"}, "E1", ["E1"]),
        ({"error_code": "E1", "error_message": "E1: no luck"}, "E1", ["E1 no luck"]),
        ({"error_code": "E1", "error_detail": "E1"}, "E1", ["E1"]),
        ({"error_code": "E1", "error_message": "E10: no luck"}, "E1", ["E1 E10: no luck"]),
        ({"error_message": "\x1b[31mbad\x1b[0m\0one\n\n\n\nmore"}, "bad one more", ["bad one\n\nmore"]),
        ({"error_message": "\x1b]8;;https://evil.example\x07bad\x9c"}, "bad", ["bad"]),
    ],
)
def test_an_error_is_told_whichever_field_has_it_and_nothing_of_it_twice(
    error: dict[str, Any], reason: str, said: list[str]
) -> None:
    rendered = told(an_event("failed", {"id": 93, "status": "failed", **error}))
    assert rendered.text == f"New Signups to Leads: run 93 failed, {reason}"
    assert lines(rendered)[1 : 1 + len(said)] == said


def test_a_failed_run_says_what_broke_why_and_where_to_click() -> None:
    rendered = told(an_event("failed", FAILED))
    assert lines(rendered)[:4] == [
        "red_circle New Signups to Leads failed",
        "JSON_ARRAY_ERROR The array field being used does not appear to be valid JSON",
        "Make sure that it is formatted as a JSON array",
        "took 1 min 30 s · working → failed",
    ]
    seconds = int(at(-0.5).timestamp())
    assert lines(rendered)[4] == (
        f"production · team: growth · run 93 ·<!date^{seconds}^{{date_short_pretty}} at {{time}}|2026-11-23 10:15 UTC>"
    )
    assert rendered.text == "New Signups to Leads: run 93 failed, JSON_ARRAY_ERROR"
    (link,) = [piece for piece in rendered.blocks[0]["elements"][0]["elements"] if piece["type"] == "link"]
    assert link["url"] == "https://app.getcensus.com/syncs/52/history?sync_run_id=93"
    assert link["text"] == "New Signups to Leads"


def test_the_plain_text_says_all_of_it() -> None:
    assert told(an_event("failed", FAILED)).plain.splitlines() == [
        "New Signups to Leads: run 93 failed",
        "JSON_ARRAY_ERROR: The array field being used does not appear to be valid JSON",
        "Make sure that it is formatted as a JSON array",
        "took 1 min 30 s · working → failed",
        "production · team: growth · run 93 · 2026-11-23 10:15 UTC",
        "https://app.getcensus.com/syncs/52/history?sync_run_id=93",
    ]


def test_a_completed_run_after_a_failed_one_recovered() -> None:
    body = an_event("completed", COMPLETED, previous_run={"id": 93, "status": "failed"})
    assert headline(body) == "white_check_mark New Signups to Leads recovered"
    assert told(body).text == "New Signups to Leads: run 94 completed, the sync has recovered"
    assert facts(body) == (
        "run 93 had failed · 18,340 sent, 18,338 succeeded, 14 invalid · took 2 min · working → completed"
    )


@pytest.mark.parametrize("previous", [None, {"id": 93, "status": "completed"}])
def test_a_completed_run_after_a_good_one_completed(previous: Any) -> None:
    body = an_event("completed", COMPLETED, previous_run=previous)
    assert headline(body) == "white_check_mark New Signups to Leads completed"
    assert told(body).text == "New Signups to Leads: run 94 completed"


def test_a_completed_run_whose_records_were_rejected_is_no_plain_success() -> None:
    rejected = COMPLETED | {"records_failed": 1_212}
    assert headline(an_event("completed", rejected)) == (
        "large_yellow_circle New Signups to Leads completed, 1,212 rejected"
    )
    recovered = an_event("completed", rejected, previous_run={"id": 93, "status": "failed"})
    assert told(recovered).text == ("New Signups to Leads: run 94 completed, the sync has recovered, 1,212 rejected")


def test_a_canceled_run_says_so_whatever_its_status_is() -> None:
    canceled = COMPLETED | {"id": 95, "canceled": True}
    body = an_event("canceled", canceled, change("status", "working", "completed"), change("canceled", None, True))
    assert headline(body) == "no_entry_sign New Signups to Leads was canceled"
    assert facts(body).endswith(" · took 2 min · working → completed, canceled")
    assert told(body).text == "New Signups to Leads: run 95 was canceled"
    alone = an_event("canceled", canceled, change("canceled", None, True))
    assert facts(alone).endswith(" · took 2 min · canceled")


def test_a_skipped_run_says_why_and_no_duration() -> None:
    skipped = {"id": 96, "status": "skipped", "created_at": timestamp(at(-2)), "updated_at": timestamp(NOW)}
    body = an_event("skipped", skipped, change("status", None, "skipped"))
    assert headline(body) == "fast_forward New Signups to Leads was skipped"
    assert facts(body) == "the run before it had not ended · new → skipped"


@pytest.mark.parametrize(
    ("kind", "old", "expected"),
    [
        ("queued", None, ("hourglass_flowing_sand New Signups to Leads is queued", "new → queued")),
        ("working", "queued", ("arrows_counterclockwise New Signups to Leads is running", "queued → working")),
    ],
)
def test_a_run_that_goes_on_has_no_duration(kind: str, old: str | None, expected: tuple[str, str]) -> None:
    run = {"id": 97, "status": kind, "created_at": timestamp(at(-2)), "updated_at": timestamp(NOW)}
    body = an_event(kind, run, change("status", old, kind))
    assert (headline(body), facts(body)) == expected


def test_an_unknown_status_is_quoted_and_never_taken_for_success() -> None:
    body = an_event("status_changed", {"id": 98, "status": "preparing"}, change("status", "queued", "preparing"))
    assert headline(body) == "grey_question New Signups to Leads is now “preparing”"
    assert told(body).text == "New Signups to Leads: run 98 is now “preparing”"
    assert facts(body) == "queued → preparing"


def test_a_cancellation_that_fell_back_and_a_run_without_a_status_are_told() -> None:
    fell_back = an_event("status_changed", {"id": 98, "status": "working"}, change("canceled", True, None))
    assert headline(fell_back) == "grey_question New Signups to Leads is no longer canceled"
    without = an_event("status_changed", {"id": 98}, change("status", None, None))
    assert headline(without) == "grey_question New Signups to Leads has no status"
    lost = an_event("status_changed", {"id": 98}, change("status", "working", None))
    assert facts(lost) == "working → none"


def test_a_new_error_and_an_error_that_went_away_are_told_apart() -> None:
    new = an_event("error_changed", FAILED, change("error_code", None, "JSON_ARRAY_ERROR"))
    assert headline(new) == "warning New Signups to Leads has a new error"
    gone = {"id": 93, "status": "failed", "error_code": None, "error_message": ""}
    cleared = an_event("error_changed", gone, change("error_code", "JSON_ARRAY_ERROR", None))
    assert headline(cleared) == "warning New Signups to Leads has no error any more"
    assert len(told(cleared).blocks) == 2  # nothing is left to say in grey but where and when


def test_every_type_of_event_has_a_picture_and_words() -> None:
    for kind in RUN_EVENTS:
        body = an_event(kind.removeprefix("sync_run."), {"id": 1, "status": "x"}, change("status", "y", "x"))
        assert headline(body).startswith(f"{EMOJI[kind]} New Signups to Leads ")


def test_a_detail_that_repeats_the_message_is_said_once() -> None:
    assert len(lines(told(an_event("failed", FAILED | {"error_detail": FAILED["error_message"]})))) == 4


def test_without_a_code_the_message_is_the_reason() -> None:
    rendered = told(an_event("failed", FAILED | {"error_code": None, "error_message": "out of\nluck"}))
    assert rendered.text == "New Signups to Leads: run 93 failed, out of luck"
    assert lines(rendered)[1] == "out of\nluck"


def test_a_sync_without_a_label_goes_by_its_id() -> None:
    for label in (None, "", "  \n"):
        body = an_event("failed", FAILED, sync={"id": 52, "label": label, "url": "https://x/syncs/52/history"})
        assert told(body).text == "sync 52: run 93 failed, JSON_ARRAY_ERROR"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        (
            {"ui_tag": "Manual", "ui_detail": "Manually triggered by t@example.com"},
            "Manually triggered by t@example.com",
        ),
        ({"ui_tag": "Schedule", "ui_detail": "By its schedule"}, "By its schedule"),
        ({"ui_tag": "API", "ui_detail": "from outside"}, "API: from outside"),
        ({"ui_tag": "API", "ui_detail": None}, "API"),
        ({"ui_tag": None, "ui_detail": "by hand"}, "by hand"),
        ("by a string", "by a string"),
        ({}, None),
        (None, None),
        ({"ui_tag": None}, None),
    ],
)
def test_what_began_a_run_is_told_once(reason: Any, shown: str | None) -> None:
    body = an_event("failed", FAILED | {"sync_trigger_reason": reason})
    assert facts(body) == " · ".join(filter(None, ("took 1 min 30 s", shown, "working → failed")))


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (
            {"records_processed": 0, "records_updated": 0, "records_failed": 0, "records_invalid": 0},
            "0 sent, 0 succeeded",
        ),
        ({"records_processed": 14, "records_failed": 1}, "14 sent, 1 rejected"),
        ({"source_record_invalids": 3}, "3 invalid"),
        ({"records_invalid": 2, "source_record_invalids": 3}, "2 invalid"),
        ({"records_processed": True, "records_updated": "12", "records_failed": None, "records_invalid": [1]}, None),
        ({"records_processed": 10**15}, "1,000,000,000,000,000 sent"),
        ({"records_processed": 14, "records_updated": -2, "records_failed": -1, "records_invalid": 1.0}, "14 sent"),
    ],
)
def test_counts_are_told_where_there_are_any(counts: dict[str, Any], shown: str | None) -> None:
    body = an_event("failed", FAILED | counts)
    assert facts(body) == " · ".join(filter(None, (shown, "took 1 min 30 s", "working → failed")))


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ({"completed_at": timestamp(at(-1)), "updated_at": timestamp(at(5))}, "took 1 min"),
        ({"completed_at": None, "updated_at": timestamp(at(-1))}, "took 1 min"),
        ({"completed_at": timestamp(at(-9))}, None),  # it can't have ended before it began
        ({"completed_at": "soon", "updated_at": "later"}, None),
        ({"created_at": None}, None),
        ({"completed_at": timestamp(at(-2))}, "took under 1 s"),
    ],
)
def test_a_duration_is_from_the_creation_to_the_end(times: dict[str, Any], shown: str | None) -> None:
    assert facts(an_event("failed", FAILED | times)) == " · ".join(filter(None, (shown, "working → failed")))


@pytest.mark.parametrize(
    ("kind", "times", "shown"),
    [
        ("error_changed", {"completed_at": timestamp(at(-1))}, "took 1 min"),
        ("status_changed", {"completed_at": timestamp(at(-1))}, "took 1 min"),  # ended, whatever the status word
        ("error_changed", {"completed_at": None}, None),  # updated_at is when the error changed
        ("status_changed", {"completed_at": None}, None),
        ("canceled", {"completed_at": None}, "took 1 min 30 s"),
        ("skipped", {"completed_at": timestamp(at(-1))}, None),
        ("working", {"completed_at": timestamp(at(-1))}, None),
        ("queued", {"completed_at": timestamp(at(-1))}, None),
    ],
)
def test_only_what_has_ended_took_its_time(kind: str, times: dict[str, Any], shown: str | None) -> None:
    body = an_event(kind, FAILED | times, change("status", "working", "x"))
    assert re.findall(r"took [^·]*(?= ·)", facts(body)) == ([shown] if shown else [])


# --- how late it is ---


@pytest.mark.parametrize(
    ("after", "late"),
    [(0, None), (9.5, None), (9.6, "10 min 6 s late"), (60 + 59.5, "2 h late"), (60 * 51 - 0.5, "2 d 3 h late")],
)
def test_more_than_ten_minutes_after_it_happened_a_message_says_how_late_it_is(after: float, late: str | None) -> None:
    rendered = told(an_event("failed", FAILED), at(after))  # it happened half a minute before it was seen
    suffix = f" · {late}" if late else ""
    assert lines(rendered)[0] == f"red_circle New Signups to Leads failed{suffix}"
    brackets = f" ({late})" if late else ""
    assert rendered.text == f"New Signups to Leads: run 93 failed, JSON_ARRAY_ERROR{brackets}"
    assert rendered.plain.splitlines()[0] == f"New Signups to Leads: run 93 failed{brackets}"


def test_a_run_that_was_seen_late_is_late_by_when_it_ended() -> None:
    ended = COMPLETED | {"completed_at": timestamp(at(-120)), "updated_at": timestamp(at(-1))}
    assert headline(an_event("completed", ended)).endswith("completed · 2 h late")
    error = an_event("error_changed", ended, change("error_code", None, "X"))
    assert not headline(error).endswith("late")  # that is news of a minute ago


def test_a_clock_of_census_that_is_ahead_makes_nothing_late_or_early() -> None:
    ahead = FAILED | {"updated_at": timestamp(at(60))}
    rendered = told(an_event("failed", ahead))
    assert "late" not in rendered.text
    assert f"<!date^{int(NOW.timestamp())}^" in lines(rendered)[-1]


def test_a_time_before_1970_is_shown_without_slacks_format() -> None:
    rendered = told(an_event("failed", FAILED | {"updated_at": "1901-01-01T00:00:00Z"}))
    assert lines(rendered)[-1].endswith("run 93 ·1901-01-01 00:00 UTC")


# --- what it can't do ---

HOSTILE = [
    "<!channel> <!here> <@U012AB3CD> <#C012AB3CD> <!subteam^S1> <https://evil.example|click>",
    "@channel @here #general",
    "https://evil.example/x www.evil.example evil.example",
    "*bold* _italic_ ~strike~ `code` ```block``` > quote",
    "&lt;!channel&gt; &amp;lt; & < >",
    "\x00\x07\x1b[31m\x7f\x9b2J",
    "\u202egnp.exe\u2066x\u2069",
    "😀" * 12_000,
    "a" * 50_000,
    "&" * 50_000,
    "\n" * 100 + "x",
    "line\r\nline\rline\u2028line\u2029line",
    ":fire: :red_circle:",
    "ﷺ" * 5_000,
    " ",
]


def of_census(text: str) -> bytes:
    """An event in which every text that Census may choose is this one."""
    run = {
        **FAILED,
        **dict.fromkeys(("status", "error_code", "error_message"), text),
        "error_detail": f"detail {text}",
        "sync_trigger_reason": {"ui_tag": text, "ui_detail": text},
    }
    changes = [change("status", text, text), change("error_code", text, text)]
    sync = {"id": 52, "label": text, "url": "https://x/syncs/52/history"}
    return an_event("status_changed", run, *changes, sync=sync, labels={"team": text}, workspace=text or "w")


def marked_up(blocks: Any) -> list[str]:
    """Every text in which Slack would read markup."""
    if isinstance(blocks, dict):
        own = [blocks["text"]] if blocks.get("type") == "mrkdwn" else []
        return own + [text for item in blocks.values() for text in marked_up(item)]
    return [text for item in blocks for text in marked_up(item)] if isinstance(blocks, list | tuple) else []


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_no_text_of_census_is_read_as_markup_or_breaks_a_limit(text: str) -> None:
    rendered = told(of_census(text))
    assert all(OWN_DATE.fullmatch(found) for found in marked_up(rendered.blocks))
    for shown in (rendered.text, rendered.plain):
        assert not re.search("[<>]|&(?!(amp|lt|gt);)", shown)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    small = [element for block in rendered.blocks[1:] for element in block["elements"]]
    assert [element.get("emoji", element.get("verbatim")) for element in small] == [False] * (len(small) - 1) + [True]
    allowed = {"rich_text", "rich_text_section", "rich_text_preformatted", "text", "link", "emoji", "context"}
    kinds = set(re.findall(r'"type": "(\w+)"', json.dumps(rendered.blocks)))
    assert kinds <= allowed | {"plain_text", "mrkdwn"}
    links = re.findall(r'"url": "([^"]*)"', json.dumps(rendered.blocks))
    assert links == ["https://app.getcensus.com/syncs/52/history?sync_run_id=93"]


def test_what_is_cut_ends_in_an_ellipsis() -> None:
    rendered = told(an_event("failed", FAILED | {"error_message": "m" * 5_000, "error_detail": "d" * 50_000}))
    message, detail = lines(rendered)[1:3]
    assert message.startswith("JSON_ARRAY_ERROR mmm")
    assert message.endswith("m…")
    assert detail.startswith("ddd")
    assert detail.endswith("d…")


def test_a_link_that_is_too_long_for_slack_is_left_out() -> None:
    url = "https://census.example/" + "x" * 3_000
    rendered = told(an_event("failed", FAILED | {"url": url}))
    assert lines(rendered)[0] == "red_circle New Signups to Leads failed"
    assert '"link"' not in json.dumps(rendered.blocks)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    *("status", "canceled", "error_code", "error_message", "error_detail", "created_at", "updated_at", "completed_at"),
    *("records_processed", "records_updated", "records_failed", "records_invalid", "source_record_invalids"),
    *("sync_trigger_reason", "current_step", "full_sync"),
)
LABEL = st.none() | st.text(max_size=400)


@given(
    kind=st.sampled_from([kind.removeprefix("sync_run.") for kind in RUN_EVENTS]),
    run=st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)),
    label=LABEL,
    old=LABEL,
    new=LABEL,
    labels=st.dictionaries(st.text(min_size=1, max_size=50), st.text(max_size=100), max_size=20),
    age=st.integers(min_value=-10_000, max_value=10**9),
)
def test_whatever_census_says_makes_a_message_that_slack_takes(
    kind: str, run: dict[str, Any], label: Any, old: Any, new: Any, labels: dict[str, str], age: int
) -> None:
    sync = {"id": 52, "label": label, "url": "https://x/syncs/52/history"}
    body = an_event(kind, {**run, "id": 7}, change("status", old, new), sync=sync, labels=labels)
    rendered = told(body, NOW + timedelta(seconds=age))
    assert all(
        OWN_DATE.fullmatch(text) or re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", text)
        for text in marked_up(rendered.blocks)
    )


# --- the rest ---


def test_a_test_message_names_its_receiver_and_no_sync() -> None:
    rendered = told(body_of_test("<growth>", NOW))
    assert (
        rendered.text
        == "Test message from the Census notifier. The receiver &lt;growth&gt; works. No sync did anything."
    )
    assert lines(rendered) == [
        "wave Test message from the Census notifier\nThe receiver <growth> works. No sync did anything."
    ]


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(milliseconds=300), "under 1 s"),
        (timedelta(seconds=1), "1 s"),
        (timedelta(seconds=73), "1 min 13 s"),
        (minutes(2), "2 min"),
        (timedelta(hours=1, seconds=59), "1 h"),
        (timedelta(hours=2, minutes=5, seconds=1), "2 h 5 min"),
        (timedelta(days=1, hours=23), "1 d 23 h"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_a_length_of_time_is_told_in_two_units_at_most(length: timedelta, words: str) -> None:
    assert spoken(length) == words


def test_text_is_cut_after_escaping_and_never_inside_an_entity() -> None:
    assert escaped("a<b>&", 100) == "a&lt;b&gt;&amp;"
    assert escaped("a" * 10, 10) == "a" * 10
    assert escaped("a" * 11, 10) == "a" * 9 + "…"
    for most in range(6, 30):
        cut = escaped("<&>" * 20, most)
        assert len(cut) <= most
        assert re.fullmatch("(&lt;|&gt;|&amp;)*…", cut)


def test_cleaned_text_is_what_slack_can_show() -> None:
    assert cleaned(None, 10) == ""
    assert cleaned(12, 10) == "12"
    assert cleaned({"a": ["ü"]}, 20) == '{"a": ["ü"]}'
    assert cleaned("  a\r\nb\u2028c\x00\u202e\ud800 ", 10) == "a\nb\nc"
    assert cleaned("abcdefgh   ijk", 10) == "abcdefgh…"


def test_the_picture_in_the_readme_is_drawn_from_messages_that_slack_takes() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "docs" / "picture.py", "--json"], capture_output=True, text=True, check=True
    )
    decoder, rest, messages = json.JSONDecoder(), printed.stdout.strip(), []
    while rest:
        message, end = decoder.raw_decode(rest)
        messages.append(message)
        rest = rest[end:].strip()
    assert len(messages) == 8
    assert [problems_of(message["blocks"]) for message in messages] == [[]] * 8
