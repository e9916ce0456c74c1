"""A shim between the worker and the world: moves its wall clock, and hears where it would connect to.

Needs a C compiler. libfaketime would move the clock as well, and is one more thing to install.
"""

from pathlib import Path
from typing import Final

from faults.preload import built
from tests.acceptance.workplace import Workplace

SOURCE: Final = Path(__file__).with_name("world.c")
DAY: Final = 86_400


class World:
    """The shim of one workplace; from now on its worker starts with it."""

    def __init__(self, workplace: Workplace) -> None:
        self._clock = workplace.directory / "clock"
        self._calls = workplace.directory / "calls"
        self.move(0)
        workplace.environment |= {
            "LD_PRELOAD": str(built(SOURCE, workplace.directory)),
            "FAULTS_CLOCK": str(self._clock),
            "FAULTS_CALLS": str(self._calls),
        }

    def move(self, seconds: int) -> None:
        """From now on the wall clock is so many seconds off."""
        with self._clock.open("r+b" if self._clock.exists() else "w+b") as file:  # in place: it is mapped
            file.write(seconds.to_bytes(8, "little", signed=True))

    @property
    def calls(self) -> list[str]:
        """The addresses beyond this machine that were to be connected to."""
        return self._calls.read_text().split() if self._calls.exists() else []
