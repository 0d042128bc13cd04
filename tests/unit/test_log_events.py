"""Every log line of the app has a name that programs can rely on."""

import ast

from dev import ROOT
from pipeline.log_events import EVENTS

FOLDERS = ("agents", "checks", "commands", "config", "db", "pipeline", "source", "telemetry", "web")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def calls():
    """The calls of loggers in the app."""
    for path in [ROOT / "app.py", *(p for one in FOLDERS for p in (ROOT / one).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "logger")
                and node.func.attr in LEVELS
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def names(tree):
    """What is named within a piece of code."""
    for node in ast.walk(tree):
        given = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "named":
            given = node.args
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            given = [value for key, value in pairs if getattr(key, "value", "") == "event"]
        yield from (one.value for one in given if isinstance(one, ast.Constant))


def test_each_log_line_has_a_name():
    lacking = [
        place
        for place, call in calls()
        if not any(keyword.arg == "extra" for keyword in call.keywords)
    ]
    assert not lacking


def test_names_of_log_lines_are_those_documented():
    used = {
        name
        for path in [ROOT / "app.py", *(p for one in FOLDERS for p in (ROOT / one).rglob("*.py"))]
        if path.name != "log_events.py"
        for name in names(ast.parse(path.read_text()))
    }
    assert used == EVENTS.keys()
