"""The charters that a world may have: one agent, with variations drawn from the seed. Each is compiled once."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from random import Random

from nightdesk.processors.charter import CompiledCharter, compile_charter, parse_charter

AGENT = "desk"
PER_CASE_USD = 0.02
VARIANTS = 32

TEMPLATE = """\
agent: desk
on:
  - {{type: ticket.created}}
schema: {{type: object, required: [event]}}
decide:
  provider: [anthropic, rules]
  model: simulated
  prompt: prompt.md
  max_output_tokens: 64
  prices: {{simulated: {{input_per_mtok_usd: 1, output_per_mtok_usd: 1}}}}
  votes: {votes}
  when_unavailable: {when_unavailable}
actions:
  respond:
    kind: respond
    confidence: 0.75
    parameters: {{type: object, properties: {{text: {{type: string}}}}, required: [text], additionalProperties: false}}
  refund:
    kind: respond
    approval: {approval}
    writes: true
    parameters: {{type: object, properties: {{amount: {{type: number}}}}, required: [amount],
                 additionalProperties: false}}
  escalate:
    kind: escalate
    writes: true
    parameters: {{type: object, properties: {{reason: {{type: string}}}}, additionalProperties: false}}
  look: {{kind: research, approval: never}}
  wait:
    kind: wait
    at_most: 4h
    parameters: {{type: object, properties: {{after: {{type: string}}}}, additionalProperties: false}}
rules:
  - {{name: refund-cap, for: [refund], require: decision.parameters.amount <= 100.0, otherwise: {otherwise}}}
playbooks:
  respond:
    - {{do: send, with: {of}, undo: unsend}}
    - {{do: crm, with: {of}, undo: uncrm}}
    - {{do: remind, with: {{after: 1h, type: ticket.followup, data: {{about: "{{{{ event.id }}}}"}}}}}}
    - {{do: tell, with: {of}, undo: untell}}
  refund:
    - {{do: pay, with: {paid}, irreversible: true}}
    - {{do: crm, with: {of}, undo: uncrm}}
  escalate:
    - {{do: page, with: {of}, irreversible: true}}
  look:
    - {{do: history, with: {of}}}
handlers:
  send: {{type: http, connection: desk, path: /replies, idempotent: key, retries: 2}}
  unsend: {{type: http, connection: desk, path: /unsent, idempotent: key, retries: 2}}
  crm: {{type: http, connection: desk, path: /crm, idempotent: natural, retries: 1}}
  uncrm: {{type: http, connection: desk, path: /uncrm, idempotent: natural, retries: 1}}
  tell: {{type: http, connection: desk, path: /tell, idempotent: none, retries: 1}}
  untell: {{type: http, connection: desk, path: /untell, idempotent: none, retries: 1}}
  pay: {{type: http, connection: desk, path: /refunds, idempotent: {pay}, retries: 2}}
  page: {{type: http, connection: desk, path: /pages, idempotent: none, retries: 3}}
  history: {{type: http, connection: desk, method: GET, path: /history, read_only: true, retries: 1}}
  remind: {{type: remind}}
limits: {limits}
budget: {{per_day_usd: {per_day_usd}, per_case_usd: {per_case_usd}, when_spent: {when_spent}}}
bounds: {{actions: 4, external_calls: 12, model_calls: 5, seconds: 7200}}
mode: live
fallback:
  - {{when: 'event.data.event != "e-1"', action: respond, parameters: {{text: "as always"}}}}
"""
OF = '{event: "{{ event.id }}", step: "{{ case.step }}"}'
PAID = '{event: "{{ event.id }}", step: "{{ case.step }}", amount: "{{ decision.parameters.amount }}"}'


@dataclass(frozen=True, slots=True)
class Variant:
    """The differences between charters. `days_cases`: how many cases a day's money can pay."""

    pay: str
    approval: str
    votes: str
    otherwise: str
    limits: str
    days_cases: float
    when_spent: str
    when_unavailable: str


def _drawn(rng: Random) -> Variant:
    return Variant(
        pay=rng.choice(["none", "key"]),
        approval=rng.choice(["always", "below_threshold"]),
        votes=rng.choice(["null", "{ask: 3, agree: 2, only_for: [refund], same: [amount]}"]),
        otherwise=rng.choice(["refuse", "escalate"]),
        limits=rng.choice(["{}", "{}", "{per_subject: 1/1h}", "{agent: 1/10m}", "{actions: {refund: 1/10m}}"]),
        days_cases=rng.choice([1.5, 2.2, 100.0]),
        when_spent=rng.choice(["defer", "escalate", "refuse"]),
        when_unavailable=rng.choice(["wait", "wait", "rules", "escalate"]),
    )


@lru_cache(maxsize=1)
def variants() -> tuple[Variant, ...]:
    """Always the same variants, because compiling a charter takes as long as five worlds."""
    rng = Random(AGENT)
    return tuple(_drawn(rng) for _ in range(VARIANTS))


@lru_cache(maxsize=VARIANTS)
def compiled(variant: Variant) -> CompiledCharter:
    """The compiled charter."""
    text = TEMPLATE.format(
        of=OF,
        paid=PAID,
        per_day_usd=f"{PER_CASE_USD * variant.days_cases:.6f}",
        per_case_usd=f"{PER_CASE_USD:.6f}",
        **asdict(variant),
    )
    return compile_charter(parse_charter(text, {"prompt.md": "Decide."}))
