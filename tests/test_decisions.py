"""Each decision has a number of its own, which its title repeats: pages and docstrings cite decisions by number."""

from pathlib import Path

DECISIONS = sorted((Path(__file__).parent.parent / "docs" / "decisions").glob("0*.md"))


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_a_title_has_the_number_of_its_page() -> None:
    for page in DECISIONS:
        assert page.read_text().startswith(f"# {int(page.name[:4])}. "), page.name
