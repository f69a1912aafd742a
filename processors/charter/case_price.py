"""Compares the cap of a case with the price of one question. Pure.

A cap below it is an error of `nightdesk charter check` and `apply`: no model would ever be asked. Workers do not check
it, because prices change and a charter in force stays in force. A cap below two questions is a warning: a question that
times out may be charged, and then a person gets the case.
"""

from datetime import UTC, datetime

import orjson

from nightdesk.processors import prices
from nightdesk.processors.charter.answers import answer_schema
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.charter.source import Path
from nightdesk.processors.charter.system import system_text

# A price that expires does not help a charter that stays in force.
LAST_PRICES_AT = datetime(9999, 1, 1, tzinfo=UTC)
PATH: Path = ("budget", "per_case_usd")


def too_small(charter: Charter) -> str:
    """Why no question can be paid; empty if one can."""
    least_microusd = _least_price_microusd(charter)
    if charter.budget.per_case_microusd >= least_microusd:
        return ""
    return (
        f"is less than one question may cost: the prompt without an event, the answer's schema and max_output_tokens"
        f" come to {least_microusd / 1_000_000:.6f} USD, so no model would ever be asked. Raise it, or lower"
        " decide.max_output_tokens"
    )


def just_enough(charter: Charter) -> str:
    """Why a single question is too few; empty if two can be paid."""
    least_microusd = _least_price_microusd(charter)
    if charter.budget.per_case_microusd >= 2 * least_microusd or too_small(charter):
        return ""
    return (
        f"pays for one question at its worst price ({least_microusd / 1_000_000:.6f} USD and the event), and not for"
        " two: a question that times out may have been charged, and then a person gets the case"
    )


def _least_price_microusd(charter: Charter) -> int:
    """The worst price of one question about the smallest event, to every provider in turn; 0 if no price is known here,
    because settings or a newer table may have it.
    """
    try:
        return sum(_price_microusd(charter, name) for name in charter.decide.asked)
    except prices.UnknownPrice:
        return 0


def _price_microusd(charter: Charter, provider: str) -> int:
    decide = charter.decide
    model = decide.models.get(provider) or decide.model or ""  # type: ignore[call-overload]  # a name of a provider
    texts = (system_text(charter).encode(), orjson.dumps(answer_schema(charter)))
    tokens = sum(map(len, texts)) + prices.FRAMING_TOKENS_AT_MOST
    return prices.worst_price_microusd(model, tokens, decide.max_output_tokens, LAST_PRICES_AT, decide.prices)
