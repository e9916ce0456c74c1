"""Which versions of the Census API there are, and until when. Pure.

Facts: fivetran.com/docs/activations/rest-api/api-reference/migrate-v1-to-v2.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final

from notifier.model.times import counted


class ApiVersion(StrEnum):
    """A version of the API, as its path names it."""

    V1 = "v1"
    V2 = "v2"

    @property
    def number(self) -> str:
        """For people, who say "version 2"."""
        return self.value.removeprefix("v")


RETIRES_ON: Final[Mapping[ApiVersion, date]] = {ApiVersion.V1: date(2027, 1, 15)}
"""The first day without it. A version that is not here has no announced end."""

REMEDY: Final = "give the workspace a token in place of its api_key, as docs/v2.md says"


def time_left(retires_on: date, today: date) -> str:
    """`until 2027-01-15, 49 days left`, or `retired on 2027-01-15`."""
    days = (retires_on - today).days
    return f"until {retires_on}, {counted(days, 'day')} left" if days > 0 else f"retired on {retires_on}"
