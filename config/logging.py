"""How log lines look: for people as Faust writes them, for machines one JSON object each."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from faust.cli.worker import worker

#: What a line tells beside what the one who logs it adds.
_FORMAT = "%(levelname)s %(name)s %(process)d %(message)s"
_NAMES = {"levelname": "level", "name": "logger"}

#: Merged into Faust's own, which keeps the level given on the command line.
_JSON: Mapping[str, Any] = {
    "merge": True,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": _FORMAT,
            "rename_fields": _NAMES,
            "timestamp": True,
            "json_ensure_ascii": False,
        }
    },
    "handlers": {
        "default": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "json",
        }
    },
}


def logging_config(log_format: Literal["text", "json"]) -> Mapping[str, Any] | None:
    """What Faust's setting of that name is to be."""
    return _JSON if log_format == "json" else None


def json_banner(command: worker, started: Any) -> str:
    """The first lines of a worker, printed before logging begins, as one object."""
    return json.dumps(
        {
            "timestamp": datetime.now(UTC).isoformat(),
            "level": "INFO",
            "logger": "faust",
            "message": "Starting.",
            **{name.strip(): str(value) for name, value in command._banner_data(started) if name},
        }
    )
