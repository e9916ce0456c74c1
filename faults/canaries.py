"""Secrets that are looked for in all that was written, in each way in which they may be written."""

import base64
import string
from collections.abc import Iterator
from random import Random
from typing import Final
from urllib.parse import quote

SHORTEST_LEAK: Final = 12
LETTERS: Final = string.ascii_letters + string.digits
NAMES: Final = (
    *("API_KEY", "ECHOED_KEY", "REFUSED_KEY", "BOT_TOKEN", "SLACK_PATH", "HOOK_PATH", "HOOK_QUERY", "HOOK_HOST"),
    *("WHSEC", "HEADER", "BEARER", "SERVER_TOKEN", "LIFECYCLE", "HEARTBEAT", "PROXY_USER", "PROXY_PASSWORD"),
    *("DATABASE_PASSWORD", "WRONG_PASSWORD"),
)
"""Variables of the environment, each with a secret; some are made of a canary and something around it."""


class Canaries:
    """What must be found nowhere."""

    def __init__(self, chance: Random) -> None:
        self.plain = {name: "".join(chance.choices(LETTERS, k=36)) for name in NAMES}
        self.plain["HOOK_HOST"] = self.plain["HOOK_HOST"].lower()
        self.environment = dict(self.plain)
        self.environment["WHSEC"] = "whsec_" + base64.b64encode(self.plain["WHSEC"].encode()).decode()
        self.environment["BOT_TOKEN"] = f"xoxb-{self.plain['BOT_TOKEN']}"
        self.environment["HEADER"] = f'a "b" \\ {self.plain["HEADER"]} é%&'.replace("é", "e")
        for name in ("DATABASE_PASSWORD", "WRONG_PASSWORD"):  # which has to be escaped in a URL
            self.environment[name] = f"p@/{self.plain[name]}%:"
        self._pieces = {piece: name for name, text in self._written() for piece in pieces(text)}

    def _written(self) -> Iterator[tuple[str, bytes]]:
        """Each secret in each way in which it may be written."""
        for name in NAMES:
            for text in {self.plain[name], self.environment[name]}:
                raw = text.encode()
                yield name, raw
                yield name, raw.hex().encode()
                yield name, quote(text, safe="").encode()
                yield name, text.lower().encode()
                for shift in range(3):  # wherever it stands in what was encoded
                    for encode in (base64.b64encode, base64.urlsafe_b64encode):
                        yield name, encode(b"\0" * shift + raw)[4 if shift else 0 : -4]

    def in_(self, content: bytes) -> dict[str, bytes]:
        """The secrets of which there is a part, and that part."""
        found = {}
        for piece in pieces(content):
            if piece in self._pieces:
                found[self._pieces[piece]] = piece
        return found


def pieces(content: bytes) -> Iterator[bytes]:
    """All runs of twelve bytes."""
    return (content[at : at + SHORTEST_LEAK] for at in range(len(content) - SHORTEST_LEAK + 1))
