"""Slack's incoming webhooks: one word for an answer, and a status that goes with it."""

from typing import Final

from notifier.simulator.slack.call import Answer, Call, text_answer
from notifier.simulator.slack.content import Refused, calls_all, read_content
from notifier.simulator.slack.workspace import SlackWorkspace

# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling-errors
STATUS_OF: Final = {
    "invalid_payload": 400,
    "invalid_token": 400,
    "no_text": 400,
    "user_not_found": 400,
    "action_prohibited": 403,
    "channel_not_found": 404,
    "no_service": 404,
    "no_team": 404,
    "channel_is_archived": 410,
}


def refusal(code: str, status: int | None = None) -> Answer:
    """The answer that says no, with the status that Slack documents for the word unless told otherwise."""
    return text_answer(code, STATUS_OF.get(code, 400) if status is None else status)


def receive(workspace: SlackWorkspace, call: Call) -> Answer:
    """Keeps the message of a call to an incoming webhook, or says why not."""
    channel_id = workspace.webhooks.get(call.path)
    if channel_id is None:
        return refusal("no_service")
    channel = workspace.channels.get(channel_id)
    if channel is None:
        return refusal("channel_not_found")
    if channel.archived:
        return refusal("channel_is_archived")
    if call.problem is not None:
        return refusal("invalid_payload")
    try:
        content = read_content(call.arguments)
    except Refused as refused:
        # A webhook has one word for every fault of shape.
        return refusal("no_text" if refused.code == "no_text" else "invalid_payload")
    if calls_all(content) and not channel.broadcasts:
        return refusal("action_prohibited")
    workspace.post(channel_id, content, call.arguments)
    return text_answer("ok")
