"""Slack's Block Kit as far as notifications need it, and stricter than Slack where Slack's own answer is not known.

What is not in the tables here is refused: a block that Slack has and the tables lack wants a row, not a way around.
Limits are those of https://docs.slack.dev/reference/block-kit, in characters as Python counts them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from notifier.simulator.json_shape import (
    Check,
    Fields,
    array,
    boolean,
    choice,
    integer,
    matching,
    one_of,
    problem,
    shape,
    string,
)

MOST_BLOCKS: Final = 50
_LONGEST_URL: Final = 3_000
_WEB: Final = r"https?://[^\s/?#<>|]+[^\s<>|]*"
_DATE_TOKENS: Final = {
    "date_num",
    "date_slash",
    "date_long",
    "date_long_full",
    "date_long_pretty",
    "date",
    "date_pretty",
    "date_short",
    "date_short_pretty",
    "time",
    "time_secs",
    "ago",
    "day_divider_pretty",
}
_SHOWN: Final = ("text", "alt_text", "fallback")
"""The keys under which an object has text that a reader can see."""


def problems_of(blocks: object) -> list[str]:
    """What Slack would say against these blocks, a sentence each; nothing when they are good."""
    return list(_BLOCKS(blocks, "/blocks")) + list(_repeated(blocks, "block_id", "/blocks"))


def text_length(blocks: object) -> int:
    """The characters of all text in the blocks together; a link without a text shows its address."""
    if isinstance(blocks, list):
        return sum(text_length(element) for element in blocks)
    if not isinstance(blocks, dict):
        return 0
    shown = sum(len(blocks[key]) for key in _SHOWN if isinstance(blocks.get(key), str))
    if blocks.get("type") == "link" and "text" not in blocks:
        shown += len(blocks["url"])
    return shown + sum(text_length(value) for value in blocks.values())


def _repeated(elements: object, key: str, where: str) -> Iterator[str]:
    """Says which of the elements repeat a name that another one has."""
    seen: set[str] = set()
    for place, element in enumerate(elements if isinstance(elements, list) else []):
        name = element.get(key) if isinstance(element, dict) else None
        if not isinstance(name, str):
            continue
        if name in seen:
            yield problem(f"{key} must be unique", f"{where}/{place}/{key}")
        seen.add(name)


def _date_format(value: object, where: str) -> Iterator[str]:
    problems = list(string()(value, where))
    yield from problems
    if problems:
        return
    tokens = re.findall(r"\{([^{}]*)\}", str(value))
    if not tokens:
        yield problem("must hold at least one token such as {date}", where)
    for token in tokens:
        if token not in _DATE_TOKENS:
            yield problem(f"must hold no unknown token: {token}", where)


def _text_or_fields(section: Mapping[str, Any], where: str) -> Iterator[str]:
    if "text" not in section and "fields" not in section:
        yield problem("must define either text or fields", where)


def _distinct_actions(actions: Mapping[str, Any], where: str) -> Iterator[str]:
    return _repeated(actions["elements"], "action_id", f"{where}/elements")


def _text_variants(most: int) -> dict[str, Fields]:
    return {
        "plain_text": Fields({"text": string(1, most)}, {"emoji": boolean}),
        "mrkdwn": Fields({"text": string(1, most)}, {"verbatim": boolean}),
    }


def _plain_text(most: int) -> Check:
    return one_of({"plain_text": _text_variants(most)["plain_text"]})


def _flags(*names: str) -> Check:
    return shape(Fields(optional=dict.fromkeys(names, boolean)))


# The variants of each union by their type. Every URL has a host, or is an address of a person.
_WEB_URL: Final = matching(_WEB, "a valid URL", _LONGEST_URL)
_LINK_URL: Final = matching(rf"{_WEB}|mailto:[^\s@]+@[^\s@]+|tel:[+0-9-]+", "a valid URL", _LONGEST_URL)
_IMAGE: Final = Fields({"image_url": _WEB_URL, "alt_text": string(1, 2_000)})
_BUTTON: Final = Fields(
    {"text": _plain_text(75)},
    {
        "action_id": string(1, 255),
        "url": _WEB_URL,
        "value": string(1, 2_000),
        "style": choice("primary", "danger"),
        "accessibility_label": string(1, 75),
    },
)

_STYLE: Final = {"style": _flags("bold", "italic", "strike", "code", "underline")}
_MENTION_STYLE: Final = {"style": _flags("bold", "italic", "strike", "highlight", "client_highlight", "unlink")}
_TEXT: Final = Fields({"text": string()}, _STYLE)
_LINK: Final = Fields({"url": _LINK_URL}, {"text": string(), "unsafe": boolean, **_STYLE})
_INLINE: Final = one_of(
    {
        "text": _TEXT,
        "link": _LINK,
        "emoji": Fields(
            {"name": matching(r"[a-z0-9_+'-]{1,100}", "the name of an emoji, without colons")},
            {"unicode": string(), "skin_tone": integer(2, 6), **_STYLE},
        ),
        "date": Fields(
            {"timestamp": integer(0, 10**11), "format": _date_format},
            {"url": _LINK_URL, "fallback": string(), **_STYLE},
        ),
        "user": Fields({"user_id": matching(r"[UW][A-Z0-9]+", "the ID of a user")}, _MENTION_STYLE),
        "usergroup": Fields({"usergroup_id": matching(r"S[A-Z0-9]+", "the ID of a user group")}, _MENTION_STYLE),
        "channel": Fields({"channel_id": matching(r"[CGD][A-Z0-9]+", "the ID of a channel")}, _MENTION_STYLE),
        "broadcast": Fields({"range": choice("here", "channel", "everyone")}, _STYLE),
        "color": Fields({"value": matching(r"#[0-9A-Fa-f]{6}", "a color such as #F405B3")}, _STYLE),
    }
)

_BORDER: Final = {"border": choice(0, 1)}
_RICH_TEXT_SECTION: Final = Fields({"elements": array(_INLINE, 1)})
_RICH_TEXT: Final = one_of(
    {
        "rich_text_section": _RICH_TEXT_SECTION,
        "rich_text_preformatted": Fields(
            {"elements": array(one_of({"text": _TEXT, "link": _LINK}), 1)}, {"language": string(), **_BORDER}
        ),
        "rich_text_quote": Fields({"elements": array(_INLINE, 1)}, _BORDER),
        "rich_text_list": Fields(
            {
                "style": choice("bullet", "ordered"),
                "elements": array(one_of({"rich_text_section": _RICH_TEXT_SECTION}), 1),
            },
            {"indent": integer(0, 8), "offset": integer(0, 10**6), **_BORDER},
        ),
    }
)

_BLOCK_ID: Final = {"block_id": string(1, 255)}
_BLOCKS: Final = array(
    one_of(
        {
            "header": Fields({"text": _plain_text(150)}, _BLOCK_ID),
            "section": Fields(
                {},
                {
                    "text": one_of(_text_variants(3_000)),
                    "fields": array(one_of(_text_variants(2_000)), 1, 10),
                    "accessory": one_of({"button": _BUTTON, "image": _IMAGE}),
                    "expand": boolean,
                    **_BLOCK_ID,
                },
                _text_or_fields,
            ),
            "context": Fields(
                {"elements": array(one_of({**_text_variants(3_000), "image": _IMAGE}), 1, 10)}, _BLOCK_ID
            ),
            "divider": Fields({}, _BLOCK_ID),
            "actions": Fields({"elements": array(one_of({"button": _BUTTON}), 1, 25)}, _BLOCK_ID, _distinct_actions),
            "rich_text": Fields({"elements": array(_RICH_TEXT, 1)}, _BLOCK_ID),
            "image": Fields(_IMAGE.required, {"title": _plain_text(2_000), **_BLOCK_ID}),
            "markdown": Fields({"text": string(1, 12_000)}, _BLOCK_ID),
        }
    ),
    0,
    MOST_BLOCKS,
)
