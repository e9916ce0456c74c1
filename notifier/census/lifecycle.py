"""Census' lifecycle webhooks: whether one is signed, and what it says. Pure.

Facts: docs.getcensus.com, Sync Lifecycle Webhooks. The signature has no time and the payload no ID, so that a webhook
can be repeated by anyone who saw it: what it says is a hint, never a fact.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from notifier.model.event import CensusAlert, EventType
from notifier.model.identity import id_of
from notifier.model.notice import Notice
from notifier.watchlist.values import split_url

ALERTS: Final[Mapping[str, EventType]] = {
    "sync.alert.raised": EventType.CENSUS_ALERT_RAISED,
    "sync.alert.resolved": EventType.CENSUS_ALERT_RESOLVED,
}
LONGEST_ALERT_ID: Final = 200
LONGEST_LINK: Final = 3_000


def is_signed(secret: bytes, body: bytes, signature: bytes | None) -> bool:
    """Whether `signature` is base64(HMAC-SHA256(secret, raw body)); compared in constant time, as bytes."""
    if signature is None:
        return False
    return hmac.compare_digest(base64.b64encode(hmac.digest(secret, body, "sha256")), signature.strip())


def notice_of(body: bytes, app_url: str) -> Notice | None:
    """What a webhook's body says; None where that can't be understood. `app_url`: where Census' own pages are."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict) or (sync_id := id_of(said.get("sync_id"))) is None:
        return None
    return Notice(sync_id, _alert(said, app_url))


def _alert(said: Mapping[str, Any], app_url: str) -> CensusAlert | None:
    event, instance = said.get("event"), said.get("alert_instance_id")
    kind = ALERTS.get(event) if isinstance(event, str) else None
    if kind is None or isinstance(instance, bool) or not isinstance(instance, int | str):
        return None
    if not 0 < len(str(instance)) <= LONGEST_ALERT_ID:
        return None
    return CensusAlert(
        id=instance,
        type=kind,
        kind=_text(said.get("alert_type")),
        message=_text(said.get("message")),
        details=_text(said.get("details")),
        url=own_link(said.get("followup_url"), app_url),
        run_id=id_of(said.get("sync_run_id")),
    )


def own_link(url: object, app_url: str) -> str | None:
    """The link, if it leads to Census' own host by https; else nothing: whoever has the secret must not send us on."""
    if not isinstance(url, str) or len(url) > LONGEST_LINK or not url.isascii():
        return None
    try:
        parts = split_url(url)
    except ValueError:
        return None
    is_own = parts.hostname == urlsplit(app_url).hostname and parts.port in (None, 443)
    return url if is_own and parts.scheme == "https" else None


def _text(value: object) -> str | None:
    """Text as it is; what is no text, as JSON; nothing where it is nested too deeply for that."""
    if value is None or value == "":
        return None
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return None
