"""The files of others are those of their packages, unchanged, and every page uses only files of ours."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "console" / "static" / "vendor"
# Of the files in the npm packages, by `npm pack NAME@VERSION`.
DIGESTS: dict[str, str] = {
    "htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "uplot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uplot-1.6.32.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
}
ELSEWHERE = re.compile(r"""(?:src|href|action)=["'](?:https?:)?//""")
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:")


def test_they_are_unchanged_and_listed() -> None:
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*-*.min.*")}
    assert found == DIGESTS
    page = (VENDOR / "README.md").read_text()
    for name in DIGESTS:
        assert f"`{name}`" in page, f"README.md does not name the licence of {name}"


def test_no_template_has_code_in_it_or_loads_from_elsewhere() -> None:
    """The policy of the page would stop it, and the page would not work."""
    for path in (ROOT / "console" / "templates").glob("*.html"):
        assert not ELSEWHERE.search(path.read_text()), path.name
        assert not INLINE.search(path.read_text()), path.name


def test_our_own_script_loads_nothing_from_elsewhere() -> None:
    for name in ("console.js", "console.css"):
        assert "//" not in re.sub(r"^\s*//.*$", "", (VENDOR.parent / name).read_text(), flags=re.MULTILINE)
