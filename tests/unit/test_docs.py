"""What a user can set, run or scrape is in the documentation, as it is."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from config.settings import Settings
from dev import ROOT
from dev.catalogue import page

PAGES = [path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
README = Path(__file__).parents[2].joinpath("README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme_with_default_and_meaning(name):
    field = Settings.model_fields[name]
    default = "" if field.default in (PydanticUndefined, None, "") else f"`{field.default}` "
    assert f"| `{name.upper()}` | {default}| {field.description} |" in README


def test_the_catalogue_of_metrics_is_up_to_date():
    written = (ROOT / "docs" / "metrics.md").read_text()
    assert written == page(), "run `make docs`"


@pytest.mark.parametrize("page", ["guarantees.md", "topics.md"])
def test_every_test_that_a_page_names_is_there(page):
    text = (ROOT / "docs" / page).read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_links_to_and_the_files_it_names_are_there(page):
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
    for target, anchor in links:
        found = (ROOT / page).parent / target if target else ROOT / page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            assert anchor in map(as_anchor, headings), (target, anchor)
    named = re.findall(r"`((?:\w+/)+\w+\.(?:py|jsonl|html|sh|yaml))`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def as_anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
