"""Debian's own Chromium, without a window, driven through its chromedriver: for tests, pictures and measures."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

REMEDY: Final = "{} is missing; install chromium and chromedriver (Debian: chromium, chromium-driver)"
ARGUMENTS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions", "--no-proxy-server"),
    "--hide-scrollbars",
)


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise RuntimeError(REMEDY.format(program))
    return path


@contextmanager
def open_chromium(*, javascript: bool = True) -> Iterator[Chrome]:
    """A browser of one's own. RuntimeError says what to install."""
    options = ChromeOptions()
    options.binary_location = _found("chromium")
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    browser = Chrome(options=options, service=Service(_found("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def look(browser: Chrome, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """How large the window is, and which colours its owner likes."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme: list[dict[str, Any]] = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


def complaints(browser: Chrome) -> list[str]:
    """What the browser has to say against the page since it was last asked: errors, and what its policy forbids."""
    said: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [f"{line['level']} {line['message']}" for line in said if line["level"] in ("SEVERE", "WARNING")]
