"""`faust -A app status` shows the whole group at a glance, once or continuously."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from textwrap import TextWrapper
from typing import Any

import click
import faust
from faust.cli import option

from checks import attention
from checks.attention import Limits
from checks.group_status import RATE_SECONDS, WINDOW, GroupStatus, read_status
from commands import batches, breaker
from commands.outcome import hush_kafka, or_exit
from commands.output import (
    FORMS,
    Column,
    Form,
    Line,
    cell,
    print_json,
    print_listing,
    table,
    terminal_width,
)
from commands.probe import probe_line
from commands.registry import Tools, needs
from config.load import DATABASE, KAFKA
from db.schema.version import VERSION
from pipeline.background.storage import Storage, TableSize

#: Seconds between updates of `--watch`.
PAUSE = 2.0
#: From when on something is listed, and when it is broken.
_LIMITS = (
    option(
        "--late",
        type=click.FloatRange(0),
        default=Limits().late,
        help="Seconds for which an event may wait before this needs attention.",
    ),
    option(
        "--broken-late",
        type=click.FloatRange(0),
        default=Limits().broken_late,
        help="The same, before it is broken.",
    ),
    option(
        "--waiting",
        type=click.IntRange(0),
        help="Events that may wait before this needs attention; the default is any number.",
    ),
    option("--broken-waiting", type=click.IntRange(0), help="The same, before it is broken."),
    option(
        "--dead-letters",
        type=click.IntRange(0),
        default=Limits().dead_letters,
        help="Dead letters that may be not replayed before this needs attention.",
    ),
)
#: Move the cursor home; clear the screen from there.
_HOME, _CLEAR = "\x1b[H", "\x1b[J"


@needs(KAFKA, DATABASE)
def status(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    read = partial(
        read_status,
        tools.settings,
        tools.cluster,
        tools.topic,
        tools.engine,
        quality=tools.stream.quality,
    )

    @app.command(
        option("--watch", is_flag=True, help="Update every 2 s, until Ctrl-C."),
        option(
            "--check",
            is_flag=True,
            help="Print one line for Nagios. The exit status is 0 if nothing needs attention, 1 if "
            "something does, 2 if events are not stored or it is not known.",
        ),
        *_LIMITS,
        *FORMS,
        name="status",
    )
    async def status(
        self: Any, watch: bool, check: bool, form: Form, **given: float | int | None
    ) -> None:
        """Show the whole group: workers, lag, batches, dead letters, and what needs attention.

        Reads from Kafka and the database, not from workers; changes nothing. Rates are events per
        second: incoming ones over the last minute and, with `--watch`, stored ones. `--json` has
        everything, `--csv` one line per partition. The exit status is 1 if Kafka or the database
        cannot be read; for others see `--check`.
        """
        hush_kafka()
        with or_exit():
            if watch and form:
                raise click.UsageError("--watch does not work with --json or --csv.")
            if check and (watch or form):
                raise click.UsageError("--check does not work with --watch, --json or --csv.")
            limits = Limits(**given)  # type: ignore[arg-type]
        found = await read()
        if check:
            wanted = attention.needs(found, limits)
            click.echo(probe_line(found, wanted, limits))
            raise SystemExit(attention.level(wanted))
        if form == "json":
            print_json(as_json(found, limits))
        elif form == "csv":
            print_listing(form, PARTITIONS, _partitions(found))
        else:
            _show(found, limits, clear=watch)
        while watch:
            await asyncio.sleep(PAUSE)
            found = await read(found)
            _show(found, limits, clear=True)
        if found.errors:
            raise SystemExit(1)


def _kinds(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


WORKERS = (
    Column("worker"),
    Column("last_batch", "last batch (UTC)"),
    Column("batches"),
    Column("events"),
    Column("rate", "events/s"),
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
        "partitions": _partitions(found),
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
    unknown = found.unknown | ({"workers"} if "batches" in found.unknown else set())
    return {name: None if name in unknown else value for name, value in status.items()}


def as_text(found: GroupStatus, limits: Limits, width: int | None) -> str:
    """The whole status as text."""
    return "\n".join(_text(found, limits, width))


def _show(found: GroupStatus, limits: Limits, *, clear: bool) -> None:
    text = as_text(found, limits, terminal_width())
    if clear and sys.stdout.isatty():
        text = f"{_HOME}{_CLEAR}{text}"
    click.echo(f"{text}\n" if clear else text)


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
    storing = _unknown(found, "batches") or len(found.workers)
    yield ""
    yield sentence(f"Workers: {members}; {storing} stored events in the last {minutes} min")
    if kafka and kafka.members:
        yield listing(MEMBERS, [_member(one) for one in kafka.members])
    if found.workers:
        yield listing(WORKERS, [one._asdict() for one in found.workers])
    if found.partitions:
        yield ""
        yield sentence(_flow(found))
        shown = [
            c for c in PARTITIONS if any(one[c.name] is not None for one in _partitions(found))
        ]
        yield listing(shown, _partitions(found))
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
    stored = _unknown(found, "batches") or f"{sum(one.rate for one in found.workers):.1f}"
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
    numbers = ", ".join(map(str, member.partitions))
    return {"member": member.member_id, "host": member.host, "partitions": numbers or "none"}


def _partitions(found: GroupStatus) -> list[dict[str, Any]]:
    return [{**one._asdict(), "partition": one.partition.number} for one in found.partitions]
