"""What a row of the table is given to measure with."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, Api


@dataclass(frozen=True, slots=True)
class Scene:
    """The API's process, a directory of the row's own, and whether small numbers will do (`make bench` in a test)."""

    api: Api
    directory: Path
    smoke: bool
    checkouts: tuple[Path, Path] = (ROOT, ROOT)
    """Two of this project, with their environments, for the row that compares them."""

    def size(self, full: int, smoke: int) -> int:
        """A number of something; the second where it is only about whether it works."""
        return smoke if self.smoke else full
