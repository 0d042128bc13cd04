"""How log lines look: coloured on a terminal, plain in a file, or one JSON object each."""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]

_JSON: Mapping[str, Any] = {
    "format": "%(levelname)s %(name)s %(process)d %(message)s",
    "rename_fields": {"levelname": "level", "name": "logger"},
    "timestamp": True,
    "json_ensure_ascii": False,
}
_TEXT = "[%(asctime)s] [%(process)s] [%(levelname)s] %(message)s"


def logging_config(log_format: LogFormat) -> dict[str, Any]:
    """What Faust's setting of that name is to be.

    It is merged into Faust's own, which keeps the level and the file given on the command line.
    """
    if log_format == "json":
        return {
            "merge": True,
            "formatters": {"json": {"()": JsonFormatter, **_JSON}},
            "handlers": {
                "default": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "json",
                }
            },
        }
    return {
        "merge": True,
        "formatters": {
            "default": {"format": _TEXT},
            "colored": {
                "()": "colorlog.TTYColoredFormatter",
                "format": _TEXT.replace("%(message)s", "%(log_color)s%(message)s"),
                "log_colors": {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold_red"},
                # Where the lines go: Faust looks at stdout, and colours what is a file.
                "stream": "ext://sys.stderr",
            },
        },
    }


def say(sentence: str, level: int, log_format: LogFormat) -> None:
    """Say something before logging has begun: on stderr, or as an object where the others go."""
    if log_format == "text":
        print(sentence, file=sys.stderr)
        return
    formatter = JsonFormatter(_JSON["format"], **{k: v for k, v in _JSON.items() if k != "format"})
    record = logging.LogRecord(__name__, level, __file__, 0, sentence, None, None)
    # Read and written again, because the formatter is not typed.
    print(json.dumps(json.loads(formatter.format(record)), ensure_ascii=False), flush=True)
