"""Whether a Slack receiver would work, asked without sending anything: auth.test and a look at the channel."""

from typing import Final

import aiohttp
from slack_sdk.errors import SlackApiError

from notifier.model.delivery import Broken, Verdict
from notifier.receivers.slack.channel import CanNotTell, Patience, find_channel
from notifier.receivers.slack.client import api_client, error_code, error_detail, outcome_of_failure
from notifier.receivers.slack.errors import error_in_words, outcome_of_error
from notifier.watchlist.receivers import SlackReceiver

LONGEST_WAIT: Final = 60.0  # seconds that 429s may ask for in all: someone sits in front of this
HISTORY_SCOPES: Final = ("channels:history", "groups:history")
NO_HISTORY: Final = (
    "without the scopes channels:history and groups:history, a message whose connection drops may come twice"
)


async def check_slack(settings: SlackReceiver, session: aiohttp.ClientSession) -> Verdict:
    """Asks for the token, then for the channel. Raises ProxyUnusable.

    What could not be found out is no verdict, on the channel: posting there needs none of these questions.
    """
    client, patience = api_client(settings, session), Patience(LONGEST_WAIT)
    try:
        who = await patience.asked(client.auth_test)
    except SlackApiError as error:
        said = error_in_words(error_code(error), error_detail(error))
        return Verdict(ok=None if error.response.status_code == 429 else False, said=said)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Verdict(ok=False, said=outcome_of_failure(error).reason)
    scopes = _scopes(who.headers.get("X-OAuth-Scopes", ""))
    if scopes and "chat:write" not in scopes:
        return Verdict(ok=False, said=error_in_words("missing_scope", "needed: chat:write"))
    whose = f"{who.get('user')} in {who.get('team')}"
    notes = (NO_HISTORY,) if scopes and not scopes & set(HISTORY_SCOPES) else ()
    try:
        found = await find_channel(client, settings.channel, patience)
    except (SlackApiError, CanNotTell, aiohttp.ClientError, TimeoutError, OSError) as error:
        said, is_wrong = _not_found_out(error)
        if is_wrong:
            return Verdict(ok=False, said=said)
        return Verdict(ok=None, said=f"the token works ({whose}); the channel was not checked: {said}", notes=notes)
    if found is None:
        return Verdict(ok=False, said=error_in_words("channel_not_found"))
    if found.is_archived:
        return Verdict(ok=False, said=error_in_words("is_archived"))
    if not found.is_member and "chat:write.public" not in scopes:
        return Verdict(ok=False, said=error_in_words("not_in_channel"))
    return Verdict(ok=True, said=f"#{found.name} ({found.id}) as {whose}", notes=notes)


def _not_found_out(error: Exception) -> tuple[str, bool]:
    """Why nothing is known of the channel, and whether that is because something is wrong with it or the token."""
    if isinstance(error, CanNotTell):
        return str(error), False
    if not isinstance(error, SlackApiError):
        failed = outcome_of_failure(error)
        return failed.reason, isinstance(failed, Broken)
    code = error_code(error)
    if code == "missing_scope":
        return "that needs the scopes channels:read and groups:read", False
    meant = outcome_of_error(code, error.response.status_code, None, error_detail(error))
    return (meant.reason, True) if isinstance(meant, Broken) else (error_in_words(code, error_detail(error)), False)


def _scopes(header: str) -> set[str]:
    return {scope.strip() for scope in header.split(",") if scope.strip()}
