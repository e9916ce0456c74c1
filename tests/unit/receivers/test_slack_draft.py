"""What is left out of a message that Slack refuses, and for how long."""

from datetime import timedelta

import pytest

from notifier.receivers.slack.draft import IN_CHANNEL, Draft, Forbidden
from tests.builders import NOW

RESTRICTED = "restricted_action"


def test_a_message_whose_shape_is_refused_goes_as_plain_text_with_all_else_that_it_had() -> None:
    draft = Draft(("@here", "<@U1>"), in_channel=True)
    assert draft.after("invalid_blocks") == Draft(("@here", "<@U1>"), in_channel=True, refused="invalid_blocks")


def test_a_message_that_is_refused_as_plain_text_too_goes_without_its_mention() -> None:
    plain = Draft(("<@U1>",), refused="invalid_blocks")
    assert plain.after("invalid_payload") == Draft((), False, "invalid_blocks", (("<@U1>", "invalid_payload"),))
    assert Draft(refused="invalid_blocks").after("invalid_blocks") is None


@pytest.mark.parametrize(
    "code", [RESTRICTED, "restricted_action_of_a_new_kind", "action_prohibited", "user_not_found", "quite_new_error"]
)
def test_a_message_that_somebody_forbids_goes_without_its_mention(code: str) -> None:
    assert Draft(("@channel",)).after(code) == Draft((), left_out=(("@channel", code),))


def test_people_are_called_still_where_it_is_those_that_call_all_that_are_forbidden() -> None:
    draft = Draft(("@channel", "<@U1>", "@here", "<!subteam^S1>")).after(RESTRICTED)
    assert draft is not None
    assert draft.mentions == ("<@U1>", "<!subteam^S1>")
    nobody = draft.after(RESTRICTED)
    assert nobody is not None
    assert nobody.mentions == ()
    assert nobody.after(RESTRICTED) is None


@pytest.mark.parametrize(
    "code",
    [
        *("channel_not_found", "is_archived", "invalid_auth", "missing_scope", "restricted_action_read_only_channel"),
        *("restricted_action_thread_locked", "message_not_found", "restricted_action_thread_only_channel", ""),
    ],
)
def test_nothing_is_left_out_for_what_is_neither_the_messages_nor_the_mentions_fault(code: str) -> None:
    assert Draft(("@here",)).after(code) is None


def test_a_reply_that_the_channel_may_not_see_is_made_in_its_thread_alone() -> None:
    code = "restricted_action_thread_only_channel"
    draft = Draft(("@here",), in_channel=True).after(code)
    assert draft == Draft(("@here",), left_out=((IN_CHANNEL, code),))
    assert draft.after(code) is None


def test_what_was_left_out_is_told_with_its_reason_each_once() -> None:
    draft = Draft(("@channel", "@here", "<@U1>"), in_channel=True)
    assert draft.caveat is None
    draft = draft.after(RESTRICTED) or draft
    draft = draft.after("restricted_action_thread_only_channel") or draft
    assert draft.caveat == (
        "Slack refuses @channel, @here: restricted_action; "
        "that the channel sees a reply: restricted_action_thread_only_channel"
    )


def test_what_slack_said_is_told_without_what_would_move_a_cursor() -> None:
    draft = Draft(("@here",)).after("new\x1b[2J" + "x" * 1000)
    assert draft is not None
    assert draft.caveat is not None
    assert "\x1b" not in draft.caveat
    assert len(draft.caveat) < 300


def test_what_is_forbidden_is_left_out_at_once_and_tried_again_an_hour_later() -> None:
    forbidden, whole = Forbidden(), Draft(("@here", "<@U1>"), in_channel=True)
    assert whole.allowed(forbidden, NOW) == whole
    assert forbidden.add("@here", RESTRICTED, NOW)
    assert forbidden.add(IN_CHANNEL, RESTRICTED, NOW)
    less = whole.allowed(forbidden, NOW + timedelta(minutes=59))
    assert (less.mentions, less.in_channel) == (("<@U1>",), False)
    assert less.caveat is not None
    assert whole.allowed(forbidden, NOW + timedelta(hours=1)) == whole
    assert whole.allowed(forbidden, NOW - timedelta(hours=1)) == whole  # the clock was set back
    assert not forbidden.add("@here", RESTRICTED, NOW + timedelta(hours=1))  # no news
