"""The line of `status --check`, as Nagios and cron take it."""

from checks.attention import Level, Limits, Need, level
from checks.group_status import GroupStatus

_WORDS = {Level.FINE: "OK", Level.ATTENTION: "WARNING", Level.BROKEN: "CRITICAL"}


def probe_line(found: GroupStatus, wanted: list[Need], limits: Limits) -> str:
    """What is worst and what to do, and after a bar the numbers; ``U`` is unknown."""
    return f"{_WORDS[level(wanted)]}: {_text(found, wanted)} | {_numbers(found, limits)}"


def _text(found: GroupStatus, wanted: list[Need]) -> str:
    if not wanted:
        members = "an unknown number of" if found.kafka is None else len(found.kafka.members)
        return f"{found.group} reads {found.topic} with {members} workers."
    worst = max(wanted, key=lambda need: need.level)
    more = f" ({len(wanted) - 1} more: `faust -A app status`)" if len(wanted) > 1 else ""
    # A bar ends the text, and a line ends the message.
    text = f"{worst.what} To fix it, {worst.hint}.{more}"
    return " ".join(text.replace("|", "/").split())


def _numbers(found: GroupStatus, limits: Limits) -> str:
    """Nagios' performance data: name=value, and the limits."""
    members = None if found.kafka is None else len(found.kafka.members)
    late = None if found.waiting is None else max(one.behind or 0 for one in found.partitions)
    letters = None
    if "dead_letters" not in found.unknown:
        letters = sum(one.pending for one in found.dead_letters)
    return " ".join(
        [
            _number("waiting", found.waiting, limits.waiting, limits.broken_waiting),
            _number("late", late, limits.late, limits.broken_late, unit="s"),
            _number("workers", members),
            _number("dead_letters", letters, limits.dead_letters),
        ]
    )


def _number(
    name: str,
    value: float | None,
    warning: float | None = None,
    critical: float | None = None,
    unit: str = "",
) -> str:
    shown = "U" if value is None else f"{value:.0f}{unit}"
    ends = ("" if end is None else f"{end:.0f}" for end in (warning, critical))
    return f"{name}={shown};{';'.join(ends)}"
