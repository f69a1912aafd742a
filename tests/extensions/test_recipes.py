"""Each recipe of CONTRIBUTING.md adds a toy that works, by the files that it lists; what is forgotten is named."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extensions.copies import ROOT, Copy, Recipe
from tests.extensions.recipes import CONSOLE_PAGE, HANDLER, PROVIDER, RECIPES, STAGE, VIEW

# Each copy runs tests of its own in processes of its own.
pytestmark = pytest.mark.slow
AT_MOST = {"A stage": 5, "A handler type": 4, "A model provider": 4, "A ClickHouse view": 2, "A console page": 3}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where a copy lies while its test runs. It names the secrets that are searched for when all tests are over."""
    yield tmp_path / "copy"
    shutil.rmtree(tmp_path / "copy")


def listed_files(recipe: Recipe) -> set[str]:
    """The numbered files of the recipe's section, with the toy's names in them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition(f"\n### {recipe.heading}\n")[2].partition("\n#")[0]
    paths = re.findall(r"^\d\. `([^`]+)`", section, re.MULTILINE)
    for placeholder, word in recipe.words.items():
        paths = [path.replace(placeholder, word) for path in paths]
    return set(paths)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.heading)
def test_a_recipe_names_each_file_that_is_touched_and_they_are_few(recipe: Recipe) -> None:
    assert listed_files(recipe) == recipe.by_hand
    assert len(recipe.by_hand) <= AT_MOST[recipe.heading]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.heading)
def test_what_the_recipe_adds_works(recipe: Recipe, place: Path) -> None:
    copy = Copy(place, recipe)
    copy.generate()
    done = copy.check(*recipe.checks)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d+ passed", done.stdout)
    written = [path for path in recipe.files if path.endswith(".py")]
    lint = copy.run("ruff", "check", "--no-cache", *written)
    assert lint.returncode == 0, lint.stdout


@pytest.mark.parametrize(
    ("recipe", "forgotten", "check", "says"),
    [
        (STAGE, "streams/catalog.py", "tests/streams/test_catalog.py", "add them to STAGES in streams/catalog.py"),
        (HANDLER, "effects/handlers/registry.py", HANDLER.checks[0], "its line in effects/handlers/registry.py"),
        (HANDLER, "docs/how-to/actions.md", HANDLER.checks[0], "add a row below Other handlers"),
        (PROVIDER, "processors/charter/model.py", PROVIDER.checks[0], "ProviderName in processors/charter/model.py"),
        (VIEW, "sinks/clickhouse/views.py", VIEW.checks[-1], "busiest_agents"),
        (CONSOLE_PAGE, "console/catalog.py", "tests/console/test_pages.py", "add them to PAGES in console/catalog.py"),
    ],
    ids=lambda value: value.heading if isinstance(value, Recipe) else None,
)
def test_a_line_that_was_forgotten_is_named(recipe: Recipe, forgotten: str, check: str, says: str, place: Path) -> None:
    done = Copy(place, recipe, [forgotten]).check(check)
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-2000:]
    assert says in done.stdout


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        (
            STAGE,
            (
                "docker-compose.yml",
                "values.yaml",
                "values.schema.json",
                "_needs.tpl",
                "stages.md",
                "scaling.md",
                "+  visits:",
            ),
        ),
        (HANDLER, ("charters/charter.schema.json", "ShoutHandler")),
        (
            PROVIDER,
            ("providers.md", "_providers.tpl", "values.yaml", "values.schema.json", "charter.schema.json", "+acme:"),
        ),
    ],
    ids=lambda value: value.heading if isinstance(value, Recipe) else None,
)
def test_without_make_generate_each_file_that_is_behind_is_named(
    recipe: Recipe, names: tuple[str, ...], place: Path
) -> None:
    done = Copy(place, recipe).check("tests/generated")
    assert done.returncode == 1
    assert "run `make generate`" in done.stdout
    assert [name for name in names if name not in done.stdout] == []
