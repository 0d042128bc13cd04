"""Time zones from the pinned package `tzdata`, never from the machine.

Rules change several times a year, so with the machine's data the same event could become different
rows. To get new rules, raise the version in requirements.txt.
"""

from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

#: Spark's Java does not know these.
_UNKNOWN_TO_JAVA = frozenset({"EST", "MST", "HST", "ROC", "Factory"})


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """The regions that a timestamp may name, such as ``Europe/Berlin``."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split()) - _UNKNOWN_TO_JAVA


@cache
def zone(name: str) -> ZoneInfo:
    """The rules of one of ``names()``.

    ``ZoneInfo(name)`` would use the machine's data first.
    """
    with files("tzdata").joinpath("zoneinfo", name).open("rb") as file:
        return ZoneInfo.from_file(file, name)
