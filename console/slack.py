"""Parses what Slack sends when somebody presses a button, and writes the answers to it. Pure.

The fields are those of Slack's `block_actions` payload; others are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, Json

ACTIONS = {"nightdesk_approve": "approve", "nightdesk_reject": "reject"}
TEXT_CHARACTERS_AT_MOST = 3000


class _Id(BaseModel):
    id: str


class ButtonValue(BaseModel):
    """The value of a button, as the message had it."""

    decision: str = Field(max_length=200)
    payload_sha256: str = Field(max_length=200)


class PressedButton(BaseModel):
    """One button that was pressed."""

    action_id: Literal["nightdesk_approve", "nightdesk_reject"]
    block_id: str
    value: Json[ButtonValue]


class _Message(BaseModel):
    blocks: list[dict[str, Any]] = Field(default=[])


class Interaction(BaseModel):
    """The payload. `message` is what the person saw."""

    type: Literal["block_actions"]
    user: _Id
    team: _Id
    actions: list[PressedButton] = Field(min_length=1, max_length=1)
    response_url: str
    message: _Message = _Message()

    @property
    def person(self) -> str:
        """Who pressed it, as the token file names people of Slack."""
        return f"slack:{self.team.id}/{self.user.id}"

    @property
    def pressed(self) -> PressedButton:
        return self.actions[0]


def only_to_the_person(text: str) -> dict[str, Any]:
    """A message that only the person sees; the buttons stay."""
    return {"response_type": "ephemeral", "replace_original": False, "text": escaped(text)}


def decided(interaction: Interaction, text: str) -> dict[str, Any]:
    """The message with the result in place of the buttons that were pressed; those of other decisions stay."""
    blocks = list(_replaced(interaction.message.blocks, interaction.pressed.block_id, text))
    return {"replace_original": True, "text": escaped(text), "blocks": blocks}


def escaped(text: str) -> str:
    """Text in which Slack finds no link and no mention."""
    shown = text[:TEXT_CHARACTERS_AT_MOST]
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _replaced(blocks: Sequence[dict[str, Any]], block_id: str, text: str) -> Iterator[dict[str, Any]]:
    result = {"type": "plain_text", "text": text[:TEXT_CHARACTERS_AT_MOST], "emoji": False}
    for block in blocks:
        if block.get("block_id") == block_id:
            yield {"type": "section", "text": result}
        else:
            yield block
