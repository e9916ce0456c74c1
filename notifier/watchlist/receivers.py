"""Where messages go: each kind of receiver, as the watchlist has it, and what the rest of the notifier asks of it.

A new kind is a member of the union at the end; `RECEIVERS` and all that looks at it follow.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, WithJsonSchema, field_validator

from notifier.model.event import EventType
from notifier.watchlist.part import Part
from notifier.watchlist.values import (
    BaseUrl,
    Credential,
    EventPattern,
    HeaderName,
    HeaderValue,
    Mention,
    NonEmpty,
    SecretUrl,
    WebhookSecret,
)

SLACK: Final = "slack"
SLACK_HOOKS: Final = "hooks.slack.com"
MENTION_ON: Final = (EventType.INCIDENT_OPENED.value, EventType.INCIDENT_REMINDER.value)
Mentions: TypeAlias = tuple[Mention, ...]
MentionOn: TypeAlias = Annotated[tuple[EventPattern, ...], Field(min_length=1)]


class ReceiverSettings(Part):
    """What the rest of the notifier asks of a receiver, of whatever kind it is."""

    selective: ClassVar[bool]
    """Whether it shows one message for what was seen at once, as people want it. Others get every event."""
    shows_every_start: ClassVar[bool]
    """Whether each run that is queued, or begins, is something to read there."""
    paced_with: ClassVar[str | None] = None
    """Whose pace it shares: of several workers one sends to all with the same word. None: it has a pace of its own."""

    @property
    def living(self) -> bool:
        """Whether it has one message for each incident or run, which later events change."""
        return False

    @property
    def calls(self) -> tuple[Mentions, tuple[EventPattern, ...]]:
        """Who is mentioned, and on which events."""
        return (), ()

    @property
    def where_to_look(self) -> str | None:
        """Where a person finds a message that arrived; None where it went to a program."""
        return None


class SlackReceiver(ReceiverSettings):
    """A Slack channel, by a bot token and chat.postMessage."""

    selective = True
    shows_every_start = True
    paced_with = SLACK

    type: Literal["slack"]
    token: Credential
    """The bot token; best as ${SLACK_BOT_TOKEN}."""
    channel: NonEmpty
    """The channel's ID, or a name such as "#data-syncs"."""
    messages: Literal["living", "each"] = "living"
    """living: one message for each incident or run, kept true by edits. each: a message for each event."""
    mentions: Mentions = ()
    """Who is mentioned: "@here", "@channel", "<@U0123>", "<!subteam^S0123>"."""
    mention_on: MentionOn = MENTION_ON
    """The events on which they are."""
    api_url: BaseUrl | None = None
    """Where Slack's Web API is, when not at slack.com: a proxy, a test server."""

    @property
    def living(self) -> bool:
        """Unless each event is to have a message."""
        return self.messages == "living"

    @property
    def calls(self) -> tuple[Mentions, MentionOn]:
        """As the watchlist says."""
        return self.mentions, self.mention_on

    @property
    def where_to_look(self) -> str:
        """The channel."""
        return self.channel


_EACH: Final = {"type": "string", "enum": ["each"]}


class SlackWebhookReceiver(ReceiverSettings):
    """A Slack incoming webhook."""

    selective = True
    shows_every_start = True
    paced_with = SLACK

    type: Literal["slack_webhook"]
    url: SecretUrl
    """The incoming webhook's URL, which is a secret; best as ${SLACK_WEBHOOK_URL}."""
    messages: Annotated[Literal["each"], WithJsonSchema(_EACH)] = "each"
    """each: a message for each event; an incoming webhook can't edit what it posted."""
    mentions: Mentions = ()
    """Who is mentioned: "@here", "@channel", "<@U0123>", "<!subteam^S0123>"."""
    mention_on: MentionOn = MENTION_ON
    """The events on which they are."""

    @property
    def calls(self) -> tuple[Mentions, MentionOn]:
        """As the watchlist says."""
        return self.mentions, self.mention_on

    @property
    def where_to_look(self) -> str:
        """As far as that is known."""
        return "the channel that the webhook was made for; Slack does not say which"


class WebhookReceiver(ReceiverSettings):
    """Any HTTP endpoint: each event is a POST after Standard Webhooks."""

    selective = False
    shows_every_start = False

    type: Literal["webhook"]
    url: SecretUrl
    """Where to send."""
    secret: WebhookSecret | None = None
    """Signs each request: "whsec_" and the base64 of at least 24 bytes."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Further headers of each request; their values are secrets."""

    @field_validator("url", mode="after")
    @classmethod
    def _not_slacks(cls, url: SecretStr) -> SecretStr:
        if urlsplit(url.get_secret_value()).hostname == SLACK_HOOKS:  # which takes nothing but its own format
            raise ValueError("is a Slack incoming webhook; use type: slack_webhook")
        return url


Receiver: TypeAlias = Annotated[SlackReceiver | SlackWebhookReceiver | WebhookReceiver, Field(discriminator="type")]


def kinds_in(union: Any) -> dict[str, type[ReceiverSettings]]:
    """The members of a union of receivers, by the `type` that each has in the watchlist."""
    members, _ = get_args(union)
    return {name: kind for kind in get_args(members) for name in get_args(kind.model_fields["type"].annotation)}


RECEIVERS: Final[Mapping[str, type[ReceiverSettings]]] = kinds_in(Receiver)
"""All kinds, by the `type` that each has in the watchlist."""
