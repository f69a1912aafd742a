"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.server import RunningConsole, token_of

ROOT = Path(__file__).parents[2]
AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
CANNOT_INSTALL = 69
WIDTHS = (1280, 390)
HEIGHT = 900
# The other half of the tests keeps both cores busy.
PATIENCE_MS = 120_000
SERIOUS = ["serious", "critical"]
# The page has heard of its new size and has drawn itself in it: that comes before the second frame.
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Only what went wrong leaves the page: the whole report of a long table is megabytes.
SERIOUS_VIOLATIONS = """
async impacts => (await axe.run({resultTypes: ["violations"], iframes: false})).violations
    .filter(found => impacts.includes(found.impact))
    .flatMap(found => found.nodes.map(node => `${found.id}: ${node.html.slice(0, 160)}`))
"""
# A page of a program without a screen needs none of these. Nothing is drawn by a graphics card.
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-extensions", "--disable-background-networking", "--mute-audio")
# What a page loads after it is there, and draws.
SETTLED = "() => document.querySelectorAll('[data-loading]').length === 0"


def chromium() -> str:
    """Where Chromium is. Skips, and says so, on a system that has none and cannot get it."""
    asked = subprocess.run([ROOT / ".ci" / "chromium"], capture_output=True, text=True, check=False)
    if asked.returncode == CANNOT_INSTALL:
        pytest.skip("there is no Chromium here and no apt to get it with: install Chromium")
    assert asked.returncode == 0, asked.stderr
    return asked.stdout.strip()


Scheme = Literal["light", "dark"]


@contextmanager
def browsing() -> Iterator[Browser]:
    """One browser, for many persons."""
    path = chromium()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Screen:
    """The window of a person who has logged in. `complaints` is what the browser wrote to its console."""

    page: Page
    console: RunningConsole
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.console.url + path)
        self.page.wait_for_function(SETTLED)

    def show_as(self, width: int, scheme: Scheme) -> None:
        """Make the window so wide, and light or dark. The page that is open changes without being loaded again."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(color_scheme=scheme)
        self.page.evaluate(DRAWN)

    def check_page(self, path: str) -> None:
        """Open a page and check it wide and dark, then narrow and light."""
        self.show_as(WIDTHS[0], "dark")
        self.open(path)
        self.check()
        self.show_as(WIDTHS[1], "light")
        self.check()

    def check(self) -> None:
        """Nothing is cut off, nothing serious keeps anybody out, and the browser has nothing to complain about."""
        where = self.page.url
        width, shown = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= shown, f"{where} is {width} wide in a window of {shown}"
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        serious: list[str] = self.page.evaluate(SERIOUS_VIOLATIONS, SERIOUS)
        assert not serious, f"{where}: {serious}"
        assert not self.complaints, f"{where}: {self.complaints}"


@contextmanager
def screen(browser: Browser, console: RunningConsole, person: str = "vera") -> Iterator[Screen]:
    """The window of a person, who has logged in by the form."""
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": HEIGHT})
    context.set_default_timeout(PATIENCE_MS)
    try:
        found = Screen(context.new_page(), console)
        found.page.on(
            "console", lambda message: found.complaints.append(message.text) if message.type == "error" else None
        )
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(console.url + "/login")
        found.page.get_by_label("Your token").fill(token_of(person))
        found.page.get_by_role("button", name="Log in").click()
        found.page.wait_for_url("**/tonight")  # a key that is pressed before would be the login page's
        yield found
    finally:
        context.close()
