"""What Slack's error codes mean: a table by hand, from Slack's documentation and not from the code.

Sources: docs.slack.dev/reference/methods/chat.postMessage ("Errors"), docs.slack.dev/messaging/
sending-messages-using-incoming-webhooks ("Handling errors") and the changelog of 2016-05-17 on incoming webhooks.
"""

from datetime import timedelta
from typing import Final

import pytest

from notifier.model.delivery import Broken, Delivered, Outcome, Refused, Retry
from notifier.receivers.slack.client import ErrorCodes
from notifier.receivers.slack.errors import (
    REMEDIES,
    Fault,
    error_in_words,
    fault_of,
    is_about_metadata,
    outcome_of_status,
    outcome_of_word,
)

MINUTE: Final = timedelta(minutes=1)

AGAIN = ("ratelimited", "rate_limited", "request_timeout", "streaming_state_conflict")
AGAIN_SLOWLY = ("message_limit_exceeded", "team_added_to_org", "org_login_required", "external_channel_migrating")
MAYBE_SENT = ("internal_error", "fatal_error", "service_unavailable", "rollup_error", "update_failed")
BROKEN_CREDENTIALS = (
    *("access_denied", "accesslimited", "account_inactive", "app_access_restricted", "ekm_access_denied"),
    *("enterprise_is_restricted", "invalid_auth", "invalid_token", "missing_scope", "no_permission"),
    *("not_allowed_token_type", "not_authed", "team_access_not_granted", "token_expired", "token_revoked"),
    "two_factor_setup_required",
    *("deprecated_endpoint", "method_deprecated", "unknown_method"),  # of the whole method: no message gets through
)
BROKEN_DESTINATION = (
    *("channel_not_found", "is_archived", "is_inactive", "messages_tab_disabled", "not_in_channel", "team_not_found"),
    "restricted_action_read_only_channel",
    *("channel_is_archived", "no_active_hooks", "no_service", "no_service_id", "no_team"),
    *("posting_to_general_channel_denied", "team_disabled"),
)
PERHAPS_THE_MENTION = ("restricted_action", "restricted_action_of_a_new_kind", "action_prohibited", "user_not_found")
REFUSED_MESSAGE = (
    *("attachment_payload_limit_exceeded", "invalid_blocks", "invalid_blocks_format"),
    *("markdown_text_conflict", "msg_blocks_too_long", "msg_too_long", "no_text", "too_many_attachments"),
    *("invalid_metadata_format", "invalid_metadata_schema", "metadata_must_be_sent_from_app", "metadata_too_large"),
    # Of files, contact cards and `client_msg_id`, which we never send; Census' words may hold a link to a file.
    *("as_user_not_supported", "duplicate_channel_not_found", "duplicate_message_not_found", "missing_file_data"),
    *("send_on_behalf_not_allowed", "slack_connect_canvas_sharing_blocked", "slack_connect_file_link_sharing_blocked"),
    *("slack_connect_clip_sharing_blocked", "slack_connect_file_upload_sharing_blocked", "too_many_contact_cards"),
    "slack_connect_lists_sharing_blocked",
)
REFUSED_REQUEST = (
    *("invalid_arg_name", "invalid_arguments", "invalid_array_arg", "invalid_charset", "invalid_form_data"),
    *("invalid_json", "invalid_post_type", "json_not_object", "missing_post_type"),
)
REFUSED_BY_WEBHOOK = ("invalid_payload", "missing_text_or_fallback_or_attachments", "invalid_attachments")
MESSAGE_GONE = (
    *("block_mismatch", "cannot_reply_to_message", "cant_update_message", "edit_window_closed", "message_not_found"),
    "thread_not_found",
)
THREAD = ("restricted_action_thread_locked", "thread_locked")
EVERY_THREAD = ("restricted_action_non_threadable_channel",)
IN_CHANNEL = ("restricted_action_thread_only_channel", "cant_broadcast_message")

