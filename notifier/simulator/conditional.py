"""`ETag` and `Last-Modified` of lists, and 304 for who has what they show: as RFC 9110 says, or lying.

The vendor documents none of it; what is built with Rails mostly answers so (Rack::ETag, Rack::ConditionalGet).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Final

_LISTS: Final = re.compile(r"/syncs(/[^/]+/sync_runs)?")
_TAGS: Final = re.compile(r'(?:W/)?("[^"]*")')


class Tags(StrEnum):
    """How far what the answers to lists say of their age is to be trusted."""

    OFF = "off"
    """They say nothing, and nobody is answered 304."""
    HONEST = "honest"
    ALWAYS_304 = "always-304"
    """Who was told a tag or a time of a list, and asks with any, is answered 304 for ever."""
    SAME = "same"
    """A list's tag and time stay those of its first answer whatever it shows; nobody is answered 304."""


class Validator(StrEnum):
    """A header that says which state of a list an answer shows."""

    ETAG = "ETag"
    LAST_MODIFIED = "Last-Modified"
    """In whole seconds, as HTTP has it: two changes within a second look like one."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a list showed last, as a digest, and since when."""

    digest: str
    since: datetime


@dataclass(slots=True)
class Conditional:
    """Says what goes with the answers to lists; `not_modified` counts those that were 304."""

    tags: Tags = Tags.OFF
    by: Collection[Validator] = (Validator.ETAG,)
    not_modified: int = 0
    _shown: dict[str, _Shown] = field(default_factory=dict)

    def headers(self, path: str, target: str, body: bytes, now: datetime) -> dict[str, str]:
        """What is said of the list of this path that is shown at this target; nothing of what is no list."""
        if self.tags is Tags.OFF or not _LISTS.fullmatch(path):
            return {}
        shown, digest = self._shown.get(target), blake2b(body, digest_size=16).hexdigest()
        if shown is None or (self.tags is Tags.HONEST and shown.digest != digest):
            shown = self._shown[target] = _Shown(digest, now.astimezone(UTC).replace(microsecond=0))
        said = {
            Validator.ETAG: f'W/"{shown.digest}"',
            Validator.LAST_MODIFIED: format_datetime(shown.since, usegmt=True),
        }
        return {validator: said[validator] for validator in self.by}

    def is_known(self, asked: Mapping[str, str], told: Mapping[str, str]) -> bool:
        """Whether to answer 304 to a request with the headers `asked`; `told`: what is said of the list. Counts it."""
        known = bool(told) and self._is_known(asked, told)
        self.not_modified += known
        return known

    def _is_known(self, asked: Mapping[str, str], told: Mapping[str, str]) -> bool:
        tags, since = asked.get("If-None-Match"), asked.get("If-Modified-Since")
        if self.tags is not Tags.HONEST:
            return self.tags is Tags.ALWAYS_304 and not tags is since is None
        if tags is not None:  # RFC 9110, 13.1.3: then the time does not count
            tag = _TAGS.fullmatch(told.get(Validator.ETAG, ""))
            return tag is not None and (tags.strip() == "*" or tag[1] in _TAGS.findall(tags))
        # As many servers have it: the time is one that was told, or none.
        return since is not None and since == told.get(Validator.LAST_MODIFIED)
