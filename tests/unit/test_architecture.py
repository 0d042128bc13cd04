"""The house: who may import whom, and who knows nothing of what.

An event goes source → agents → pipeline → db. Imports follow it, or point to the middle: what goes
through (`pipeline`) knows neither of its ends, Kafka and SQL, nor what an event is (`models`).
"""

import ast

import pytest

from agents.flash_sales import FLASH_SALES
from dev import ROOT

#: Whom each may import beside itself: only some of those above, so there is no way back.
LAYERS: dict[str, set[str]] = {
    "config": set(),
    "models": set(),
    "pipeline": set(),
    "source": {"config", "pipeline"},
    "db": {"config", "models", "pipeline"},
    "agents": {"models", "pipeline", "source", "db"},
    "web": {"config", "models", "pipeline", "source", "db", "agents"},
    "checks": {"config", "models", "pipeline", "source", "db", "agents"},
    "commands": {"config", "models", "pipeline", "source", "db", "checks"},
    "app": {"agents", "checks", "commands", "config", "db", "pipeline", "source", "web"},
}
KAFKA, SQL = {"aiokafka", "confluent_kafka"}, {"alembic", "pymysql", "sqlalchemy"}
UNKNOWN_LIBRARIES = {
    # Of Faust it has the Record.
    "models": {*KAFKA, *SQL},
    "pipeline": {"faust", *KAFKA, *SQL},
    "source": SQL,
    "db": {"faust", *KAFKA},
}
#: What of `db` carries any stream; the rest is the schema and the reports of this one.
CARRIERS = (
    "breakers",
    "dead_letter_rows",
    "dead_letters",
    "fence",
    "ledger",
    "offsets",
    "rehearsal",
    "replay",
    "tables",
    "writer",
)
MACHINERY = [
    *(ROOT / "source").glob("*.py"),
    *(ROOT / "pipeline").glob("*.py"),
    *(ROOT / "db" / "write").glob("*.py"),
    *(ROOT / "db" / f"{name}.py" for name in CARRIERS),
]


def files(package):
    return [ROOT / "app.py"] if package == "app" else sorted((ROOT / package).rglob("*.py"))


def imported(path):
    """Dotted names of what a file imports, wherever in it: `a.b` for `from a import b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative"
            yield from (f"{node.module}.{one.name}" for one in node.names)


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_only_what_it_may(package):
    ours = {path.stem if path.is_file() else path.name for path in ROOT.iterdir()}
    refused = (ours - {package} - LAYERS[package]) | UNKNOWN_LIBRARIES.get(package, set())
    for path in files(package):
        wrong = [name for name in imported(path) if name.partition(".")[0] in refused]
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(wrong)}"


def test_no_import_runs_back():
    order = list(LAYERS)
    for package, others in LAYERS.items():
        assert others <= set(order[: order.index(package)]), package


@pytest.mark.parametrize("path", MACHINERY, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_machinery_knows_nothing_of_flash_sales(path):
    domain = ("models", "agents", "db.sales_tables")
    assert [name for name in imported(path) if name.startswith(domain)] == []
    named = {
        str(getattr(node, field)).lower()
        for node in ast.walk(ast.parse(path.read_text()))
        for field in ("id", "attr", "arg", "name")
        if hasattr(node, field)
    }
    assert named.isdisjoint(FLASH_SALES.columns)
