"""Where messages go. A new kind of receiver is one file here, one member of the union in `config/models.py`, one test
file."""

from typing import assert_never

import aiohttp

from notifier.config.models import Receiver as Settings
from notifier.config.models import SlackReceiver, SlackWebhookReceiver, WebhookReceiver
from notifier.receivers.base import Receiver
from notifier.receivers.unbuilt import UnbuiltSender
from notifier.receivers.webhook import WebhookSender


def build(name: str, settings: Settings, session: aiohttp.ClientSession) -> Receiver:
    """The sender for a receiver of the watchlist."""
    match settings:
        case WebhookReceiver():
            return WebhookSender(name, settings, session)
        case SlackReceiver() | SlackWebhookReceiver():
            return UnbuiltSender(name, settings.type)
        case _:
            assert_never(settings)