WHOSE: Final[dict[Fault, tuple[str, ...]]] = {
    Fault.SLACKS: AGAIN,
    Fault.SLACKS_FOR_LONG: AGAIN_SLOWLY,
    Fault.WITHIN_SLACK: MAYBE_SENT,
    Fault.CHANNELS: BROKEN_DESTINATION,
    Fault.CREDENTIALS: BROKEN_CREDENTIALS,
    Fault.SHAPES: (*REFUSED_MESSAGE, *REFUSED_REQUEST, *REFUSED_BY_WEBHOOK),
    Fault.MESSAGES: MESSAGE_GONE,
    Fault.THREADS: THREAD,
    Fault.ALL_THREADS: EVERY_THREAD,
    Fault.BROADCASTS: IN_CHANNEL,
    Fault.RIGHTS: PERHAPS_THE_MENTION,
}
THREADS_ALL = (*THREAD, *EVERY_THREAD, *IN_CHANNEL)

EXPECTED: Final[dict[str, tuple[type[Outcome], timedelta | None, bool]]] = {
    # the code -> the class, the time to wait where Slack names none, and whether the message may have been sent
    **dict.fromkeys(AGAIN, (Retry, None, False)),
    **dict.fromkeys(AGAIN_SLOWLY, (Retry, timedelta(minutes=5), False)),
    **dict.fromkeys(MAYBE_SENT, (Retry, None, True)),
    **dict.fromkeys((*BROKEN_CREDENTIALS, *BROKEN_DESTINATION, *PERHAPS_THE_MENTION), (Broken, None, False)),
    **dict.fromkeys(THREADS_ALL, (Broken, None, False)),  # of a message that is no reply
    **dict.fromkeys((*REFUSED_MESSAGE, *REFUSED_REQUEST, *REFUSED_BY_WEBHOOK, *MESSAGE_GONE), (Refused, None, False)),
}


def wait_of(outcome: Outcome | None) -> timedelta | None:
    """How long it asks to wait."""
    match outcome:
        case Retry() | Broken():
            return outcome.after
        case Refused():
            return outcome.hold
        case _:
            raise AssertionError(outcome)


def is_maybe_sent(outcome: Outcome | None) -> bool:
    """Whether the end of the attempt is unknown."""
    return isinstance(outcome, Retry | Broken) and outcome.maybe_sent


# --- the codes ---


@pytest.mark.parametrize(("code", "whose"), [(code, whose) for whose, codes in WHOSE.items() for code in codes])
def test_every_documented_code_is_somebodys_fault(code: str, whose: Fault) -> None:
    assert fault_of(code) is whose


def test_every_fault_but_that_of_an_unknown_code_is_in_the_table() -> None:
    assert set(WHOSE) == set(Fault) - {Fault.UNKNOWN}


@pytest.mark.parametrize("code", EXPECTED)
def test_every_documented_code_means_what_the_facts_say(code: str) -> None:
    kind, after, maybe_sent = EXPECTED[code]
    outcome = outcome_of_word(code, None)
    assert type(outcome) is kind
    assert wait_of(outcome) == after
    assert is_maybe_sent(outcome) is maybe_sent


@pytest.mark.parametrize("code", EXPECTED)
def test_a_wait_that_slack_names_is_obeyed_with_any_code(code: str) -> None:
    outcome = outcome_of_word(code, MINUTE)
    assert type(outcome) is EXPECTED[code][0]
    assert wait_of(outcome) == MINUTE


@pytest.mark.parametrize("code", [*EXPECTED, "quite_new_error"])
def test_the_code_is_shown_verbatim_before_all_else(code: str) -> None:
    outcome = ErrorCodes().outcome("evt_1", code, 200, None)
    assert isinstance(outcome, Retry | Broken | Refused)
    assert outcome.reason == code or outcome.reason.startswith(f"{code}: ")


@pytest.mark.parametrize(
    "code",
    [
        *("", "ok", "quite_new_error", "CHANNEL_NOT_FOUND", " channel_not_found", "channel_not_found_at_all"),
        *("not_restricted_action", "restricted", "invalid_block", "invalid_meta", "invalid", "metadata"),
    ],
)
def test_a_code_that_nobody_knows_means_nothing_by_itself(code: str) -> None:
    assert fault_of(code) is Fault.UNKNOWN
    assert outcome_of_word(code, None) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("restricted_action_of_a_new_kind", Broken),
        ("invalid_blocks_of_a_new_kind", Refused),
        ("invalid_metadata_of_a_new_kind", Refused),
    ],
)
def test_a_new_member_of_a_known_family_means_what_the_family_means(code: str, kind: type[Outcome]) -> None:
    assert type(outcome_of_word(code, None)) is kind


