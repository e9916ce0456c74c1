"""What Slack's documentation, and good sense, ask of a message: a judge that has nothing in common with the simulator.

Limits: docs.slack.dev, "Block Kit" and chat.postMessage; the sum of 9,000 characters is what was seen to be safe.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]")
REMNANT: Final = re.compile(r"\[\d*(?:;\d+)*m|\[\?25l|UNSEEN|\n\s*\n\s*\n")
"""What is left of a terminal's sequence that was not taken out whole, or of blank lines in a row."""
ENTITY: Final = re.compile(r"&(?!amp;|lt;|gt;)")
DATE: Final = re.compile(r"<!date\^\d+\^[^<>|^]*\|[^<>|]*>")
MOST: Final = {
    "blocks": 50,
    "header": 150,
    "section": 3_000,
    "field": 2_000,
    "fields": 10,
    "elements": 10,
    "button": 75,
}
LONGEST_URL, LONGEST_ID, LONGEST_TEXT, LARGEST_METADATA, LONGEST_MESSAGE = 3_000, 255, 4_000, 1_000, 9_000
LEAVES: Final = ("text", "emoji", "date", "link")
"""Parts of a rich text that name nobody."""


def problems(arguments: Mapping[str, Any], host: str, *, is_edit: bool = False) -> list[str]:
    """What is wrong with a message that mentions nobody and links to nothing but this host."""
    return list(_problems(arguments, host, is_edit=is_edit))


def _problems(arguments: Mapping[str, Any], host: str, *, is_edit: bool) -> Iterator[str]:
    text, blocks = arguments.get("text") or "", _decoded(arguments.get("blocks") or [])
    if not text.strip():
        yield "no text"
    if (len(text.encode("utf-8", "surrogatepass")) if is_edit else len(text)) > LONGEST_TEXT:
        yield f"a text of {len(text)} characters"
    yield from _escaped(text, "text", dates=False)
    if arguments.get("parse") != "none":
        yield "Slack may make links of the text"
    if not is_edit and (arguments.get("unfurl_links") is not False or arguments.get("unfurl_media") is not False):
        yield "links are unfurled"
    if len(json.dumps(_decoded(arguments.get("metadata") or {}))) >= LARGEST_METADATA:
        yield "metadata of 1 kB"
    if len(blocks) > MOST["blocks"]:
        yield f"{len(blocks)} blocks"
    if (total := sum(len(shown) for shown in _texts(blocks))) > LONGEST_MESSAGE:
        yield f"{total} characters in all blocks"
    for block in blocks:
        yield from _block(block, host)


def _block(block: Any, host: str) -> Iterator[str]:
    if len(block.get("block_id", "x")) not in range(1, LONGEST_ID + 1):
        yield "a block_id too long"
    match block["type"]:
        case "rich_text":
            for element in block["elements"]:
                yield from _rich(element, host)
        case "context":
            if not 1 <= len(block["elements"]) <= MOST["elements"]:
                yield f"{len(block['elements'])} elements in a context"
            for element in block["elements"]:
                yield from _object(element, MOST["section"])
        case "header":
            yield from _object(block["text"], MOST["header"])
        case "section":
            if "text" in block:
                yield from _object(block["text"], MOST["section"])
            if len(block.get("fields", ())) > MOST["fields"]:
                yield "too many fields"
            for each in block.get("fields", ()):
                yield from _object(each, MOST["field"])
        case "actions":
            for button in block["elements"]:
                yield from _object(button["text"], MOST["button"])
                yield from _url(button.get("url", host), host)
        case "divider":
            pass
        case other:
            yield f"a block {other!r}, which nobody needs"


def _rich(element: Any, host: str) -> Iterator[str]:
    kind = element["type"]
    if kind in ("rich_text_section", "rich_text_preformatted", "rich_text_quote", "rich_text_list"):
        if not element["elements"]:
            yield f"an empty {kind}"
        for part in element["elements"]:
            yield from _rich(part, host)
        return
    if kind not in LEAVES:
        yield f"it names somebody: {element}"
    if kind == "text" and not element["text"]:
        yield "an empty piece of text"
    if kind == "link":
        yield from _url(element["url"], host)
        if "\n" in element.get("text", ""):
            yield f"a link over several lines: {element['text']!r}"
    for key in ("text", "fallback", "format"):
        yield from _fit(element.get(key, ""), kind)


def _object(composed: Any, most: int) -> Iterator[str]:
    text = composed["text"]
    if not 1 <= len(text) <= most:
        yield f"{len(text)} characters in a {composed['type']} of at most {most}"
    if composed["type"] == "mrkdwn":
        yield from _escaped(text, "mrkdwn", dates=True)
        if composed.get("verbatim") is not True:
            yield "mrkdwn in which Slack makes links"
    else:
        yield from _fit(text, composed["type"])


def _escaped(text: str, where: str, *, dates: bool) -> Iterator[str]:
    yield from _fit(text, where)
    bare = DATE.sub("", text) if dates else text
    if "<" in bare or ">" in bare or ENTITY.search(bare):
        yield f"{where} is not escaped: {bare[:200]!r}"
    if dates and re.search(r"[*_~`]", bare):
        yield f"markup in {where}: {bare[:200]!r}"


def _fit(text: str, where: str) -> Iterator[str]:
    if found := UNFIT.search(text):
        yield f"{found[0]!r} in {where}"
    if found := REMNANT.search(text):
        yield f"what is left of a sequence, or of blank lines, in {where}: {found[0]!r}"


def _url(url: str, host: str) -> Iterator[str]:
    if not url.startswith(host) or len(url) > LONGEST_URL or re.search(r"[\s<>|]", url):
        yield f"a link to {url[:100]!r}"


def _decoded(given: Any) -> Any:
    return json.loads(given) if isinstance(given, str) else given


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, str) and key in ("text", "fallback", "url"):
                yield each
            yield from _texts(each)
