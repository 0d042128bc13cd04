"""`faust -A app offsets`: what is stored, what the log has, and the way out when they differ."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import faust
from faust.cli import argument, option

from commands.outcome import or_exit
from commands.output import FORMS, Column, Form, Line, print_listing
from commands.times import FORMS as TIMES
from commands.times import parse
from config.settings import Settings
from db.offsets import OffsetStore
from source.log_reader import Bounds
from source.topics import offsets_at, topic_bounds


def offsets(app: faust.App, settings: Settings, store: OffsetStore) -> None:
    """Register the command."""

    @app.command(
        argument("action", type=click.Choice(["show", "reset"])),
        option(
            "--to",
            default="end",
            help="`reset`: beginning, end, an offset, or a time, which means the first event at or "
            f"after it: {TIMES}.",
        ),
        option("--partition", "partitions", multiple=True, type=int, help="Only these."),
        option("--dry-run", is_flag=True, help="Say what would happen, and change nothing."),
        *FORMS,
        name="offsets",
    )
    async def offsets(
        self: Any, action: str, to: str, partitions: tuple[int, ...], dry_run: bool, form: Form
    ) -> None:
        """Show where the group stands in the topic, or make it continue elsewhere.

        Going back stores events again, unless DEDUPLICATE=true; going forward skips events. A
        running worker whose offsets go back stops by itself, and starts from the new ones.
        """
        with or_exit():
            if form and action != "show":
                raise click.UsageError("--json and --csv are for `show`.")
            bounds = await topic_bounds(settings)
            stored = store.read(settings.topic)
            if action == "show":
                print_listing(form, COLUMNS, _lines(stored, bounds))
                return
            wanted = partitions or tuple(bounds)
            if unknown := set(wanted) - bounds.keys():
                raise click.BadParameter(f"the topic has no partition {min(unknown)}")
            moment = _moment(to)
            since = {} if moment is None else await offsets_at(settings, moment)
            new: dict[int, int] = {}
            for partition in sorted(set(wanted)):
                if moment is None:
                    new[partition], remark = _target(to, bounds[partition]), ""
                else:
                    new[partition], remark = _since(since.get(partition), bounds[partition])
                change = f"{stored.get(partition)} → {new[partition]}{remark}"
                self.say(f"{settings.topic}/{partition}: {change}")
            if not dry_run:
                store.set(settings.topic, new)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = (
    Column("partition"),
    Column("stored", show=lambda at: "none" if at is None else str(at)),
    Column("log_begins", "log begins"),
    Column("log_ends", "log ends"),
    Column("to_read", "to read"),
    Column("remark"),
)


def _lines(stored: dict[int, int], bounds: dict[int, Bounds]) -> list[Line]:
    return [
        {
            "partition": partition,
            "stored": stored.get(partition),
            "log_begins": found.beginning,
            "log_ends": found.end,
            "to_read": max(0, found.end - max(found.beginning, stored.get(partition, found.end))),
            "remark": _remark(stored.get(partition), found),
        }
        for partition, found in sorted(bounds.items())
    ]


def _remark(stored: int | None, bounds: Bounds) -> str:
    if stored is None:
        return "not begun"
    if stored > bounds.end:
        return "beyond the log's end: topic recreated or truncated; reset it"
    if stored < bounds.beginning:
        return f"{bounds.beginning - stored} events gone by retention"
    if bounds.readable < bounds.end:
        return (
            f"open transaction from offset {bounds.readable} on: read_committed waits there for it"
        )
    return ""


def _target(to: str, bounds: Bounds) -> int:
    if to == "beginning":
        return bounds.beginning
    if to == "end":
        return bounds.end
    if to.isdecimal() and bounds.beginning <= int(to) <= bounds.end:
        return int(to)
    raise click.BadParameter(
        f"--to must be beginning, end or an offset from {bounds.beginning} to {bounds.end}, "
        f"or a time: {TIMES}"
    )


def _moment(to: str) -> int | None:
    """The time as milliseconds since 1970, rounded up; None where it is none."""
    if to.isdecimal():
        return None
    try:
        return -((_EPOCH - parse(to)) // timedelta(milliseconds=1))
    except ValueError:
        return None


def _since(found: int | None, bounds: Bounds) -> tuple[int, str]:
    return (bounds.end, " (no event since then)") if found is None else (found, "")
