"""The recipes of CONTRIBUTING.md, followed once each. The texts of the new files are in `toys/`."""

from pathlib import Path

from tests.extensions.copies import Edit, Recipe

TOYS = Path(__file__).parent / "toys"
SHORT = "tests/test_architecture.py::test_modules_are_short"
VIEWS_TEST = "tests/sinks/test_migrate.py::test_every_file_of_a_view_is_in_the_list_and_makes_the_view_of_its_name"


def text(name: str) -> str:
    return (TOYS / f"{name}.txt").read_text()


def before(path: str, place: str, added: str) -> Edit:
    return Edit(path, place, added + place)


def after(path: str, place: str, added: str) -> Edit:
    return Edit(path, place, place + added)


STAGE = Recipe(
    heading="A stage",
    words={"NAME": "visits", "RECORD": "Visit"},
    files={
        "schemas/records/visits.py": text("record.py"),
        "schemas/avsc/nightdesk.v1.Visit.avsc": text("nightdesk.v1.Visit.avsc"),
        "streams/stages/visits.py": text("stage.py"),
        "tests/streams/stages/test_visits.py": text("test_stage.py"),
    },
    edits=(
        after("schemas/topics.py", "DeadLetterEnd, Record\n", "from nightdesk.schemas.records.visits import Visit\n"),
        before("schemas/topics.py", "AUDIT = Topic(", 'VISITS = Topic("visits", Visit, key="subject")\n'),
        before("schemas/topics.py", "    AUDIT,\n", "    VISITS,\n"),
        after("streams/catalog.py", "notify, timers", ", visits"),
        after("streams/catalog.py", "    timers.SPEC,\n", "    visits.SPEC,\n"),
        Edit("deploy/helm/nightdesk/tests/stages_test.yaml", "{count: 21}", "{count: 24}"),
        before("deploy/helm/nightdesk/tests/stages_test.yaml", "  - it: gives decide no", text("stages_test.yaml")),
    ),
    checks=(
        "tests/streams/test_catalog.py",
        "tests/generated",
        "tests/chart",
        "tests/streams/stages/test_visits.py",
        SHORT,
    ),
)

HANDLER = Recipe(
    heading="A handler type",
    words={"NAME": "shout"},
    files={
        "effects/handlers/shout.py": text("handler.py"),
        "tests/effects/handlers/test_shout.py": text("test_handler.py"),
    },
    edits=(
        before("processors/charter/handlers.py", "# A type of handler is added", text("handler_keys.py") + "\n\n"),
        after("processors/charter/handlers.py", "NoteHandler | KafkaHandler", " | ShoutHandler"),
        after("effects/handlers/registry.py", "import kafka, note, reconciling", ", shout"),
        after("effects/handlers/registry.py", "    note.SPEC,\n", "    shout.SPEC,\n"),
        before("docs/how-to/actions.md", "| `kafka` |", "| `shout` | answers with the step's text in capitals |\n"),
    ),
    checks=(
        "tests/effects/handlers/test_registry.py",
        "tests/generated",
        "tests/effects/handlers/test_shout.py",
        SHORT,
    ),
)

PROVIDER = Recipe(
    heading="A model provider",
    words={"NAME": "acme"},
    files={"effects/llm/acme.py": text("provider.py")},
    edits=(
        before("effects/llm/providers.py", "PROVIDERS: tuple", text("provider_spec.py") + "\n"),
        after("effects/llm/providers.py", "    OPENAI,\n", "    ACME,\n"),
        after("processors/charter/model.py", '"openai-compatible",', ' "acme",'),
        before("nightdesk/settings.py", "    openai: OpenAISettings", "    acme: AcmeSettings = AcmeSettings()\n"),
        after("nightdesk/settings.py", "import PROVIDERS,", " AcmeSettings,"),
        after("tests/effects/llm/test_contract.py", "params=[", "ask_acme, "),
        after("tests/effects/llm/test_contract.py", "ids=[", '"acme", '),
        before("tests/effects/llm/test_contract.py", "class Asked(", text("ask_provider.py") + "\n\n"),
    ),
    checks=(
        "tests/nightdesk/test_settings.py",
        "tests/generated",
        "tests/chart",
        "tests/effects/llm/test_contract.py",
        SHORT,
        *("-k", "not anthropic and not openai"),
    ),
)

VIEW = Recipe(
    heading="A ClickHouse view",
    words={"NAME": "busiest_agents"},
    files={
        "sinks/clickhouse/views/busiest_agents.sql": text("view.sql"),
        "tests/sinks/test_busiest_agents.py": text("test_view.py"),
    },
    edits=(after("sinks/clickhouse/views.py", '    "costs_by_day",\n', '    "busiest_agents",\n'),),
    checks=("tests/sinks/test_busiest_agents.py", VIEWS_TEST),
)

CONSOLE_PAGE = Recipe(
    heading="A console page",
    words={"NAME": "greeting"},
    files={
        "console/pages/greeting.py": text("page.py"),
        "console/templates/greeting.html": text("page.html"),
        "tests/console/test_greeting.py": text("test_page.py"),
    },
    edits=(
        after("console/catalog.py", "import agents, approvals, ask, cases, dead_letters", ", greeting"),
        after("console/catalog.py", "    ask.PAGE,\n", "    greeting.PAGE,\n"),
    ),
    checks=("tests/console/test_greeting.py", "tests/console/test_pages.py", SHORT),
)

RECIPES = (STAGE, HANDLER, PROVIDER, VIEW, CONSOLE_PAGE)
