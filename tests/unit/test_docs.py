"""What a user can set, run or scrape is in the documentation, as it is."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from config import Settings
from local import ROOT
from local.catalogue import page

README = Path(__file__).parents[2].joinpath("README.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme_with_default_and_meaning(name):
    field = Settings.model_fields[name]
    default = "" if field.default in (PydanticUndefined, None, "") else f"`{field.default}` "
    assert f"| `{name.upper()}` | {default}| {field.description} |" in README


def test_the_catalogue_of_metrics_is_up_to_date():
    written = (ROOT / "docs" / "metrics.md").read_text()
    assert written == page(), "run `make docs`"


def test_every_test_that_the_guarantees_name_is_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text()))
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []
