"""What Slack's error words mean: whose fault each one tells of, and so what to do about it. Pure.

Sources: docs.slack.dev, "chat.postMessage", "chat.update", "Errors", and "Sending messages using incoming webhooks".
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum, auto
from typing import Final, assert_never

from notifier.model.delivery import Broken, Outcome, Refused, Retry
from notifier.model.errors import status_in_words
from notifier.model.foreign import tidied

SLOWLY: Final = timedelta(minutes=5)
LONGEST_WORD: Final = 200  # characters of an unknown code that are shown


class Fault(Enum):
    """Whose fault an error is."""

    SLACKS = auto()  # it did nothing with the message
    SLACKS_FOR_LONG = auto()  # and will not for a while
    WITHIN_SLACK = auto()  # it failed inside of Slack: the message may have been sent
    CHANNELS = auto()  # no message gets through there until someone acts
    CREDENTIALS = auto()  # nor with these
    SHAPES = auto()  # this message's: another shape of it may be accepted
    MESSAGES = auto()  # that of the message that was to be edited or answered: it is not there for that any more
    THREADS = auto()  # that of one thread: the message above it may be edited
    ALL_THREADS = auto()  # the channel takes messages, and no replies to any
    BROADCASTS = auto()  # a reply may not be shown in the channel too; a post: the channel's
    RIGHTS = auto()  # somebody forbids it: who is mentioned, or else that anything is posted there
    UNKNOWN = auto()


_WORDS: Final[Mapping[Fault, frozenset[str]]] = {
    Fault.SLACKS: frozenset({"rate_limited", "ratelimited", "request_timeout", "streaming_state_conflict"}),
    Fault.SLACKS_FOR_LONG: frozenset(
        {"external_channel_migrating", "message_limit_exceeded", "org_login_required", "team_added_to_org"}
    ),
    Fault.WITHIN_SLACK: frozenset(
        {"fatal_error", "internal_error", "rollup_error", "service_unavailable", "update_failed"}
    ),
    Fault.CHANNELS: frozenset(
        {
            "channel_is_archived",
            "channel_not_found",
            "is_archived",
            "is_inactive",
            "messages_tab_disabled",
            "no_active_hooks",
            "no_service",
            "no_service_id",
            "no_team",
            "not_in_channel",
            "posting_to_general_channel_denied",
            "restricted_action_read_only_channel",
            "team_disabled",
            "team_not_found",
        }
    ),
    Fault.CREDENTIALS: frozenset(
        {
            "access_denied",
            "accesslimited",
            "account_inactive",
            "app_access_restricted",
            "deprecated_endpoint",
            "ekm_access_denied",
            "enterprise_is_restricted",
            "invalid_auth",
            "invalid_token",
            "method_deprecated",
            "missing_scope",
            "no_permission",
            "not_allowed_token_type",
            "not_authed",
            "team_access_not_granted",
            "token_expired",
            "token_revoked",
            "two_factor_setup_required",
            "unknown_method",
        }
    ),
    Fault.SHAPES: frozenset(
        {
            "as_user_not_supported",
            "attachment_payload_limit_exceeded",
            "duplicate_channel_not_found",
            "duplicate_message_not_found",
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
            "missing_file_data",
            "missing_post_type",
            "missing_text_or_fallback_or_attachments",
            "msg_blocks_too_long",
            "msg_too_long",
            "no_text",
            "send_on_behalf_not_allowed",
            "slack_connect_canvas_sharing_blocked",
            "slack_connect_clip_sharing_blocked",
            "slack_connect_file_link_sharing_blocked",
            "slack_connect_file_upload_sharing_blocked",
            "slack_connect_lists_sharing_blocked",
            "too_many_attachments",
            "too_many_contact_cards",
        }
    ),
    Fault.MESSAGES: frozenset(
        {
            "block_mismatch",
            "cannot_reply_to_message",
            "cant_update_message",
            "edit_window_closed",
            "message_not_found",
            "thread_not_found",
        }
    ),
    Fault.THREADS: frozenset({"restricted_action_thread_locked", "thread_locked"}),
    Fault.ALL_THREADS: frozenset({"restricted_action_non_threadable_channel"}),
    Fault.BROADCASTS: frozenset({"cant_broadcast_message", "restricted_action_thread_only_channel"}),
    Fault.RIGHTS: frozenset({"action_prohibited", "user_not_found"}),
}
_PREFIXES: Final = (
    ("restricted_action", Fault.RIGHTS),
    ("invalid_blocks", Fault.SHAPES),
    ("invalid_metadata", Fault.SHAPES),
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
    "restricted_action_thread_only_channel": "the channel takes replies in threads alone; name another",
    "token_expired": "token rotation is on; make the app from docs/slack-app-manifest.yaml, which leaves it off",
    "token_revoked": "install the app again and use its new token",
}


def fault_of(word: str) -> Fault:
    """Whose fault an error code of the Web API, or the body of an incoming webhook's answer, tells of."""
    for fault, words in _WORDS.items():
        if word in words:
            return fault
    return next((fault for prefix, fault in _PREFIXES if word.startswith(prefix)), Fault.UNKNOWN)


def is_about_metadata(word: str) -> bool:
    """Whether a refusal is about the message's metadata."""
    return "metadata" in word


def outcome_of_word(word: str, after: timedelta | None, detail: str = "") -> Outcome | None:
    """What an error code means where nothing about the message can be changed; None for one that nobody knows.

    `detail` is what Slack said beside it.
    """
    reason = error_in_words(word, detail)
    match fault_of(word):
        case Fault.SLACKS:
            return Retry(reason, after)
        case Fault.SLACKS_FOR_LONG:
            return Retry(reason, after or SLOWLY)
        case Fault.WITHIN_SLACK:
            return Retry(reason, after, maybe_sent=True)
        case Fault.SHAPES | Fault.MESSAGES:
            return Refused(reason, after)
        case Fault.CHANNELS | Fault.CREDENTIALS | Fault.RIGHTS:
            return Broken(reason, after)
        case Fault.THREADS | Fault.ALL_THREADS | Fault.BROADCASTS:  # of a message that has no thread
            return Broken(reason, after)
        case Fault.UNKNOWN:
            return None
        case unreachable:
            assert_never(unreachable)


def outcome_of_status(status: int, after: timedelta | None, word: str = "") -> Retry | Broken | None:
    """What an HTTP status means where the body does not say more; None for one that says nothing. `word`: the error
    code that nobody knows, where there was one."""
    reason = status_in_words(status)
    said = error_in_words(word)
    if status == 429:
        return Retry(f"{reason}: Slack asks to slow down", after)
    if 300 <= status < 400:
        return Broken(f"{reason}: redirects are not followed", after)
    if status in (401, 403, 404, 405, 410):
        return Broken(f"{reason}: {said or 'this does not answer as Slack does'}", after)
    if 200 <= status < 300:
        return Retry(f"{reason}, but not with an answer of Slack's", after, maybe_sent=True)
    if status >= 500 or status in (408, 425):
        return Retry(f"{reason}: {said}" if said else reason, after, maybe_sent=True)
    return None


def outcome_of_error(word: str, status: int, after: timedelta | None, detail: str = "") -> Outcome | None:
    """What an answer with an error code means: by its code where it is known, else by its status."""
    if status == 429:
        return outcome_of_status(status, after)
    known = outcome_of_word(word, after, detail)
    return known if known or 200 <= status < 300 else outcome_of_status(status, after, word)


def shown(word: str, detail: str = "") -> str:
    """The code, and what Slack said beside it."""
    brief = word if len(word) <= LONGEST_WORD else word[:LONGEST_WORD] + "…"
    line = " ".join(tidied(f"{brief} ({detail})" if detail else brief).split())
    return "".join(c if c.isprintable() else "\ufffd" for c in line)


def error_in_words(word: str, detail: str = "") -> str:
    """The code, what Slack said beside it, and the remedy where one is known."""
    family = "restricted_action" if word.startswith("restricted_action") else word
    remedy = REMEDIES.get(word) or REMEDIES.get(family)
    return f"{shown(word, detail)}: {remedy}" if remedy else shown(word, detail)
