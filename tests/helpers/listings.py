"""What listings print for programs."""

import json
from typing import Any


def records(printed: str) -> list[Any]:
    """The records of a listing in JSON, one in each line."""
    return [json.loads(line) for line in printed.splitlines()]
