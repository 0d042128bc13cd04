"""Formats a group's status: columns, JSON and text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from textwrap import TextWrapper
from typing import Any

from checks import attention
from checks.attention import Limits
from checks.group_status import RATE_SECONDS, WINDOW, GroupStatus
from checks.worker_status import WorkerStatus
from commands import batches, breaker
from commands.output import Column, Line, cell, table
from db.schema.version import VERSION
from pipeline.background.storage import Storage, TableSize


def _kinds(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


WORKERS = (
    Column("worker"),
    Column("state"),
    Column("version", spare=True),
    Column("partitions"),
    Column("lag"),
    Column("rate", "events/s"),
    Column("last_batch", "last batch (UTC)"),
)
MEMBERS = (Column("member"), Column("host"), Column("partitions"))
PARTITIONS = (
    Column("partition"),
    Column("stored"),
    Column("end", "log ends"),
    Column("lag"),
    Column("incoming", "in/s"),
    Column("storing", "stored/s"),
    Column("behind", "s behind"),
)
QUALITY = (
    Column("field", "column"),
    Column("what", "was"),
    Column("rows"),
    Column("share", show="{:.1%}".format),
    Column("kinds", show=_kinds),
)
DEAD_LETTERS = (
    Column("reason"),
    Column("dead_letters", "dead letters"),
    Column("pending", "not replayed"),
    Column("newest", "newest (UTC)"),
)


STORAGE = (
    Column("table"),
    Column("rows", "rows, about"),
    Column("mb", "MB"),
    Column("growth", "MB a day"),
)


def as_json(found: GroupStatus, limits: Limits) -> dict[str, Any]:
    """The whole status, by name; None is unknown."""
    kafka, rollup = found.kafka, found.rollup
    status = {
        "group": found.group,
        "topic": found.topic,
        "at": found.at,
        "needs": [need._asdict() for need in attention.needs(found, limits)],
        "errors": found.errors,
        "state": kafka and kafka.state,
        "members": [member._asdict() for member in kafka.members] if kafka else None,
        "workers": [worker._asdict() for worker in found.workers],
        "partitions": partition_lines(found),
        "batches": list(map(batches.line, found.batches)),
        "quality": [one._asdict() for one in found.quality],
        "dead_letters": [one._asdict() for one in found.dead_letters],
        "breakers": [breaker.line(one) for one in found.breakers],
        "storage": found.storage and found.storage.as_json(),
        "rollup": rollup and {**rollup._asdict(), "behind": rollup.behind},
        "schema": {
            "version": found.schema_version,
            "needed": VERSION,
            "problems": [asdict(one) for one in found.problems],
        },
    }
    return {name: None if name in found.unknown else value for name, value in status.items()}


def as_text(found: GroupStatus, limits: Limits, width: int | None) -> str:
    """The whole status as text."""
    return "\n".join(_text(found, limits, width))


def _text(found: GroupStatus, limits: Limits, width: int | None) -> Iterator[str]:
    def sentence(text: str, mark: str = "") -> str:
        lines = TextWrapper(
            width or 10_000,
            initial_indent=mark,
            subsequent_indent=" " * len(mark),
            # Commands must not be broken.
            break_long_words=False,
            break_on_hyphens=False,
        )
        return lines.fill(text)

    def listing(columns: Sequence[Column], lines: Sequence[Line]) -> str:
        text = table(columns, lines, width and width - 2)
        return "\n".join(f"  {line}" for line in text.splitlines())

    yield f"{found.group} reads {found.topic}, {cell(found.at)} UTC"
    wanted = attention.needs(found, limits)
    yield "\nNeeds attention" if wanted else "\nNothing needs attention."
    for need in wanted:
        yield sentence(cell(need.what), "  ! ")
        yield sentence(need.hint, "    → ")
    minutes = WINDOW.seconds // 60
    kafka = found.kafka
    members = (
        f"{len(kafka.members)} in Kafka's group ({kafka.state})" if kafka else "unknown to Kafka"
    )
    storing = _unknown(found, "workers") or sum(one.last_batch is not None for one in found.workers)
    yield ""
    yield sentence(f"Workers: {members}; {storing} stored events in the last {minutes} min")
    if kafka and kafka.members:
        yield listing(MEMBERS, [_member(one) for one in kafka.members])
    if found.workers:
        yield listing(WORKERS, [_worker(one) for one in found.workers])
    if found.partitions:
        yield ""
        yield sentence(_flow(found))
        shown = [
            c for c in PARTITIONS if any(one[c.name] is not None for one in partition_lines(found))
        ]
        yield listing(shown, partition_lines(found))
    else:
        yield "\nPartitions: unknown"
    if found.batches:
        yield "\nLast batches"
        yield listing(batches.COLUMNS, list(map(batches.line, found.batches)))
    else:
        yield f"\nLast batches: {_unknown(found, 'batches') or 'none yet'}"
    if found.quality:
        yield f"\nFilled and repaired, last {minutes} min"
        yield listing(QUALITY, [one._asdict() for one in found.quality])
    if found.dead_letters:
        yield "\nDead letters"
        yield listing(DEAD_LETTERS, [one._asdict() for one in found.dead_letters])
    else:
        yield f"\nDead letters: {_unknown(found, 'dead_letters') or 'none'}"
    if found.breakers:
        yield "\nCircuit breaker: open"
        yield listing(breaker.SHOWN, [breaker.line(one) for one in found.breakers])
    else:
        yield f"\nCircuit breaker: {_unknown(found, 'breakers') or 'closed'}"
    yield f"Sales sums: {_unknown(found, 'rollup') or _sums(found)}"
    if found.storage:
        yield sentence(f"Storage: {_storage(found.storage)}")
        yield listing(STORAGE, [_size(one) for one in found.storage.tables])
    else:
        yield "Storage: unknown"
    yield f"Schema: version {found.schema_version or 'unknown'}"


def _unknown(found: GroupStatus, name: str) -> str:
    """The word, if this could not be read."""
    return "unknown" if name in found.unknown else ""


def _flow(found: GroupStatus) -> str:
    waiting = "an unknown number of" if found.waiting is None else found.waiting
    incoming = [one.incoming for one in found.partitions if one.incoming is not None]
    arrived = f"{sum(incoming):.1f}" if incoming else "unknown"
    stored = _unknown(found, "workers") or f"{sum(one.rate for one in found.workers):.1f}"
    return (
        f"Partitions: {waiting} events waiting; in the last {RATE_SECONDS} s {arrived} events/s "
        f"arrived and {stored} events/s were stored"
    )


def _sums(found: GroupStatus) -> str:
    if found.rollup is None:
        return "disabled (ROLLUP_INTERVAL is 0)"
    if not found.rollup.behind:
        return "complete"
    return f"{found.rollup.behind} rows behind, {found.rollup.seconds:.0f} s old"


def _storage(found: Storage) -> str:
    growth = "its growth is known an hour after the first worker's start"
    if found.per_day is not None:
        growth = f"{found.per_day / 1e6:+,.1f} MB a day"
    full = "not filling up"
    if found.limit is None:
        full = "set DATABASE_MAX_BYTES to see when it is full"
    elif found.full_in is not None:
        full = f"full in {found.full_in:,.0f} days at this rate"
    return f"{found.bytes / 1e6:,.1f} MB, {growth}; {full}"


def _size(one: TableSize) -> Line:
    growth = None if one.per_day is None else round(one.per_day / 1e6, 1)
    return {"table": one.name, "rows": one.rows, "mb": round(one.bytes / 1e6, 1), "growth": growth}


def _member(member: Any) -> Line:
    numbers = _numbers(member.partitions)
    return {"member": member.member_id, "host": member.host, "partitions": numbers}


def _worker(one: WorkerStatus) -> Line:
    state = one.state
    if state == "running" and one.unready:
        state = "not ready"
    return {**one._asdict(), "state": state, "partitions": _numbers(one.partitions)}


def _numbers(partitions: Sequence[int]) -> str:
    return ", ".join(map(str, partitions)) or "none"


def partition_lines(found: GroupStatus) -> list[dict[str, Any]]:
    return [{**one._asdict(), "partition": one.partition.number} for one in found.partitions]
