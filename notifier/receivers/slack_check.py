"""Whether a Slack receiver would work, asked without sending anything: auth.test and a look at the channel."""

from typing import Final

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from notifier.config.models import SlackReceiver
from notifier.model import Verdict
from notifier.receivers.slack_channel import find_channel
from notifier.receivers.slack_errors import explained
from notifier.receivers.slack_http import api_client, error_code, error_detail, outcome_of_failure

HISTORY_SCOPES: Final = ("channels:history", "groups:history")
NO_HISTORY: Final = (
    "without the scopes channels:history and groups:history, a message whose connection drops may come twice"
)


async def check_slack(settings: SlackReceiver, session: aiohttp.ClientSession) -> Verdict:
    """Asks for the token, then for the channel. Raises ProxyUnusable."""
    client = api_client(settings, session)
    try:
        return await _ask(client, settings.channel)
    except SlackApiError as error:
        return Verdict(ok=False, said=explained(error_code(error), error_detail(error)))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Verdict(ok=False, said=outcome_of_failure(error).reason)


async def _ask(client: AsyncWebClient, channel: str) -> Verdict:
    who = await client.auth_test()
    scopes = _scopes(who.headers.get("X-OAuth-Scopes", ""))
    whose = f"{who.get('user')} in {who.get('team')}"
    notes = (NO_HISTORY,) if scopes and not scopes & set(HISTORY_SCOPES) else ()
    if scopes and "chat:write" not in scopes:
        return Verdict(ok=False, said=explained("missing_scope", "needed: chat:write"))
    try:
        found = await find_channel(client, channel)
    except SlackApiError as error:
        if error_code(error) != "missing_scope":
            raise
        return Verdict(
            ok=None,
            said=f"the token works ({whose}); the channel was not checked: that needs the scopes channels:read and "
            "groups:read",
            notes=notes,
        )
    if found is None:
        return Verdict(ok=False, said=explained("channel_not_found"))
    if found.is_archived:
        return Verdict(ok=False, said=explained("is_archived"))
    if not found.is_member and "chat:write.public" not in scopes:
        return Verdict(ok=False, said=explained("not_in_channel"))
    return Verdict(ok=True, said=f"#{found.name} ({found.id}) as {whose}", notes=notes)


def _scopes(header: str) -> set[str]:
    return {scope.strip() for scope in header.split(",") if scope.strip()}
