"""An object of the simulated API as it is kept: with its JSON, made once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson


@dataclass(slots=True)
class Stored:
    """An object of the API, where it stands in the order of creation, and its JSON."""

    value: dict[str, Any]
    created: datetime
    _json: bytes | None = None

    def json(self) -> bytes:
        """The object serialised; kept until it changes."""
        if self._json is None:
            self._json = orjson.dumps(self.value)
        return self._json

    def replace(self, value: dict[str, Any]) -> None:
        """Takes the new value and forgets the JSON of the old one."""
        self.value = value
        self._json = None
