"""The page's colours: enough contrast to be read, in light and dark (WCAG 2.2, 1.4.3 and 1.4.11: AA)."""

import re
from importlib.resources import files

import pytest

CSS = (files("notifier.web") / "static/page.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
)
TEXT = ("ink", "dim", "link", "bad", "warn", "run", "well")
DRAWN = ("bar", "faint", "bad", "run")  # bars, and the borders of what can be used


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["panel", "ground"])
def test_colours_stand_out_from_their_ground(palette: dict[str, str], ground: str) -> None:
    for name in TEXT:
        assert contrast(palette[name], palette[ground]) >= 4.5, name
    for name in DRAWN:
        assert contrast(palette[name], palette[ground]) >= 3, name
    assert contrast(palette["ink"], palette["mark"]) >= 4.5


def test_the_measure_is_right() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_nothing_on_the_page_comes_from_elsewhere() -> None:
    for path in (*(files("notifier.web") / "static").iterdir(), *(files("notifier.web") / "templates").iterdir()):
        text = path.read_text()
        assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", text), path.name
        assert "style=" not in text
        assert "|safe" not in text
        assert " onclick" not in text
