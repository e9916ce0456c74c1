"""The methods of Slack's Web API, with the errors that Slack documents for each."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from notifier.simulator.slack.call import Answer, Call, json_answer
from notifier.simulator.slack.content import Refused, calls_all, flag, invalid_arguments, read_content
from notifier.simulator.slack.edits import read_edit
from notifier.simulator.slack.paging import between, page
from notifier.simulator.slack.workspace import (
    BOT_ID,
    BOT_USER,
    TEAM_ID,
    SlackChannel,
    SlackMessage,
    SlackWorkspace,
)

Scopes = tuple[str, ...]
Arguments = Mapping[str, Any]

_CHANNEL_TYPES: Final = {"public_channel": "channels:read", "private_channel": "groups:read"}
_OTHER_TYPES: Final = {"mpim", "im"}


class SlackApi:
    """Answers calls from a workspace."""

    def __init__(self, workspace: SlackWorkspace) -> None:
        self._workspace = workspace
        self._methods: Mapping[str, Callable[[Scopes, Arguments], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.info": self._info,
            "conversations.list": self._list,
            "conversations.replies": self._replies,
        }

    def answer(self, call: Call) -> Answer:
        """Does what is asked; an error is an answer too, with status 200."""
        scopes = self._workspace.scopes_of(call.token or "")
        headers = {} if scopes is None else {"X-OAuth-Scopes": ",".join(scopes)}
        try:
            value = {"ok": True, **self._done(call, scopes)}
        except Refused as refused:
            value = {"ok": False, "error": refused.code, **refused.extra}
        return json_answer(value, headers=headers)

    def _done(self, call: Call, scopes: Scopes | None) -> dict[str, Any]:
        method = self._methods.get(call.method)
        if method is None:
            raise Refused("unknown_method", req_method=call.method)
        if call.problem is not None:
            raise Refused(call.problem)
        if not call.token:
            raise Refused("not_authed")
        if scopes is None:
            raise Refused("token_revoked" if self._workspace.is_revoked(call.token) else "invalid_auth")
        return method(scopes, call.arguments)

    def _auth_test(self, scopes: Scopes, arguments: Arguments) -> dict[str, Any]:
        return {
            "url": "https://simulated.slack.com/",
            "team": "Simulated",
            "user": "census_notifier",
            "team_id": TEAM_ID,
            "user_id": BOT_USER,
            "bot_id": BOT_ID,
            "is_enterprise_install": False,
        }

    def _post_message(self, scopes: Scopes, arguments: Arguments) -> dict[str, Any]:
        _need(scopes, "chat:write")
        channel = self._visible(self._workspace.find_channel(_text(arguments, "channel")))
        if channel.archived:
            raise Refused("is_archived")
        if not channel.member and "chat:write.public" not in scopes:
            raise Refused("not_in_channel")
        thread_ts = arguments.get("thread_ts")
        broadcast = thread_ts is not None and flag(arguments, "reply_broadcast")
        self._may_post(channel, thread_ts, broadcast=broadcast)
        content = read_content(arguments)
        if calls_all(content) and not channel.broadcasts:
            # https://github.com/slackhq/slack-api-docs/issues/85
            raise Refused("restricted_action")
        message = self._workspace.post(channel.id, content, arguments, thread_ts=thread_ts, broadcast=broadcast)
        return {"channel": channel.id, "ts": message.ts, "message": self._shown(message, with_metadata=False)}

    def _may_post(self, channel: SlackChannel, thread_ts: object, *, broadcast: bool) -> None:
        """Raises Refused where the channel or the thread does not take it, whatever it is."""
        if not channel.posts and (thread_ts is None or broadcast):
            raise Refused("restricted_action_thread_only_channel")
        if thread_ts is None:
            return
        if not channel.threads:
            raise Refused("restricted_action_non_threadable_channel")
        parent = self._workspace.parent(channel.id, thread_ts)
        if parent is None:
            raise Refused("thread_not_found")
        if (channel.id, parent.ts) in self._workspace.locked:
            raise Refused("restricted_action_thread_locked")

    def _update(self, scopes: Scopes, arguments: Arguments) -> dict[str, Any]:
        _need(scopes, "chat:write")
        channel = self._visible(self._workspace.channels.get(_text(arguments, "channel")))
        # The word that Slack has for it in this method; is_archived and not_in_channel are not among its errors.
        # https://docs.slack.dev/reference/methods/chat.update
        if channel.archived:
            raise Refused("is_inactive")
        message = self._workspace.find_message(channel.id, _text(arguments, "ts"))
        if message is None:
            raise Refused("message_not_found")
        if message.user != BOT_USER:
            raise Refused("cant_update_message")
        edited = self._workspace.edit(message, read_edit(message, arguments), arguments)
        shown = self._shown(edited, with_metadata=False)
        return {"channel": channel.id, "ts": edited.ts, "text": edited.text, "message": shown}

    def _history(self, scopes: Scopes, arguments: Arguments) -> dict[str, Any]:
        channel = self._readable(scopes, arguments)
        in_channel = [
            message
            for message in reversed(self._workspace.messages)
            if message.channel == channel.id and (message.thread_ts is None or message.broadcast)
        ]
        return self._messages(between(in_channel, arguments), arguments) | {"pin_count": 0}

    def _replies(self, scopes: Scopes, arguments: Arguments) -> dict[str, Any]:
        channel = self._readable(scopes, arguments)
        parent = self._workspace.parent(channel.id, _text(arguments, "ts"))
        if parent is None:
            raise Refused("thread_not_found")
        # The message above the thread is always shown, whatever time is asked for.
        return self._messages([parent, *between(self._workspace.replies(channel.id, parent.ts), arguments)], arguments)

    def _info(self, scopes: Scopes, arguments: Arguments) -> dict[str, Any]:
        return {"channel": _shown_channel(self._asked_channel(scopes, arguments, "read"))}

    def _list(self, scopes: Scopes, arguments: Arguments) -> dict[str, Any]:
        types = {name.strip() for name in str(arguments.get("types", "public_channel")).split(",")}
        if not types <= _CHANNEL_TYPES.keys() | _OTHER_TYPES:
            raise Refused("invalid_types")
        for name in sorted(types & _CHANNEL_TYPES.keys()):
            _need(scopes, _CHANNEL_TYPES[name])
        only_live = flag(arguments, "exclude_archived")
        wanted = [
            channel
            for channel in self._workspace.channels.values()
            if ("private_channel" if channel.private else "public_channel") in types
            and (channel.member or not channel.private)
            and not (only_live and channel.archived)
        ]
        part, following = page(wanted, arguments, lambda channel: channel.id)
        return {
            "channels": [_shown_channel(channel) for channel in part],
            "response_metadata": {"next_cursor": following or ""},
        }

    def _messages(self, messages: list[SlackMessage], arguments: Arguments) -> dict[str, Any]:
        part, following = page(messages, arguments, lambda message: message.ts)
        with_metadata = flag(arguments, "include_all_metadata")
        answer: dict[str, Any] = {
            "messages": [self._shown(message, with_metadata=with_metadata) for message in part],
            "has_more": following is not None,
        }
        if following is not None:
            answer["response_metadata"] = {"next_cursor": following}
        return answer

    def _readable(self, scopes: Scopes, arguments: Arguments) -> SlackChannel:
        channel = self._asked_channel(scopes, arguments, "history")
        if not channel.member:
            raise Refused("not_in_channel")
        return channel

    def _asked_channel(self, scopes: Scopes, arguments: Arguments, right: str) -> SlackChannel:
        """The channel that a conversations method names, by its ID only."""
        if not {f"channels:{right}", f"groups:{right}"} & set(scopes):
            raise _missing_scope(f"channels:{right},groups:{right}", scopes)
        channel = self._visible(self._workspace.channels.get(_text(arguments, "channel")))
        _need(scopes, f"groups:{right}" if channel.private else f"channels:{right}")
        return channel

    def _visible(self, channel: SlackChannel | None) -> SlackChannel:
        if channel is None or (channel.private and not channel.member):
            raise Refused("channel_not_found")
        return channel

    def _shown(self, message: SlackMessage, *, with_metadata: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
        if message.user == BOT_USER:
            shown |= {"team": TEAM_ID, "bot_id": BOT_ID}
        if message.blocks:
            shown["blocks"] = message.blocks
        if message.broadcast:
            shown["subtype"] = "thread_broadcast"
        if message.edits:
            shown["edited"] = {"user": message.user, "ts": message.edits[-1].ts}
        replies = self._workspace.replies(message.channel, message.ts)
        if message.thread_ts is not None:
            shown["thread_ts"] = message.thread_ts
        elif replies:
            shown |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1].ts}
        if with_metadata and message.metadata is not None:
            shown["metadata"] = message.metadata
        return shown


def _need(scopes: Scopes, scope: str) -> None:
    if scope not in scopes:
        raise _missing_scope(scope, scopes)


def _missing_scope(needed: str, scopes: Scopes) -> Refused:
    return Refused("missing_scope", needed=needed, provided=",".join(scopes))


def _text(arguments: Arguments, name: str) -> str:
    given = arguments.get(name)
    if not isinstance(given, str) or not given:
        raise invalid_arguments(f"missing required field: {name}")
    return given


def _shown_channel(channel: SlackChannel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": True,
        "is_private": channel.private,
        "is_archived": channel.archived,
        "is_member": channel.member,
        "context_team_id": TEAM_ID,
    }
