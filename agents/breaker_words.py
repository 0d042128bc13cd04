"""What the circuit breaker says of itself: in logs, on pages, to commands."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from math import isinf
from typing import Any

from mode.utils.logging import get_logger

from agents.circuit_breaker import CircuitBreaker, Opening
from pipeline.log_events import named
from pipeline.partition import Partition

log = get_logger(__name__)


def sentence(breaker: CircuitBreaker, one: Opening) -> str:
    """Which partition is held, why, until when, and the command that does not wait for it."""
    until = "it waits for a person"
    if not isinf(one.due):
        until = f"next attempt at {_at(breaker, one.due):%H:%M:%S} UTC"
    return (
        f"{one.partition} is held, {one.reason} ({until}; `{command(one.partition)}` makes one "
        "at once)"
    )


def as_json(breaker: CircuitBreaker, one: Opening) -> dict[str, Any]:
    """An open breaker, as ``/batches/`` shows it."""
    due = None if isinf(one.due) else _at(breaker, one.due).isoformat(timespec="seconds")
    return {
        "topic": one.partition.topic,
        "partition": one.partition.number,
        "state": "half-open" if breaker.is_half_open(one.partition) else "open",
        "opened": _at(breaker, one.since).isoformat(timespec="seconds"),
        "next_attempt": due,
        "reason": one.reason,
        "command": command(one.partition),
    }


def command(partition: Partition) -> str:
    """What makes a paused partition flow."""
    return f"faust -A app breaker close --partition {partition.number}"


def log_changes(
    breaker: CircuitBreaker, before: Mapping[Partition, Opening], assigned: Collection[Partition]
) -> None:
    """Log which breakers have opened, stay open or have closed since ``before``."""
    for partition, opening in breaker.open.items():
        known = before.get(partition)
        if known is None:
            log.critical(
                "The circuit breaker is open, other partitions continue: %s. "
                "BREAKER_SHARE=0 turns it off. A restart does not close it.",
                sentence(breaker, opening),
                extra=named("breaker_opened", partition=str(partition)),
            )
        elif known is not opening:
            log.warning(
                "The circuit breaker stays open: %s",
                sentence(breaker, opening),
                extra=named("breaker_stays_open", partition=str(partition)),
            )
    for partition in before.keys() - breaker.open.keys() & {*assigned}:
        log.warning(
            "The circuit breaker of %s is closed.",
            partition,
            extra=named("breaker_closed", partition=str(partition)),
        )


def _at(breaker: CircuitBreaker, when: float) -> datetime:
    """A time of the breaker's clock as a time of day, by the worker's clock as it is now."""
    return datetime.now(UTC) + timedelta(seconds=when - breaker.clock())