@pytest.mark.parametrize("code", [*EXPECTED, "invalid_metadata_of_a_new_kind", "quite_new_error"])
def test_only_codes_about_metadata_take_it_away(code: str) -> None:
    about = (
        *("invalid_metadata_format", "invalid_metadata_schema", "invalid_metadata_of_a_new_kind"),
        *("metadata_must_be_sent_from_app", "metadata_too_large"),
    )
    assert is_about_metadata(code) is (code in about)


# --- what is said ---


@pytest.mark.parametrize("code", REMEDIES)
def test_a_remedy_belongs_to_a_code_that_an_operator_can_do_something_about(code: str) -> None:
    assert EXPECTED[code][0] is Broken
    assert error_in_words(code) == f"{code}: {REMEDIES[code]}"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("channel_not_found", "/invite"),
        ("not_in_channel", "/invite"),
        ("is_archived", "unarchive"),
        ("is_inactive", "unarchive"),
        ("invalid_auth", "xoxb-"),
        ("missing_scope", "scope"),
        ("token_revoked", "install"),
        ("no_service", "make a new one"),
        ("restricted_action_read_only_channel", "administrator"),
    ],
)
def test_the_usual_mistakes_come_with_their_remedy(code: str, advice: str) -> None:
    outcome = outcome_of_word(code, None)
    assert isinstance(outcome, Broken)
    assert advice in outcome.reason


def test_nothing_that_slack_says_moves_the_cursor_of_whoever_reads_it() -> None:
    assert error_in_words("new\x1b[2J", "one\ntwo\u202e") == "new (one two\ufffd)"


def test_what_slack_says_beside_a_code_stands_between_the_code_and_its_remedy() -> None:
    said = error_in_words("missing_scope", "needed: chat:write")
    assert said == f"missing_scope (needed: chat:write): {REMEDIES['missing_scope']}"
    assert error_in_words("invalid_blocks", "[ERROR] too long [json-pointer:/blocks/0]") == (
        "invalid_blocks ([ERROR] too long [json-pointer:/blocks/0])"
    )


def test_a_code_without_end_is_shown_by_its_beginning() -> None:
    code = "abcdefghij" * 10_000
    outcome = ErrorCodes().outcome("evt_1", code, 200, None)
    assert outcome == Retry(f"{'abcdefghij' * 20}…: an unknown error")


# --- statuses ---


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Retry("HTTP 200 OK, but not with an answer of Slack's", maybe_sent=True)),
        (204, Retry("HTTP 204 No Content, but not with an answer of Slack's", maybe_sent=True)),
        (301, Broken("HTTP 301 Moved Permanently: redirects are not followed")),
        (302, Broken("HTTP 302 Found: redirects are not followed")),
        (307, Broken("HTTP 307 Temporary Redirect: redirects are not followed")),
        (400, None),
        (401, Broken("HTTP 401 Unauthorized: this does not answer as Slack does")),
        (402, None),
        (403, Broken("HTTP 403 Forbidden: this does not answer as Slack does")),
        (404, Broken("HTTP 404 Not Found: this does not answer as Slack does")),
        (405, Broken("HTTP 405 Method Not Allowed: this does not answer as Slack does")),
        (408, Retry("HTTP 408 Request Timeout", maybe_sent=True)),
        (409, None),
        (410, Broken("HTTP 410 Gone: this does not answer as Slack does")),
        (413, None),
        (425, Retry("HTTP 425 Too Early", maybe_sent=True)),
        (429, Retry("HTTP 429 Too Many Requests: Slack asks to slow down")),
        (500, Retry("HTTP 500 Internal Server Error", maybe_sent=True)),
        (502, Retry("HTTP 502 Bad Gateway", maybe_sent=True)),
        (503, Retry("HTTP 503 Service Unavailable", maybe_sent=True)),
        (504, Retry("HTTP 504 Gateway Timeout", maybe_sent=True)),
        (599, Retry("HTTP 599", maybe_sent=True)),
    ],
)
def test_a_status_means_this_where_the_body_says_nothing(status: int, expected: Outcome | None) -> None:
    assert outcome_of_status(status, None) == expected


