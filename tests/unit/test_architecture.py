"""The house: who may import whom, and who knows nothing of what.

An event goes source → agents → pipeline → db. Imports follow it, or point to the middle: what goes
through (`pipeline`) knows neither of its ends, Kafka and SQL, nor what an event is (`models`).
"""

import ast
import tomllib
from graphlib import TopologicalSorter

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
    "telemetry": {"config", "pipeline"},
    "web": {"config", "models", "pipeline", "source", "db", "agents"},
    "checks": {"config", "pipeline", "source", "db"},
    "commands": {"config", "models", "pipeline", "source", "db", "checks", "telemetry"},
    "app": {
        "agents",
        "checks",
        "commands",
        "config",
        "db",
        "pipeline",
        "source",
        "telemetry",
        "web",
    },
}
KAFKA, SQL = {"aiokafka", "confluent_kafka"}, {"alembic", "pymysql", "sqlalchemy"}
UNKNOWN_LIBRARIES = {
    # Of Faust it has the Record.
    "models": {*KAFKA, *SQL},
    "pipeline": {"faust", *KAFKA, *SQL},
    "source": SQL,
    "db": {"faust", *KAFKA},
}
#: Of rooms: whom of their own house each may import beside itself.
ROOMS: dict[str, set[str]] = {
    "db.connection": set(),
    "db.schema": {"db.connection"},
    "db.rollup": {"db.connection", "db.schema"},
    "db.retention": {"db.connection", "db.schema"},
    "db.write": {"db.connection", "db.schema"},
    "db.dead_letters": {"db.connection", "db.schema", "db.write"},
    "pipeline.flush": set(),
    "pipeline.background": set(),
    "source.records": set(),
    "source.cluster": set(),
}
#: What is about flash sales. The rest of these folders carries any stream.
DOMAIN = {
    "db.background",
    "models",
    "agents",
    "db.migrations",
    "db.reports",
    "db.retention",
    "db.rollup",
    "db.schema",
}
MACHINERY = ("source", "pipeline", "db")
#: The rooms of the domain have tables that every stream needs.
COMMON = {"db.schema", "db.schema.tables", "db.schema.event_key"}
#: What is not for any stream: the shop's events.
SHOP = {"agents.flash_sales", "models", "db.schema.sales_tables"}
#: Of app, checks, commands and web: what knows them, and why.
KNOWS_THE_SHOP = {
    "app": "gives the stream to all others",
    "commands.simulate": "simulates the shop",
    "commands.traffic": "simulates the shop",
}
OURS = {path.stem if path.is_file() else path.name for path in ROOT.iterdir()}


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
    refused = (OURS - {package} - LAYERS[package]) | UNKNOWN_LIBRARIES.get(package, set())
    for path in files(package):
        wrong = [name for name in imported(path) if name.partition(".")[0] in refused]
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(wrong)}"


def test_reading_kafka_needs_a_cluster_and_no_settings():
    """What makes the cluster of the settings, and Faust's app, is two files."""
    wiring = {"source.cluster.auth", "source.faust_app"}
    for name in MODULES:
        if within(name, ["source"]) and name not in wiring:
            assert not {"config.settings", "config.fields"} & {*imported_modules(name)}, name


def test_an_installed_app_is_found_from_any_folder():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert {*found["packages"], *found["py-modules"]} == LAYERS.keys()


def test_no_import_runs_back():
    order = list(LAYERS)
    for package, others in LAYERS.items():
        assert others <= set(order[: order.index(package)]), package


def module(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def modules(package):
    return {module(path): path for path in files(package)}


MODULES = {name: path for package in LAYERS for name, path in modules(package).items()}


def imported_modules(name):
    """Our modules that a module imports, itself."""
    for one in imported(MODULES[name]):
        found = one if one in MODULES else one.rpartition(".")[0]
        if found in MODULES:
            yield found


def test_no_module_imports_itself_by_way_of_others():
    TopologicalSorter({name: {*imported_modules(name)} for name in MODULES}).prepare()


def reached(name):
    """Our modules that a module imports, or that those import, each with one on the way to it."""
    found, waiting = {}, [name]
    while waiting:
        one = waiting.pop()
        for other in imported_modules(one):
            if other not in found:
                found[other] = one
                waiting.append(other)
    return found


def within(name, rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    house = room.partition(".")[0]
    refused = {one for one in ROOMS if within(one, [house])} - {room} - ROOMS[room]
    for name in MODULES:
        if within(name, [room]):
            wrong = [one for one in imported_modules(name) if within(one, refused)]
            assert not wrong, f"{name} imports {', '.join(wrong)}"


def carriers():
    for name in MODULES:
        if within(name, MACHINERY) and (name in COMMON or not within(name, DOMAIN)):
            yield name


@pytest.mark.parametrize("name", [*carriers()])
def test_the_machinery_knows_nothing_of_flash_sales(name):
    for one, by in reached(name).items():
        assert one in COMMON or not within(one, DOMAIN), f"{by} imports {one}"
    named = {
        str(getattr(node, field)).lower()
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        for field in ("id", "attr", "arg", "name")
        if hasattr(node, field)
    }
    assert named.isdisjoint(FLASH_SALES.columns)


def attributes(name):
    """What a module takes from what, as `settings.topic` or `self._settings.topic`."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node).replace("_", "")


def test_only_the_wiring_takes_the_topic_from_the_settings():
    wired = {
        name
        for name in MODULES
        for one in attributes(name)
        if one.endswith(("settings.topic", "cluster.topic"))
    }
    assert wired == {"app"}


def test_checks_and_commands_know_nothing_of_flash_sales():
    knowing = {
        name
        for name in MODULES
        if within(name, ["app", "checks", "commands", "web"])
        and any(within(one, SHOP) for one in imported_modules(name))
    }
    assert {name for name in knowing if not within(name, KNOWS_THE_SHOP)} == set()
    needless = {room for room in KNOWS_THE_SHOP if not any(within(one, [room]) for one in knowing)}
    assert needless == set()


@pytest.mark.parametrize("name", MODULES)
def test_no_chunk_stands_for_the_stream_of_all(name):
    assert [one for one in attributes(name) if one.endswith("[0].stream")] == []


def carried():
    """Everything that carries events, and what it is written in."""
    for name in carriers():
        yield from ((name, node) for node in ast.walk(ast.parse(MODULES[name].read_text())))


def test_a_partition_has_one_type():
    wrong = {
        name
        for name, node in carried()
        if isinstance(node, ast.Subscript) and ast.unparse(node) == "tuple[str, int]"
    }
    assert not wrong


def test_the_machinery_names_no_table_or_topic_of_flash_sales():
    wrong = {
        name
        for name, node in carried()
        if isinstance(node, ast.Constant) and "flash_sale" in str(node.value)
    }
    assert not wrong
