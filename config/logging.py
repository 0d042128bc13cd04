"""Format of log lines: coloured on a terminal, plain in a file, or one JSON object each."""

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
    """The value of Faust's setting ``logging_config``.

    Merged into Faust's own, so that the command line's log level and file still apply.
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
                # Lines go to stderr, but Faust checks stdout and would colour a file.
                "stream": "ext://sys.stderr",
            },
        },
    }


def say(sentence: str, level: int, log_format: LogFormat) -> None:
    """Report something before logging is set up: on stderr, or as JSON on stdout."""
    if log_format == "text":
        print(sentence, file=sys.stderr)
        return
    formatter = JsonFormatter(_JSON["format"], **{k: v for k, v in _JSON.items() if k != "format"})
    record = logging.LogRecord(__name__, level, __file__, 0, sentence, None, None)
    # Parsed and dumped again because the formatter has no types.
    print(json.dumps(json.loads(formatter.format(record)), ensure_ascii=False), flush=True)
