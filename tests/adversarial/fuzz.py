"""More hostile answers, by a seed: valid and invalid ones of the tables, cut, doubled, spliced and reversed."""

from collections.abc import Callable, Iterator
from random import Random

from tests.adversarial.answers import AMOUNTS, GOOD, families

TOKENS = (
    '"', "'", "{", "}", "[", "]", ":", ",", "\\", "\\u0000", "\\ud800", "null", "true", "1e309", "NaN", "-", "0",
    "9" * 30,
    "refund", "pay_out", "respond", "escalate", "look", "amount", "parameters", "confidence", "\u202e", "\u200b",
    "\x00",
    "\n", " ", "é", "😀", "{{", "}}", "..", "/",
)  # fmt: skip
LONGEST = 5_000


def fuzzed(seed: int, count: int) -> Iterator[str]:
    """`count` texts, the same for the same seed."""
    random = Random(seed)
    corpus = [text for family in families().values() for text in family if len(text) < LONGEST]
    for _ in range(count):
        text = random.choice(GOOD if random.random() < 0.6 else corpus)
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            text = random.choice(TURNS)(random, text, random.choice(corpus))
        yield text[:LONGEST]


def _drop(random: Random, text: str, _other: str) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + text[at + random.choice((1, 1, 2, 10)) :]


def _insert(random: Random, text: str, _other: str) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(TOKENS) + text[at:]


def _repeat(random: Random, text: str, _other: str) -> str:
    start, end = sorted(random.randrange(len(text) + 1) for _ in range(2))
    return text[:end] + text[start:end] + text[end:]


def _splice(random: Random, text: str, other: str) -> str:
    return text[: random.randrange(len(text) + 1)] + other[random.randrange(len(other) + 1) :]


def _turn(random: Random, text: str, _other: str) -> str:
    if not text:
        return text
    at = random.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ 1 << random.randrange(7)) + text[at + 1 :]


def _other_number(random: Random, text: str, _other: str) -> str:
    return text.replace("20", str(random.choice(AMOUNTS)), 1)


def _other_word(random: Random, text: str, _other: str) -> str:
    words = ("refund", "pay_out", "respond", "escalate", "look", "wait", "amount", "reason", "text", "customer")
    return text.replace(random.choice(words), random.choice(words))


TURNS: tuple[Callable[[Random, str, str], str], ...] = (
    _drop,
    _insert,
    _repeat,
    _splice,
    _turn,
    _other_number,
    _other_word,
)
