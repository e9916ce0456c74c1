"""The one table: what was measured, what was to be reached, and whether it was."""

from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table. `reached` is None where there is nothing to reach."""

    what: str
    measured: str
    target: str = ""
    reached: bool | None = None


def rendered(figures: list[Figure]) -> str:
    """As Markdown, with columns that line up on a terminal."""
    words = {True: "ok", False: "OVER", None: ""}
    lines = [("what", "to reach", "measured", "")]
    lines += [(figure.what, figure.target, figure.measured, words[figure.reached]) for figure in figures]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    lines.insert(1, ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * max(widths[3], 3)))
    rows = (" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(f"| {row} |" for row in rows)


def spread(values: list[float]) -> str:
    """The median, and from where to where."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def percentile(values: list[float], percent: int) -> float:
    """Of at least two values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]