@pytest.mark.parametrize("status", [*range(200, 400), 401, 403, 404, 405, 408, 410, 425, 429, *range(500, 600)])
def test_a_wait_is_obeyed_with_any_status(status: int) -> None:
    assert wait_of(outcome_of_status(status, MINUTE)) == MINUTE


@pytest.mark.parametrize("status", [200, 400, 403, 404, 410, 500, 503])
@pytest.mark.parametrize("code", ["ratelimited", "internal_error", "channel_not_found", "invalid_blocks"])
def test_a_known_code_counts_more_than_the_status_beside_it(code: str, status: int) -> None:
    assert type(ErrorCodes().outcome("evt_1", code, status, None)) is EXPECTED[code][0]


@pytest.mark.parametrize("code", ["ratelimited", "internal_error", "channel_not_found", "quite_new_error"])
def test_a_429_is_a_429_whatever_the_code_beside_it(code: str) -> None:
    expected = Retry("HTTP 429 Too Many Requests: Slack asks to slow down", MINUTE)
    assert ErrorCodes().outcome("evt_1", code, 429, MINUTE) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, Broken("HTTP 403 Forbidden: quite_new_error")),
        (404, Broken("HTTP 404 Not Found: quite_new_error")),
        (500, Retry("HTTP 500 Internal Server Error: quite_new_error", maybe_sent=True)),
    ],
)
def test_an_unknown_code_beside_a_status_that_says_enough_is_shown_too(status: int, expected: Outcome) -> None:
    assert ErrorCodes().outcome("evt_1", "quite_new_error", status, None) == expected


# --- codes that nobody knows, counted ---


@pytest.mark.parametrize("status", [200, 400])
def test_an_unknown_code_is_tried_five_times(status: int) -> None:
    codes = ErrorCodes()
    outcomes = [codes.outcome("evt_1", "quite_new_error", status, MINUTE) for _ in range(5)]
    assert outcomes[:4] == [Retry("quite_new_error: an unknown error", MINUTE)] * 4
    assert outcomes[4] == Refused("quite_new_error: an unknown error, 5 times", MINUTE)


def test_unknown_codes_are_counted_for_each_event_by_itself_whatever_the_code() -> None:
    codes = ErrorCodes()
    for number in range(4):
        for event in ("evt_1", "evt_2"):
            assert isinstance(codes.outcome(event, f"new_{number}", 200, None), Retry)
    assert isinstance(codes.outcome("evt_1", "new_4", 200, None), Refused)
    assert isinstance(codes.outcome("evt_3", "new_4", 200, None), Retry)
    assert isinstance(codes.outcome("evt_2", "new_4", 200, None), Refused)


@pytest.mark.parametrize("final", [Delivered(), Refused("HTTP 422")])
def test_counting_starts_anew_after_an_outcome_that_is_final(final: Outcome) -> None:
    codes = ErrorCodes()
    for _ in range(3):
        kinds = [type(codes.outcome("evt_1", "quite_new_error", 200, None)) for _ in range(4)]
        assert kinds == [Retry] * 4
        assert codes.ended("evt_1", final) == final


@pytest.mark.parametrize(
    ("code", "status"), [("ratelimited", 429), ("channel_not_found", 200), ("new", 503), ("invalid_blocks", 200)]
)
def test_what_is_understood_in_between_does_not_start_the_count_anew(code: str, status: int) -> None:
    """A message whose blocks are refused and whose plain text is not understood would else be tried for three days."""
    codes = ErrorCodes()
    for _ in range(4):
        codes.outcome("evt_1", code, status, None)
        outcome = codes.outcome("evt_1", "quite_new_error", 200, None)
        assert isinstance(codes.ended("evt_1", outcome), Retry)
    assert isinstance(codes.outcome("evt_1", "quite_new_error", 200, None), Refused)
