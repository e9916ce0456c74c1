"""POST /webhooks/census/{workspace}: Census' lifecycle webhooks.

The body is read to its cap, then its signature is looked at, then what it says. The answer tells whether it was taken,
and nothing else.
"""

import asyncio
from typing import Final

from aiohttp import web

from notifier.model.errors import StoreUnavailable
from notifier.web.answers import refusal
from notifier.web.worker import InForce, WebhookInbox

LARGEST_BODY: Final = 64 * 1024  # of each connection one at most is in memory
IN_TIME: Final = 10.0  # seconds for a body to arrive, and again for it to be taken


class TooLarge(Exception):
    """The body is larger than any webhook of Census."""


class Hooks:
    """`take` is the route's handler."""

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force

    async def take(self, request: web.Request) -> web.Response:
        """202, 401, 404, 413; 408 and 503 for what comes too slowly or can't be kept now."""
        workspace = request.match_info["workspace"]
        if self._inbox(workspace) is None:
            return _unknown()
        if (request.content_length or 0) > LARGEST_BODY:
            return _too_large()
        try:
            async with asyncio.timeout(IN_TIME):
                body = await _body(request)
        except TooLarge:
            return _too_large()
        except TimeoutError:
            return refusal(408, "the body took too long", {"Connection": "close"})
        return await self._judge(workspace, body, request)

    def _inbox(self, workspace: str) -> WebhookInbox | None:
        return self._in_force.worker.inboxes.get(workspace)

    async def _judge(self, workspace: str, body: bytes, request: web.Request) -> web.Response:
        inbox = self._inbox(workspace)
        if inbox is None:
            return _unknown()
        signature = request.headers.get("X-Signature")
        raw = signature.encode("utf-8", "surrogateescape") if signature is not None else None
        if not inbox.is_signed(body, raw):
            return refusal(401, "X-Signature must be the base64 of the body's HMAC-SHA256 with the webhook's secret")
        try:
            async with asyncio.timeout(IN_TIME), self._in_force.taking:
                inbox = self._inbox(workspace)  # which a reload may have replaced while this one waited
                if inbox is None:
                    return _unknown()
                await inbox.take(body)
        except (StoreUnavailable, TimeoutError):
            return refusal(503, "it can't be kept now; send it again")
        return web.Response(status=202)


async def _body(request: web.Request) -> bytes:
    """The bytes as they were sent. Raises TooLarge as soon as there are too many, whatever Content-Length said."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise TooLarge
    return bytes(body)


def _unknown() -> web.Response:
    return refusal(404, "no workspace of this name takes webhooks; give it a lifecycle_webhook with a secret")


def _too_large() -> web.Response:
    return refusal(413, "a webhook's body has 64 KiB at most", {"Connection": "close"})
