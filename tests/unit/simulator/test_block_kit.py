"""The simulator's Block Kit, at the edge of each limit: what is just good, and what is just not."""

from typing import Any

import pytest

from notifier.simulator.slack.block_kit import problems_of, text_length

Block = dict[str, Any]


def plain(text: str = "x", **more: Any) -> Block:
    return {"type": "plain_text", "text": text, **more}


def mrkdwn(text: str = "x", **more: Any) -> Block:
    return {"type": "mrkdwn", "text": text, **more}


def header(text: Any) -> Block:
    return {"type": "header", "text": text}


def section(text: Any = None, **more: Any) -> Block:
    return {"type": "section", "text": mrkdwn() if text is None else text, **more}


def fields(*texts: Any) -> Block:
    return {"type": "section", "fields": list(texts)}


def context(*elements: Any) -> Block:
    return {"type": "context", "elements": list(elements)}


def button(text: Any = None, **more: Any) -> Block:
    return {"type": "button", "text": plain() if text is None else text, **more}


def actions(*elements: Any) -> Block:
    return {"type": "actions", "elements": list(elements)}


def image(**more: Any) -> Block:
    return {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a", **more}


def rich(*elements: Any) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def paragraph(*elements: Any) -> Block:
    return rich({"type": "rich_text_section", "elements": list(elements)})


def preformatted(*elements: Any, **more: Any) -> Block:
    return rich({"type": "rich_text_preformatted", "elements": list(elements), **more})


def quote(*elements: Any) -> Block:
    return rich({"type": "rich_text_quote", "elements": list(elements)})


def bullets(*elements: Any, **more: Any) -> Block:
    return rich({"type": "rich_text_list", "style": "bullet", "elements": list(elements), **more})


def text(content: Any = "x", **more: Any) -> Block:
    return {"type": "text", "text": content, **more}


def link(url: Any, **more: Any) -> Block:
    return {"type": "link", "url": url, **more}


def date(timestamp: Any = 1_700_000_000, shown: Any = "{date_short_pretty}, {time}", **more: Any) -> Block:
    return {"type": "date", "timestamp": timestamp, "format": shown, **more}


DIVIDER: Block = {"type": "divider"}
ITEM: Block = {"type": "rich_text_section", "elements": [text()]}
LONG_URL = "https://example.com/".ljust(3_000, "x")

GOOD: list[tuple[str, list[Any]]] = [
    ("no block at all", []),
    ("50 blocks", [DIVIDER] * 50),
    ("a header of 150 characters", [header(plain("x" * 150, emoji=True))]),
    ("a section of 3000 characters", [section(mrkdwn("x" * 3_000, verbatim=True))]),
    ("a section of plain text", [section(plain())]),
    ("10 fields of 2000 characters", [fields(*[plain("x" * 2_000)] * 10)]),
    ("a section with text, fields, a button and room", [section(fields=[mrkdwn()], accessory=button(), expand=True)]),
    ("a section with an image", [section(accessory=image())]),
    ("a context of 10 elements", [context(*[mrkdwn()] * 9, image())]),
    ("a block_id of 255 characters", [{**DIVIDER, "block_id": "b" * 255}, {**DIVIDER, "block_id": "b" * 254}]),
    ("a button of 75 characters", [actions(button(plain("x" * 75)))]),
    ("25 buttons", [actions(*[button()] * 25)]),
    ("a button with everything", [actions(button(action_id="a" * 255, url=LONG_URL, value="v", style="danger"))]),
    ("an image with a title", [image(title=plain(), block_id="i")]),
    ("markdown", [{"type": "markdown", "text": "# x"}]),
    ("rich text of one character", [paragraph(text())]),
    ("styled text", [paragraph(text(style={"bold": True, "code": False}))]),
    ("a link without a text", [paragraph(link(LONG_URL))]),
    ("a link with text and style", [paragraph(link("http://x", text="x", unsafe=False, style={"strike": True}))]),
    ("a link to an address", [paragraph(link("mailto:someone@example.com"), link("tel:+4930123"))]),
    ("an emoji", [paragraph({"type": "emoji", "name": "white_check_mark", "skin_tone": 6, "unicode": "2705"})]),
    ("a date", [paragraph(date(url="https://example.com", fallback="today"))]),
    ("a date with words around its token", [paragraph(date(shown="on {day_divider_pretty} or {ago}"))]),
    ("a user", [paragraph({"type": "user", "user_id": "U0123ABCD", "style": {"bold": True}})]),
    ("a user group", [paragraph({"type": "usergroup", "usergroup_id": "S0123ABCD"})]),
    ("a channel", [paragraph({"type": "channel", "channel_id": "C0123ABCD"})]),
    ("a broadcast", [paragraph({"type": "broadcast", "range": "here"})]),
    ("a color", [paragraph({"type": "color", "value": "#F405b3"})]),
    ("preformatted text and link", [preformatted(text("a\nb"), link("https://example.com"), border=1)]),
    ("a quote", [quote(text(), date())]),
    ("a list", [bullets(ITEM, ITEM, indent=8, offset=0, border=0)]),
]

REFUSED: list[tuple[str, Any, str, str]] = [
    ("no list", {"type": "divider"}, "must provide an array", "/blocks"),
    ("51 blocks", [DIVIDER] * 51, "no more than 50 items allowed", "/blocks"),
    ("a block that is no object", [DIVIDER, "x"], "must provide an object", "/blocks/1"),
    ("a block without a type", [{}], "missing required field: type", "/blocks/0"),
    ("an unknown block", [{"type": "carousel"}], "unsupported type: carousel", "/blocks/0/type"),
    ("a type that is no text", [{"type": ["header"]}], "unsupported type: ['header']", "/blocks/0/type"),
    ("an unknown key", [{**DIVIDER, "text": "x"}], "invalid additional property: text", "/blocks/0"),
    (
        "a header of 151 characters",
        [header(plain("x" * 151))],
        "must be less than 151 characters",
        "/blocks/0/text/text",
    ),
    ("an empty header", [header(plain(""))], "must be more than 0 characters", "/blocks/0/text/text"),
    ("a header in mrkdwn", [header(mrkdwn())], "unsupported type: mrkdwn", "/blocks/0/text/type"),
    ("a header without a text", [{"type": "header"}], "missing required field: text", "/blocks/0"),
    ("a bare text in a header", [header("x")], "must provide an object", "/blocks/0/text"),
    ("a section of 3001 characters", [section(plain("x" * 3_001))], "less than 3001", "/blocks/0/text/text"),
    ("an empty section", [section(mrkdwn(""))], "must be more than 0 characters", "/blocks/0/text/text"),
    ("a section of nothing", [{"type": "section"}], "must define either text or fields", "/blocks/0"),
    ("a text that is null", [section(mrkdwn(None))], "must provide a string", "/blocks/0/text/text"),  # type: ignore[arg-type]
    ("11 fields", [fields(*[plain()] * 11)], "no more than 10 items allowed", "/blocks/0/fields"),
    ("no fields", [fields()], "no fewer than 1 items allowed", "/blocks/0/fields"),
    ("a field of 2001 characters", [fields(plain("x" * 2_001))], "less than 2001", "/blocks/0/fields/0/text"),
    ("an empty field", [fields(plain(), plain(""))], "more than 0", "/blocks/0/fields/1/text"),
    ("verbatim plain text", [section(plain(verbatim=True))], "additional property: verbatim", "/blocks/0/text"),
    ("emoji in mrkdwn", [section(mrkdwn(emoji=True))], "additional property: emoji", "/blocks/0/text"),
    ("emoji that is a number", [section(plain(emoji=1))], "must provide a boolean", "/blocks/0/text/emoji"),
    ("a list as an accessory", [section(accessory=[button()])], "provide an object", "/blocks/0/accessory"),
    ("a context of nothing", [context()], "no fewer than 1 items allowed", "/blocks/0/elements"),
    ("a context of 11 elements", [context(*[plain()] * 11)], "no more than 10 items", "/blocks/0/elements"),
    ("a button in a context", [context(button())], "unsupported type: button", "/blocks/0/elements/0/type"),
    ("a block_id of 256 characters", [{**DIVIDER, "block_id": "b" * 256}], "less than 256", "/blocks/0/block_id"),
    ("an empty block_id", [{**DIVIDER, "block_id": ""}], "more than 0 characters", "/blocks/0/block_id"),
    ("a block_id twice", [{**DIVIDER, "block_id": "b"}] * 2, "block_id must be unique", "/blocks/1/block_id"),
    ("no button", [actions()], "no fewer than 1 items allowed", "/blocks/0/elements"),
    ("26 buttons", [actions(*[button()] * 26)], "no more than 25 items allowed", "/blocks/0/elements"),
    ("a button of 76 characters", [actions(button(plain("x" * 76)))], "less than 76", "/blocks/0/elements/0/text/text"),
    ("a button in mrkdwn", [actions(button(mrkdwn()))], "unsupported type", "/blocks/0/elements/0/text/type"),
    ("a long action_id", [actions(button(action_id="a" * 256))], "less than 256", "/blocks/0/elements/0/action_id"),
    ("an action_id twice", [actions(*[button(action_id="a")] * 2)], "be unique", "/blocks/0/elements/1/action_id"),
    ("a URL of 3001 characters", [actions(button(url=LONG_URL + "x"))], "less than 3001", "/blocks/0/elements/0/url"),
    ("a button to a script", [actions(button(url="javascript:x"))], "a valid URL", "/blocks/0/elements/0/url"),
    ("a button of no style", [actions(button(style="default"))], "valid enum value", "/blocks/0/elements/0/style"),
    ("an image without a text", [image(alt_text="")], "more than 0 characters", "/blocks/0/alt_text"),
    ("an image from a mail", [image(image_url="mailto:a@b")], "must be a valid URL", "/blocks/0/image_url"),
    ("empty markdown", [{"type": "markdown", "text": ""}], "more than 0 characters", "/blocks/0/text"),
    ("rich text of nothing", [rich()], "no fewer than 1 items allowed", "/blocks/0/elements"),
    ("bare text in rich text", [rich(text())], "unsupported type: text", "/blocks/0/elements/0/type"),
    ("an empty paragraph", [paragraph()], "no fewer than 1 items allowed", "/blocks/0/elements/0/elements"),
    ("an empty preformatted", [preformatted()], "no fewer than 1 items allowed", "/blocks/0/elements/0/elements"),
    ("an empty quote", [quote()], "no fewer than 1 items allowed", "/blocks/0/elements/0/elements"),
    ("an empty list", [bullets()], "no fewer than 1 items allowed", "/blocks/0/elements/0/elements"),
    ("text in a list", [bullets(text())], "unsupported type: text", "/blocks/0/elements/0/elements/0/type"),
    ("an indent of 9", [bullets(ITEM, indent=9)], "a number from 0 to 8", "/blocks/0/elements/0/indent"),
    ("a border that is true", [bullets(ITEM, border=True)], "valid enum value", "/blocks/0/elements/0/border"),
    ("a date in preformatted", [preformatted(date())], "unsupported type", "/blocks/0/elements/0/elements/0/type"),
]

REFUSED_ELEMENTS: list[tuple[str, Any, str, str]] = [
    ("empty text", text(""), "must be more than 0 characters", "/text"),
    ("a number for text", text(7), "must provide a string", "/text"),
    ("NUL", text("a\0b"), "must hold no NUL and no lone surrogate", "/text"),
    ("a lone surrogate", text("a\udc00"), "must hold no NUL and no lone surrogate", "/text"),
    ("an unknown style", text(style={"blink": True}), "invalid additional property: blink", "/style"),
    ("a style that is a text", text(style={"bold": "true"}), "must provide a boolean", "/style/bold"),
    ("verbatim", text(verbatim=True), "invalid additional property: verbatim", ""),
    ("a link to nowhere", link(""), "must be more than 0 characters", "/url"),
    ("a link without a scheme", link("example.com"), "must be a valid URL", "/url"),
    ("a link without a host", link("https:///x"), "must be a valid URL", "/url"),
    ("a link with a space", link("https://example.com/a b"), "must be a valid URL", "/url"),
    ("a link of another scheme", link("file:///etc/passwd"), "must be a valid URL", "/url"),
    ("a link with an empty text", link("https://x", text=""), "must be more than 0 characters", "/text"),
    ("an emoji in colons", {"type": "emoji", "name": ":x:"}, "the name of an emoji, without colons", "/name"),
    ("a date in text", date(timestamp="1700000000"), "must provide an integer", "/timestamp"),
    ("a date with a fraction", date(timestamp=1.5), "must provide an integer", "/timestamp"),
    ("a date that is true", date(timestamp=True), "must provide an integer", "/timestamp"),
    ("a date in milliseconds", date(timestamp=1_700_000_000_000), "must be a number from", "/timestamp"),
    ("a date without a token", date(shown="today"), "must hold at least one token such as {date}", "/format"),
    ("a date with an unknown token", date(shown="{date} {hour}"), "must hold no unknown token: hour", "/format"),
    ("a date without a format", {"type": "date", "timestamp": 1}, "missing required field: format", ""),
    ("a date with an empty format", date(shown=""), "must be more than 0 characters", "/format"),
    ("a user by name", {"type": "user", "user_id": "@someone"}, "must be the ID of a user", "/user_id"),
    ("a user for a group", {"type": "usergroup", "usergroup_id": "U1"}, "the ID of a user group", "/usergroup_id"),
    ("a channel by name", {"type": "channel", "channel_id": "#data"}, "the ID of a channel", "/channel_id"),
    ("a broadcast to all", {"type": "broadcast", "range": "all"}, "must be a valid enum value", "/range"),
    ("a color by name", {"type": "color", "value": "red"}, "must be a color such as #F405B3", "/value"),
    ("an unknown element", {"type": "video"}, "unsupported type: video", "/type"),
    ("an element that is a text", "x", "must provide an object", ""),
]


@pytest.mark.parametrize(("what", "blocks"), GOOD, ids=[what for what, _ in GOOD])
def test_what_is_within_the_limits_is_good(what: str, blocks: list[Any]) -> None:
    assert problems_of(blocks) == []


@pytest.mark.parametrize(("what", "blocks", "sentence", "where"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_one_beyond_a_limit_is_refused_with_its_place(
    what: str, blocks: Any, sentence: str, where: str
) -> None:
    (problem,) = problems_of(blocks)
    assert problem.startswith("[ERROR] ")
    assert sentence in problem
    assert problem.endswith(f" [json-pointer:{where}]")


@pytest.mark.parametrize(
    ("what", "element", "sentence", "where"), REFUSED_ELEMENTS, ids=[row[0] for row in REFUSED_ELEMENTS]
)
def test_a_bad_element_of_a_paragraph_is_refused_with_its_place(
    what: str, element: Any, sentence: str, where: str
) -> None:
    (problem,) = problems_of([paragraph(text(), element)])
    assert sentence in problem
    assert problem.endswith(f" [json-pointer:/blocks/0/elements/0/elements/1{where}]")


def test_every_problem_is_told_not_only_the_first() -> None:
    assert problems_of([header(plain("")), {"type": "section"}, {"type": "x"}]) == [
        "[ERROR] must be more than 0 characters [json-pointer:/blocks/0/text/text]",
        "[ERROR] must define either text or fields [json-pointer:/blocks/1]",
        "[ERROR] unsupported type: x [json-pointer:/blocks/2/type]",
    ]


@pytest.mark.parametrize(
    ("what", "blocks", "length"),
    [
        ("no block", [], 0),
        ("a divider", [DIVIDER], 0),
        (
            "texts of all kinds",
            [header(plain("ab")), section(mrkdwn("cde"), fields=[plain("f")]), context(plain("g"))],
            7,
        ),
        ("a button's text, not its URL", [actions(button(plain("ab"), url="https://example.com", value="vv"))], 2),
        ("an image's texts, not its URL", [image(alt_text="ab", title=plain("c"))], 3),
        ("a link's text, not its URL", [paragraph(link("https://example.com", text="ab"))], 2),
        ("the URL of a link without a text", [paragraph(link("https://x.io"))], 12),
        ("rich text at any depth", [bullets(ITEM, ITEM), preformatted(text("abc")), quote(date(fallback="de"))], 7),
        ("markdown", [{"type": "markdown", "text": "abc"}], 3),
    ],
)
def test_the_length_is_of_all_text_that_a_reader_sees(what: str, blocks: list[Any], length: int) -> None:
    assert problems_of(blocks) == []
    assert text_length(blocks) == length
