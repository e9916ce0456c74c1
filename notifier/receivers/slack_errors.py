"""What Slack's error words mean for the message and for the receiver, and what to do about them. Pure.

Sources: docs.slack.dev, "chat.postMessage", "Errors", and "Sending messages using incoming webhooks".
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum, auto
from typing import Final, assert_never

from notifier.errors import status_in_words
from notifier.foreign import tidied
from notifier.model import Broken, Outcome, Refused, Retry

SLOWLY: Final = timedelta(minutes=5)
LONGEST_WORD: Final = 200  # characters of an unknown code that are shown


class Meaning(Enum):
    """What an error says."""

    NOT_PROCESSED = auto()  # Slack did nothing with it
    NOT_PROCESSED_SLOWLY = auto()  # and will not for a while
    MAYBE_SENT = auto()  # it failed inside of Slack
    BROKEN = auto()  # the channel or the credentials: someone must act
    REFUSED = auto()  # this message's shape
    UNKNOWN = auto()


_WORDS: Final[Mapping[Meaning, frozenset[str]]] = {
    Meaning.NOT_PROCESSED: frozenset({"ratelimited", "rate_limited", "request_timeout"}),
    Meaning.NOT_PROCESSED_SLOWLY: frozenset(
        {"external_channel_migrating", "message_limit_exceeded", "org_login_required", "team_added_to_org"}
    ),
    Meaning.MAYBE_SENT: frozenset({"internal_error", "fatal_error", "service_unavailable", "rollup_error"}),
    Meaning.BROKEN: frozenset(
        {
            "access_denied",
            "accesslimited",
            "account_inactive",
            "action_prohibited",
            "app_access_restricted",
            "channel_is_archived",
            "channel_not_found",
            "deprecated_endpoint",
            "ekm_access_denied",
            "enterprise_is_restricted",
            "invalid_auth",
            "invalid_token",
            "is_archived",
            "is_inactive",
            "messages_tab_disabled",
            "method_deprecated",
            "missing_scope",
            "no_active_hooks",
            "no_permission",
            "no_service",
            "no_service_id",
            "no_team",
            "not_allowed_token_type",
            "not_authed",
            "not_in_channel",
            "posting_to_general_channel_denied",
            "team_access_not_granted",
            "team_disabled",
            "team_not_found",
            "token_expired",
            "token_revoked",
            "two_factor_setup_required",
            "unknown_method",
            "user_not_found",
        }
    ),
    Meaning.REFUSED: frozenset(
        {
            "attachment_payload_limit_exceeded",
            "cannot_reply_to_message",
            "invalid_arg_name",
            "invalid_arguments",
            "invalid_array_arg",
            "invalid_attachments",
            "invalid_charset",
            "invalid_form_data",
            "invalid_json",
            "invalid_payload",
            "invalid_post_type",
            "json_not_object",
            "markdown_text_conflict",
            "metadata_must_be_sent_from_app",
            "metadata_too_large",
            "missing_post_type",
            "missing_text_or_fallback_or_attachments",
            "msg_blocks_too_long",
            "msg_too_long",
            "no_text",
            "too_many_attachments",
        }
    ),
}
# The message that was to be edited or answered is not there for that any more: a new one takes its place.
GONE: Final = frozenset(
    {"message_not_found", "edit_window_closed", "cant_update_message", "thread_not_found", "cannot_reply_to_message"}
)
_PREFIXES: Final = (
    ("restricted_action", Meaning.BROKEN),
    ("invalid_blocks", Meaning.REFUSED),
    ("invalid_metadata", Meaning.REFUSED),
)
REMEDIES: Final = {
    "account_inactive": "the app was removed from the workspace; install it again and use its new token",
    "action_prohibited": "the workspace's administrator restricts this webhook",
    "channel_is_archived": "unarchive the channel, or make a webhook for another",
    "channel_not_found": "check the channel's ID; if it is private, invite the app: /invite @the-app in the channel",
    "invalid_auth": "check the token: a bot token begins with xoxb-",
    "is_archived": "unarchive the channel, or name another",
    "is_inactive": "unarchive the channel, or name another",
    "missing_scope": "add the scope to the app (OAuth & Permissions) and install it again",
    "no_service": "the webhook was removed or its URL is wrong; make a new one",
    "no_team": "check the webhook's URL",
    "not_allowed_token_type": "use the app's bot token (xoxb-), not a user's or an app-level one",
    "not_authed": "the token is missing",
    "not_in_channel": "invite the app: /invite @the-app in the channel",
    "restricted_action": "the workspace restricts who may post there; ask its administrator",
    "token_expired": "token rotation is on; make the app from docs/slack-app-manifest.yaml, which leaves it off",
    "token_revoked": "install the app again and use its new token",
}


def meaning_of(word: str) -> Meaning:
    """What an error code of the Web API, or the body of an incoming webhook's answer, says."""
    for meaning, words in _WORDS.items():
        if word in words:
            return meaning
    return next((meaning for prefix, meaning in _PREFIXES if word.startswith(prefix)), Meaning.UNKNOWN)


def is_about_metadata(word: str) -> bool:
    """Whether a refusal is about the message's metadata."""
    return "metadata" in word


def outcome_of_word(word: str, after: timedelta | None, detail: str = "") -> Outcome | None:
    """What an error code means; None for one that nobody knows. `detail` is what Slack said beside it."""
    reason = explained(word, detail)
    match meaning_of(word):
        case Meaning.NOT_PROCESSED:
            return Retry(reason, after)
        case Meaning.NOT_PROCESSED_SLOWLY:
            return Retry(reason, after or SLOWLY)
        case Meaning.MAYBE_SENT:
            return Retry(reason, after, maybe_sent=True)
        case Meaning.BROKEN:
            return Broken(reason, after)
        case Meaning.REFUSED:
            return Refused(reason, after)
        case Meaning.UNKNOWN:
            return None
        case unreachable:
            assert_never(unreachable)


def outcome_of_status(status: int, after: timedelta | None, word: str = "") -> Retry | Broken | None:
    """What an HTTP status means where the body does not say more; None for one that says nothing. `word`: the error
    code that nobody knows, where there was one."""
    reason = status_in_words(status)
    shown = explained(word)
    if status == 429:
        return Retry(f"{reason}: Slack asks to slow down", after)
    if 300 <= status < 400:
        return Broken(f"{reason}: redirects are not followed", after)
    if status in (401, 403, 404, 405, 410):
        return Broken(f"{reason}: {shown or 'this does not answer as Slack does'}", after)
    if 200 <= status < 300:
        return Retry(f"{reason}, but not with an answer of Slack's", after, maybe_sent=True)
    if status >= 500 or status in (408, 425):
        return Retry(f"{reason}: {shown}" if shown else reason, after, maybe_sent=True)
    return None


def outcome_of_error(word: str, status: int, after: timedelta | None, detail: str = "") -> Outcome | None:
    """What an answer with an error code means: by its code where it is known, else by its status."""
    if status == 429:
        return outcome_of_status(status, after)
    known = outcome_of_word(word, after, detail)
    return known if known or 200 <= status < 300 else outcome_of_status(status, after, word)


def explained(word: str, detail: str = "") -> str:
    """The code, what Slack said beside it, and the remedy where one is known."""
    shown = word if len(word) <= LONGEST_WORD else word[:LONGEST_WORD] + "…"
    line = " ".join(tidied(f"{shown} ({detail})" if detail else shown).split())
    said = "".join(c if c.isprintable() else "\ufffd" for c in line)
    remedy = REMEDIES.get("restricted_action" if word.startswith("restricted_action") else word)
    return f"{said}: {remedy}" if remedy else said
