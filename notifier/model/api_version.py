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
        """As people say it: 1, 2."""
        return self.value.removeprefix("v")


RETIRES_ON: Final[Mapping[ApiVersion, date]] = {ApiVersion.V1: date(2027, 1, 15)}
"""The first day without it. A version that is not here has no announced end."""

REMEDY: Final = "give the workspace a token, as docs/v2.md says"


def retires_on(api: ApiVersion | None) -> date | None:
    """None where no end is announced, or the version is not known."""
    return RETIRES_ON.get(api) if api is not None else None


def days_left(end: date, today: date) -> int:
    """On how many days, today among them, it is still there."""
    return max(0, (end - today).days)


def time_left(end: date, today: date) -> str:
    """`until 2027-01-15, 49 days left`, or `retired on 2027-01-15`."""
    days = days_left(end, today)
    return f"until {end}, {counted(days, 'day')} left" if days else f"retired on {end}"


def ending(api: ApiVersion | None, today: date) -> str | None:
    """`API version 1 until 2027-01-15, 49 days left`; None where there is no end to tell."""
    end = retires_on(api)
    return f"API version {api.number} {time_left(end, today)}" if api is not None and end is not None else None
