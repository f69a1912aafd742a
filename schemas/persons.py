"""Formats the name of a person. A name that no signature proves gets a mark.

Anyone can set a login name, so a bare name in the audit would claim more than is known. No person may have a name that
begins like the system's own names.
"""

import unicodedata

from nightdesk.schemas.audit import Identity
from nightdesk.schemas.foreign_text import INVISIBLE
from nightdesk.schemas.records import ControlCommand

SYSTEM = "nightdesk:"


def shown_person(name: str, identity: Identity = "claimed", login: str = "") -> str:
    """The name, with a mark that it is only claimed unless it is verified, and with the login (issuer and subject)."""
    issuer, _, subject = login.partition(" ")
    known = ["claimed"] if identity != "verified" else []
    known += [f"login {subject} at {issuer}"] if subject else []
    return f"{name} ({', '.join(known)})" if known else name


def shown_order(order: ControlCommand) -> str:
    """The order, who gave it and why. Orders are not signed."""
    return f"{order.kind} by {shown_person(order.issued_by, login=order.login)}: {order.reason}"


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: they are equal, or differ only in how they are written."""
    return _plain(one) == _plain(other)


def is_of_the_system(name: str) -> bool:
    """Whether no person may have this name: it begins like the system's, or it looks as if it did."""
    return _plain(name).startswith(SYSTEM)


def _plain(name: str) -> str:
    shown = "".join(character for character in name if character.isprintable() and character not in INVISIBLE)
    return unicodedata.normalize("NFKC", shown).strip().casefold()
