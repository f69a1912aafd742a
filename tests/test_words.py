"""The repository uses the words of docs/glossary.md: words that we no longer use fail, with file, line and replacement.

Every word of code, docstrings, comments, messages, help and docs is searched, also as a part of an identifier
(`landed_rows`, `LandedRows`). Add a word to `BANNED` when a better term replaces it.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Banned(NamedTuple):
    """A word or phrase that is not used, and why. `where` limits it to these folders, if the word is fine elsewhere."""

    words: str
    instead: str
    where: tuple[str, ...] = ("",)


PRODUCT = (
    "processors/",
    "schemas/",
    "effects/",
    "messaging/",
    "sinks/",
    "streams/",
    "operations/",
    "console/",
    "nightdesk/",
    "docs/",
)
BANNED = (
    Banned("errand|errands", "execution (Temporal: workflow execution)"),
    Banned("bury|buried|buries|burying", "send to the DLQ, dead letter"),
    Banned("home partition|home partitions", "the partition of the key, or of the subject"),
    Banned("misplaced", "in the wrong partition", PRODUCT),
    Banned("leash|leashed", "parent_death; bounds"),
    Banned("purse|purses", "budget scope", PRODUCT),
    Banned("once said", "after emit"),
    Banned("say again|said|saying", "emit, record, report, answer: name what happens", ("processors/", "sinks/")),
    Banned("whose turn", "the next parked record"),
    Banned("lander|landing|landings", "writer, insert", PRODUCT),
    Banned("has landed|have landed|not landed|landed while", "is stored, is in ClickHouse", PRODUCT),
    Banned("come in|comes in|coming in", "log in", ("console/", "docs/how-to/console.md")),
    Banned("twin|twins", "JSON form", ("console/", "docs/how-to/console.md")),
    Banned("sight|sights", "observation", PRODUCT),
    Banned("enemy|siege", "adversarial, attack", PRODUCT),
    Banned("canary|canaries", "secret leak", PRODUCT),
    Banned("vouch|vouches", "prove that its state is right"),
    Banned("zombie|zombies", "former owner", PRODUCT),
    Banned("carefully", "one at a time, in isolation mode", PRODUCT),
    Banned("made anew", "recreated", PRODUCT),
    Banned("deed|deeds", "call, effect", PRODUCT),
    Banned("hand over|hands over|handed over|handing over", "escalate", PRODUCT),
    Banned("intake", "partition reader", PRODUCT),
    Banned("as one likes", "optional"),
    Banned("for ever", "forever", PRODUCT),
    Banned("front door", "command line"),
    Banned("converse|converses|conversing|conversation|conversations", "async handler, flow", PRODUCT),
    Banned("turn needed|turns needed", "rate limited"),
    Banned("permitted|permits", "rate request, rate grant", ("processors/", "schemas/", "messaging/", "docs/")),
    Banned("dispose|disposed", "evaluate, gate result"),
    Banned("holes", "offset gaps", ("schemas/", "messaging/", "operations/", "docs/decisions/", "docs/how-to/")),
    Banned("dear|dearer|dearest", "expensive", ("schemas/", "messaging/", "effects/", "streams/", "operations/")),
)

# Words of the glossary's last column that have an ordinary meaning as well.
ORDINARY = frozenset(
    [
        "action",
        "away",
        "books",
        "careful",
        "changes",
        "doubt",
        "end",
        "generation",
        "hole",
        "home",
        "permit",
        "leave",
        "say",
        "maybe paid",
        "passed over",
    ]
)
# The glossary and this list name the words; the changelog and the guarantees quote old names (of versions, of tests).
NOT_SEARCHED = {"docs/glossary.md", "tests/test_words.py", "CHANGELOG.md"}
# A prompt for a model is part of its behaviour: its words change with a measurement and not with a list.
PROMPTS = {"processors/charter/system.py"}
SUFFIXES = {".py", ".md", ".sql", ".yaml", ".yml", ".tpl", ".toml", ".sh", ".avsc"}
# A test in docs/guarantees.md is named as it is in the code.
TEST_NAME = re.compile(r"`tests/[^`]*`")


def spread(line: str) -> str:
    """The line in lower case, with the parts of identifiers as words of their own."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", line).replace("_", " ").lower()


def lines() -> Iterator[tuple[str, int, str]]:
    """File, line number and text of every line that is searched."""
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        path = ROOT / name
        generated = name.startswith(("tests/schemas/examples/", "requirements/"))
        if path.suffix not in SUFFIXES or name in NOT_SEARCHED | PROMPTS or generated or not path.is_file():
            continue
        if path.is_symlink() or not path.resolve().is_relative_to(path.parent):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield name, number, TEST_NAME.sub("", line) if name.startswith("docs/") else line


def found(name: str, line: str) -> Iterator[str]:
    """What is wrong with the words of a line."""
    text = spread(line)
    for banned in BANNED:
        if name.startswith(banned.where) and (match := re.search(rf"\b(?:{banned.words})\b", text)):
            yield f"{match[0]!r} (write: {banned.instead})"


def test_only_words_of_the_glossary_are_used() -> None:
    wrong = [f"{name}:{number}: {word}" for name, number, line in lines() for word in found(name, line)]
    assert not wrong, "\n".join(wrong)


def test_a_banned_word_is_found_in_each_form() -> None:
    for text in ("the Errand", "class ErrandTable:", "def errand_of(x):", "`errands`", "an errand."):
        assert list(found("streams/x.py", text)), text
    assert not list(found("streams/x.py", "errandless"))
    assert list(found("docs/x.md", "a record is\tburied"))
    assert list(found("tests/x.py", "buried"))
    assert not list(found("tests/x.py", "a zombie"))


def test_every_word_that_the_glossary_drops_is_banned() -> None:
    """The last column of the glossary names words that we no longer use, apart from ordinary words with other uses."""
    rows = [line.strip("|").split("|") for line in (ROOT / "docs/glossary.md").read_text().splitlines()]
    dropped = {word.strip() for row in rows if len(row) == 4 for word in row[3].split(",")} - {"", "not", "---"}
    known = {word for banned in BANNED for word in banned.words.split("|")} | ORDINARY
    assert dropped <= known, dropped - known
