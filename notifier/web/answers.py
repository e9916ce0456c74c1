"""What the server answers with: JSON, and sentences that say what to do."""

import json
from typing import Final

from aiohttp import web

from notifier.model.foreign import disarmed_json

HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def answer(status: int, document: object, headers: dict[str, str] | None = None) -> web.Response:
    """A document as JSON."""
    return answer_encoded(status, to_json(document), headers)


def answer_encoded(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    """JSON that is made already."""
    all_headers = {**HEADERS, **(headers or {})}
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8", headers=all_headers)


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error: `{"error": "a sentence"}`."""
    return answer(status, {"error": sentence}, headers)


def to_json(document: object) -> bytes:
    """As the commands' --json, on one line."""
    return disarmed_json(json.dumps(document, ensure_ascii=False, separators=(",", ":"))).encode() + b"\n"
