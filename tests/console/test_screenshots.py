"""The pages' screenshots are small, and each is in a page. `make screenshots` takes them."""

from __future__ import annotations

from tests.console.screenshots import AT_MOST_BYTES, IMAGES

DOCS = IMAGES.parent


def test_each_is_small_and_shown() -> None:
    page = (DOCS / "how-to" / "console.md").read_text()
    images = sorted(IMAGES.glob("console-*.png"))
    assert images
    for image in images:
        assert image.stat().st_size <= AT_MOST_BYTES, image.name
        assert f"../images/{image.name}" in page, image.name
