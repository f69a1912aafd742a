"""From a charter's text to a charter: all problems at once, each with its line."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter import (
    CharterInvalid,
    Problem,
    charter_from_json,
    charter_to_json,
    compile_charter,
    parse_charter,
)
from nightdesk.processors.charter.parsing import named_files
from tests.effort import examples
from tests.processors.examples import CHARTER, EXAMPLE_LINE, FILES, changed


def problems(text: str, files: dict[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(CharterInvalid) as raised:
        parse_charter(text, FILES if files is None else files)
    return raised.value.problems


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_the_example_is_right_and_says_what_it_says() -> None:
    charter = parse_charter(CHARTER, FILES)
    assert charter.agent == "desk"
    assert charter.limits.per_subject is not None
    assert (charter.limits.per_subject.count, charter.limits.per_subject.per_seconds) == (5, 3600)
    assert charter.actions["wait"].at_most == 86400
    assert charter.budget.per_case_microusd == 500_000
    assert charter.decide.prompt is not None
    assert charter.decide.prompt.text == FILES["prompt.md"]


def test_without_a_mode_it_is_a_dry_run() -> None:
    assert parse_charter(changed(("mode: live\n", "")), FILES).mode == "dry_run"


# Each: what is replaced, by what, a text in the line that is to be named, a text in the reason.
WRONG = [
    ("agent: desk", "agent: Desk!", "agent: Desk!", "pattern"),
    ("agent: desk\n", "", "description: Answers", "is missing"),
    ("mode: live", "mood: live", "mood: live", "did you mean 'mode'"),
    ("mode: live", "mode: life", "mode: life", "'dry_run' or 'live'"),
    ("mode: live", "mode: live\nmode: live", None, "duplicate key, first in line"),
    ("mode: live", "mode: &x live", "mode: &x", "anchors"),
    ("mode: live", "mode: !!python/name:os.system live", "mode: !!python", "tag"),
    ("mode: live", "? [a]\n: live", "? [a]", "must be a string"),
    ("kind: research", "kind: research\n    baseline: {minutes: 6}", "look:", "for actions of kind respond"),
    ("type: ticket.created", "type: ticket.created\n    baseline: {minutes: 0}", "baseline:", "measures nothing"),
    ("type: ticket.created", "type: ticket.created\n    baseline: {usd: -1}", "baseline:", "greater than or equal"),
    ('when: event.data.status == "open"', "when: event.data.status ==", "when:", "not an expression"),
    ('when: event.data.status == "open"', "when: evnt.data.status", "when:", "unknown name 'evnt'"),
    ('when: event.data.status == "open"', "when: size(decision)", "when:", "unknown name 'decision'"),
    ('when: event.data.status == "open"', "when: shout(event.id)", "when:", "unknown function 'shout'"),
    ("provider: [anthropic, rules]", "provider: [anthropic, rule]", "provider:", "'rules'"),
    ("provider: [anthropic, rules]", "provider: [rules, anthropic]", "decide:", "come last"),
    ("  model: claude-sonnet-5-5\n", "", "decide:", "needs a model"),
    ("  prompt: prompt.md\n", "", "decide:", "needs a prompt"),
    ("prompt: prompt.md", "prompt: other.md", "prompt: other.md", "no file 'other.md'"),
    ("schema: ticket.schema.json", "schema: other.json", "schema: other.json", "no file 'other.json'"),
    ("schema: ticket.schema.json", "schema: {type: objekt}", "schema:", "not a JSON Schema"),
    ("ask: 3, agree: 2", "ask: 3, agree: 4", "votes:", "can never be reached"),
    ("only_for: [refund]", "only_for: [refnd]", "votes:", "no action 'refnd'"),
    ("kind: wait", "kind: sleep", "kind: sleep", "'respond'"),
    ("at_most: 24h", "at_most: 1 day", "at_most:", "not a duration"),
    ("kind: research", "kind: research\n    at_most: 1h", "look:", "for actions of kind wait"),
    ("confidence: 0.9\n", "confidence: 90\n", "confidence: 90", "less than or equal to 1"),
    ("for: [refund]", "for: [refunds]", "for: [refunds]", "no action 'refunds'"),
    ("require: decision.parameters.amount <= 100.0", "require: (", "require: (", "not an expression"),
    ("name: refund-cap", "name: votes", "name: votes", "use another"),
    ("  refund:\n    - {do: pay", "  reffund:\n    - {do: pay", "  reffund:", "no action 'reffund'"),
    ("do: pay", "do: pey", "do: pey", "no handler 'pey'"),
    (", undo: unsend", "", "do: send", "name its undo"),
    ("path: /refunds}", "path: /refunds, reconcile: /refunds}", "pay:", "reconcile is for idempotent: none"),
    ("path: /refunds}", "path: /refunds, idempotent: none, reconcile: '/{who}'}", "do: pay", "needs 'who'"),
    ("path: /refunds}", "path: /refunds, idempotent: none, settles_within: 2m}", "pay:", "needs reconcile"),
    (
        "path: /refunds}",
        "path: /refunds, idempotent: none, reconcile: /refunds, settles_within: 10s}",
        "pay:",
        "longer than timeout (10s)",
    ),
    ("path: /refunds}", "path: /refunds, did_not_happen: [200]}", "did_not_happen", "greater than or equal to 400"),
    ("read_only: true", "read_only: true, did_not_happen: [422]", "history:", "for calls that change something"),
    ("path: /refunds}", "path: /refunds, cache: 10m}", "pay:", "cache is for calls that change nothing"),
    ("undo: unsend", "undo: {do: unsend, with: {id: '{{ steps.later.id }}'}}", "undo: {do", "reads steps.later"),
    ("undo: unsend", "undo: {do: unsend, with: {id: '{{ decision.parameters.x }}'}}", "undo: {do", "does not have"),
    ("[anthropic, rules]", "[rules, anthropic]", "decide:", "rules always answer"),
    ("[anthropic, rules]", "[anthropic, anthropic, rules]", "decide:", "has a duplicate"),
    ("undo: unsend", "undo: nothing", "undo: nothing", "no handler 'nothing'"),
    ("undo: unsend", "undo: unsend, irreversible: true", "do: send", "keep one of them"),
    ("    writes: true\n", "", "irreversible: true", "writes: true"),
    ("{{ decision.parameters.text }}", "{{ decision.parameters.txt }}", "do: send", "decision.parameters.txt"),
    ("{{ steps.reply.id }}", "{{ steps.answer.id }}", "do: note", "steps.answer"),
    ("{{ steps.reply.id }}", "{{ steps.reply.id", "do: note", "not a template"),
    ("{{ steps.reply.id }}", "{{ ticket.id }}", "do: note", "unknown name 'ticket'"),
    ("{{ steps.reply.id }}", "{{ steps.reply.id | shout }}", "do: note", "No filter named 'shout'"),
    ("{{ steps.reply.id }}", "{{ [1, 2] | random }}", "do: note", "No filter named 'random'"),
    ("with: {customer:", "with: {client:", "do: history", "needs 'customer' for its path"),
    ("path: /refunds", "path: http://evil.example/refunds", "  pay:", "pattern"),
    ("path: /refunds", "path: //evil.example/refunds", "  pay:", "pattern"),
    ('"/customers/{customer}"', '"/customers/{{customer}}"', "  history:", "one pair of braces"),
    ("note: {type: note}", "note: {type: email}", "note: {type: email}", "'http'"),
    ("note: {type: note}", "note: {}", "note: {}", "missing its type"),
    ("per_subject: 5/1h", "per_subject: 5 an hour", "per_subject:", "not a rate"),
    ("per_subject: 5/1h", "per_subject: 0/1h", "per_subject:", "not a rate"),
    ("per_case_usd: 0.50", "per_case_usd: 50", "budget:", "no case could ever start"),
    ("per_case_usd: 0.50", "per_case_usd: 0.50, time_zone: Mars/Base", "budget:", "is no time zone"),
    ("per_case_usd: 0.50", "per_case_usd: 0.50, reserve_usd: 3", "budget:", "say with urgent which cases are"),
    (
        "per_case_usd: 0.50",
        "per_case_usd: 0.50, reserve_usd: 26, urgent: 'true'",
        "budget:",
        "only urgent cases could start",
    ),
    ("per_case_usd: 0.50", "per_case_usd: 0.50, events: {x: {per_day_usd: 5}}", "budget:", "no trigger accepts 'x'"),
    ("per_case_usd: 0.50", "per_case_usd: 0.50, actions: {pay: {per_day_usd: 5}}", "budget:", "no action 'pay'"),
    ("per_case_usd: 0.50", "per_case_usd: 0.50, actions: {refund: {per_day_usd: 0.4}}", "budget:", "could start"),
    ("per_case_usd: 0.50", "per_case_usd: 0.50, actions: {escalate: {per_day_usd: 5}}", "budget:", "never stopped"),
    ("budget: {per_day_usd: 25, per_case_usd: 0.50}", "budget: {}", "budget:", "costs money"),
    ("rules]\n", "rules]\n  when_unavailable: later\n", "when_unavailable", "'wait', 'rules' or 'escalate'"),
    ("[anthropic, rules]", "rules\n  when_unavailable: wait", "when_unavailable", "names no model"),
    ("rules]\n", "rules]\n  wait_at_most: 0s\n", "wait_at_most", "is not a duration"),
    ("    action: respond\n", "    action: reply\n", "action: reply", "no action 'reply'"),
    ("parameters: {text: ", "parameters: {body: ", "parameters: {body: ", "no parameter 'body'"),
    ("asks for {{ event.subject }}", "asks for {{ decision.action }}", "reasoning:", "unknown name 'decision'"),
    ("required: [reason]", "required: [reason, x]", "parameters: {type: object, properties: {reason", "has to accept"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "reason"), WRONG)
def test_a_mistake_is_named_with_its_line(old: str, new: str, line: str | None, reason: str) -> None:
    text = changed((old, new))
    found = problems(text)
    assert any(reason in problem.reason for problem in found), found
    if line is not None:
        named = [problem for problem in found if reason in problem.reason]
        assert line_of(text, line) in {problem.line for problem in named}, found


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file() -> None:
    text = changed(
        ("agent: desk", "agent: DESK"),
        ('when: event.data.status == "open"', "when: nothing.here"),
        ("at_most: 24h", "at_most: soon"),
        ("do: pay", "do: unknown-handler"),
        (", undo: unsend", ""),
        ("per_subject: 5/1h", "per_subject: often"),
        ("mode: live", "mood: live"),
    )
    found = problems(text)
    expected = ["DESK", "nothing.here", "soon", "do: send", "unknown-handler", "often", "mood"]
    assert [problem.line for problem in found] == [line_of(text, part) for part in expected]
    assert [problem.path for problem in found][:2] == ["agent", "on[0].when"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"examples.jsonl": "{}"}, "line 1: event"),
        ({"examples.jsonl": EXAMPLE_LINE.replace("respond", "dance")}, "no action 'dance'"),
        ({"examples.jsonl": EXAMPLE_LINE.replace('"text": "there"', '"x": "there"')}, "line 1: parameters"),
        ({"ticket.schema.json": "{"}, "not JSON"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named(files: dict[str, str], reason: str) -> None:
    assert any(reason in problem.reason for problem in problems(CHARTER, {**FILES, **files}))


def test_a_prompt_with_a_mistake_is_named() -> None:
    found = problems(CHARTER, {**FILES, "prompt.md": "You are {{ event.data.text }}"})
    assert [(problem.path, problem.line) for problem in found] == [("decide.prompt", line_of(CHARTER, "prompt:"))]


@pytest.mark.parametrize("text", ["", "# nothing", "- a\n- b", "just text", "a: [", "\x00", "{" * 3000, "a: " * 50])
def test_what_is_no_charter_is_refused_and_never_crashes(text: str) -> None:
    assert problems(text)


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_any_part_left_out_gives_problems_or_a_charter_that_compiles(data: st.DataObject) -> None:
    lines = CHARTER.splitlines()
    first = data.draw(st.integers(0, len(lines) - 1))
    last = data.draw(st.integers(first, min(len(lines), first + 6)))
    text = "\n".join(lines[:first] + lines[last:])
    found: tuple[Problem, ...] = ()
    try:
        compile_charter(parse_charter(text, FILES))
    except CharterInvalid as invalid:
        found = invalid.problems or (Problem(0, 0, "", "nothing is named"),)
    assert all(1 <= problem.line <= max(1, len(text.splitlines())) for problem in found)


def test_yaml_words_of_old_are_texts() -> None:
    charter = parse_charter(changed(("agent: desk", "agent: no"), ("asks for {{ event.subject }}", "12:30")), FILES)
    assert charter.agent == "no"
    assert charter.fallback[1].reasoning == "12:30"


def test_the_files_that_a_charter_names_are_known_before_it_is_right() -> None:
    assert set(named_files(CHARTER)) == set(FILES)
    assert named_files("decide: {prompt: a.md}\nnonsense: 1") == ("a.md",)


def test_a_charter_travels_as_json_and_is_the_same() -> None:
    charter = parse_charter(CHARTER, FILES)
    again = charter_from_json(charter_to_json(charter))
    assert again == charter
    assert again.version == charter.version
    assert charter_to_json(again) == charter_to_json(charter)


@pytest.mark.parametrize(
    ("old", "new"),
    [("do: pay", "do: send"), ("mode: live", "mode: dry_run"), ("Answers tickets.", "Answers."), ("5/1h", "5/2h")],
)
def test_the_version_is_the_content(old: str, new: str) -> None:
    charter = parse_charter(CHARTER, FILES)
    assert parse_charter(changed((old, new)), FILES).version != charter.version


def test_what_is_no_content_makes_no_version() -> None:
    # Comments, a default that is written out, another word for the same time.
    same = "# a comment\n" + changed(
        ("at_most: 24h", "at_most: 1d"), ("mode: live", "mode: live\nconfidence_floor: 0.7")
    )
    assert parse_charter(same, FILES).version == parse_charter(CHARTER, FILES).version


RESPOND = "{type: object, properties: {text: {type: string}}, required: [text], additionalProperties: false}"


@pytest.mark.parametrize(
    ("schema", "is_open"),
    [
        (RESPOND, False),
        (RESPOND.replace("false", "true"), True),
        (RESPOND.replace(", additionalProperties: false", ""), True),
        (RESPOND.replace("{type: object,", "{allOf: [{}],"), True),
        (RESPOND.replace("{type: object,", "{anyOf: [{}],"), True),
        (RESPOND.replace("{type: object,", "{oneOf: [{}],"), True),
        (RESPOND.replace("{type: object,", "{$defs: {a: {}}, $ref: '#/$defs/a',"), True),
        (RESPOND.replace("additionalProperties: false", "additionalProperties: {type: string}"), True),
    ],
)
def test_a_template_reads_any_parameter_where_the_schema_leaves_their_names_open(schema: str, is_open: bool) -> None:
    text = changed((RESPOND, schema), ('"{{ decision.parameters.text }}"', '"{{ decision.parameters.other }}"'))
    if is_open:
        assert parse_charter(text, FILES).agent == "desk"
    else:
        assert any("reads decision.parameters.other" in problem.reason for problem in problems(text))


@pytest.mark.parametrize("name", list(FILES))
def test_the_files_are_part_of_the_version(name: str) -> None:
    other = {**FILES, name: FILES[name] + "\n" if name != "ticket.schema.json" else '{"type": "object"}'}
    assert parse_charter(CHARTER, other).version != parse_charter(CHARTER, FILES).version


def test_json_from_the_topic_is_checked_as_if_people_had_written_it() -> None:
    good = charter_to_json(parse_charter(CHARTER, FILES))
    for bad in ("", "[]", good.replace('"do":"pay"', '"do":"nobody"'), good.replace('"kind":"wait"', '"kind":"nap"')):
        with pytest.raises(CharterInvalid):
            charter_from_json(bad)


@pytest.mark.parametrize("where", ["HOST", "file:///etc/hostname", "other.json"])
def test_a_schema_that_refers_outside_is_refused_and_nobody_is_asked(where: str) -> None:
    """The JSON Schema library would fetch it, in each process that reads the charter."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        reference = where.replace("HOST", f"http://127.0.0.1:{server.getsockname()[1]}/schema")
        with pytest.raises(CharterInvalid, match="not a JSON Schema"):
            parse_charter(changed(("schema: ticket.schema.json", f'schema: {{$ref: "{reference}"}}')), FILES)
        with pytest.raises(BlockingIOError):
            server.accept()
