"""Pages of documentation, and the parts of them that are generated from the code.

Such a part stands between ``<!-- made by make docs: NAME -->`` and ``<!-- end -->`` in any page.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from inspect import cleandoc
from itertools import starmap
from typing import Any

from pydantic_core import PydanticUndefined

from config.settings import Settings
from db.connection import error_codes
from dev import ROOT
from dev.docs import event_tables, metric_table
from pipeline.log_events import EVENTS

#: Every page of documentation.
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "tests/*/*.md")
    for path in ROOT.glob(pattern)
)

_PART = re.compile(r"(<!-- made by make docs: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: Options of every listing, which have a section of their own.
_COMMON = {"--json", "--csv"}

#: Prints the app's commands, in a process of its own: the app is wired when it is imported.
_LIST_COMMANDS = """
import json

from faust.cli.base import cli

import app

print(json.dumps({
    name: {
        "help": command.help,
        "parameters": [
            {
                "names": one.opts if one.param_type_name == "option" else [one.name.upper()],
                "help": getattr(one, "help", None),
                "choices": list(getattr(one.type, "choices", [])),
                "default": one.default if type(one.default) in (int, float, str) else None,
            }
            for one in command.params
        ],
    }
    for name, command in sorted(cli.commands.items())
    if command.callback.__module__.startswith("commands.") and not command.hidden
}))
"""


def rewritten(page: str) -> str:
    """The page with its generated parts up to date.

    Raises:
        KeyError: it asks for an unknown part.
    """
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", page)


def settings() -> str:
    """A table of the settings."""
    head = "| variable | default | |\n|---|---|---|\n"
    return head + "".join(map(_setting, Settings.model_fields))


def commands() -> str:
    """A section for each of the app's commands."""
    return "".join(starmap(_command, list_commands().items()))


def log_events() -> str:
    """A table of the names in JSON log lines."""
    rows = (f"| `{name}` | {when} |\n" for name, when in sorted(EVENTS.items()))
    return "| `event` | when |\n|---|---|\n" + "".join(rows)


def targets() -> str:
    """What ``make`` lists."""
    return f"```text\n{_output('make', '--no-print-directory', 'help')}```\n"


def list_commands() -> dict[str, Any]:
    """The app's commands by name, with help and parameters."""
    found: dict[str, Any] = json.loads(_output(sys.executable, "-c", _LIST_COMMANDS))
    return found


#: What can be made, by name.
PARTS = {
    "log_events": log_events,
    "columns": event_tables.columns,
    "commands": commands,
    "errors": error_codes.table,
    "example": event_tables.example,
    "fields": event_tables.fields,
    "metrics": metric_table.table,
    "settings": settings,
    "targets": targets,
}


def _output(*command: str) -> str:
    servers = {"KAFKA_URL": "kafka://nobody:9092", "DATABASE_URL": "mysql://u:p@nobody/none"}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        command, cwd=ROOT, env={**ours, **servers}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _setting(name: str) -> str:
    field = Settings.model_fields[name]
    default = "" if field.default in (PydanticUndefined, None, "") else f"`{field.default}` "
    return f"| `{name.upper()}` | {default}| {field.description} |\n"


def _command(name: str, command: Mapping[str, Any]) -> str:
    own = (one for one in command["parameters"] if _COMMON.isdisjoint(one["names"]))
    lines = "".join(map(_parameter, own))
    table = f"\n| | |\n|---|---|\n{lines}" if lines else ""
    return f"\n## faust -A app {name}\n\n{cleandoc(command['help'])}\n{table}"


def _parameter(one: Mapping[str, Any]) -> str:
    choices = " \\| ".join(f"`{choice}`" for choice in one["choices"])
    is_option = one["names"][0].startswith("-")
    words = [f"`{name}`" for name in one["names"]] if is_option or not choices else []
    default = "" if one["default"] is None else f" [{one['default']}]"
    return f"| {' '.join([*words, choices]).strip()} | {one['help'] or ''}{default} |\n"
