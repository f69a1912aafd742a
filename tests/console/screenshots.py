"""Takes the screenshots of docs/how-to/console.md from the console that `make up` has started: `make screenshots`.

It waits for nothing and sends nothing, so what they show is what the stack has done by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from nightdesk.local.secrets import LocalSecrets
from nightdesk.settings import load_settings
from tests.console.browser import ARGUMENTS, SETTLED, Scheme, chromium

IMAGES = Path(__file__).parents[2] / "docs" / "images"
AT_MOST_BYTES = 150_000
# Name -> path, width, height, scheme.
Shot = tuple[str, int, int, Scheme]


def shots(page: Page, address: str) -> Iterator[tuple[str, Shot]]:
    """What is taken, of what there is."""

    def read(path: str) -> Any:
        return page.request.get(address + path).json()

    yield "tonight", ("/tonight", 1280, 860, "light")
    yield "tonight-narrow", ("/tonight", 390, 844, "dark")
    # Debian's Chromium has no fonts for every script that the example day has.
    if waiting := [one for one in read("/approvals.json")["waiting"] if str(one["parameters"]).isascii()]:
        decision_id = waiting[0]["decision_id"]
        yield "approval", (f"/approvals/{decision_id}", 1280, 700, "light")
        yield "what-if", (f"/what-if/{decision_id}?parameters=%7B%22amount%22:+140,+%22reason%22:+%22all+of+it%22%7D",
                          1280, 620, "dark")  # fmt: skip
    if cases := read("/cases.json?status=completed")["cases"]:
        yield "case", (f"/cases/{cases[0]['case_id']}", 1280, 760, "light")
    yield "agents", ("/agents/support-triage", 1280, 640, "light")


def main() -> None:
    settings = load_settings()
    address = f"http://127.0.0.1:{settings.console.port}"
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        page = browser.new_page()
        page.goto(f"{address}/login?token={LocalSecrets.of(settings.home).console}")
        for name, (path, width, height, scheme) in list(shots(page, address)):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            page.goto(address + path)
            page.wait_for_function(SETTLED)
            file = IMAGES / f"console-{name}.png"
            page.screenshot(path=file)
            assert file.stat().st_size <= AT_MOST_BYTES, f"{file} has more than {AT_MOST_BYTES} bytes"
        browser.close()


if __name__ == "__main__":
    main()
