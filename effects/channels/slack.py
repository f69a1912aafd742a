"""The body of a message to one of Slack's incoming webhooks, with buttons for decisions that wait.

Text from outside goes into `plain_text`, which has no links and no mentions. The value of a button has the decision and
the hash of what is shown; the console checks both when somebody presses it (`console/pages/outside_answers.py`).
"""

from typing import Any

import orjson

from nightdesk.effects.channels.addresses import RouteAddress
from nightdesk.processors.notifications import Message
from nightdesk.processors.notifications.cards import ApprovalCard

SLACK_CHARACTERS_AT_MOST = 3000
APPROVE, REJECT = "nightdesk_approve", "nightdesk_reject"


def slack_body(message: Message, address: RouteAddress) -> dict[str, Any]:
    """Blocks of plain text. `text` is for notifications on a phone, where `&`, `<` and `>` would be markup and are
    escaped.
    """
    title = message.title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    blocks = [_section(message.text)]
    if address.buttons:
        blocks += [block for card in message.cards for block in _of_card(card)]
    return {"text": title, "blocks": blocks}


def _of_card(card: ApprovalCard) -> list[dict[str, Any]]:
    until = f"{card.expires_at:%Y-%m-%d %H:%M} UTC"
    approved = f"\napproved by {', '.join(card.approved_by)}" if card.approved_by else ""
    needs = f"\n{card.approvers} persons have to approve{approved}" if card.approvers > 1 else ""
    shown = card.parameters if card.parameters is not None else "its parameters are too long for a message"
    text = f"{card.agent} wants to {card.action} for {card.subject}, until {until}{needs}"
    buttons = [_button("Reject", REJECT, "danger", card)]
    if card.parameters is not None:
        buttons.insert(0, _button("Approve", APPROVE, "primary", card))
    # An id of a block is unique in its message, and the answer finds its buttons by it.
    actions = {"type": "actions", "block_id": f"approval:{card.decision_id}", "elements": buttons}
    return [_section(text), _section(shown), actions]


def _section(text: str) -> dict[str, Any]:
    shown = {"type": "plain_text", "text": text[:SLACK_CHARACTERS_AT_MOST], "emoji": False}
    return {"type": "section", "text": shown}


def _button(label: str, action_id: str, style: str, card: ApprovalCard) -> dict[str, Any]:
    value = orjson.dumps({"decision": card.decision_id, "payload_sha256": card.payload_sha256}).decode()
    text = {"type": "plain_text", "text": label, "emoji": False}
    return {"type": "button", "text": text, "action_id": action_id, "style": style, "value": value}
