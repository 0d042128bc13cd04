"""`faust -A app dead-letters`: look at what was dropped, store it after all, or purge it."""

from datetime import UTC, datetime
from typing import Any

import click
import faust
from faust.cli import argument, option
from sqlalchemy import Row

from commands.outcome import or_exit
from db.dead_letters import DeadLetters, Filter, is_cut
from models.printable import printable
from models.rules import Reason

_REASONS = [reason.value for reason in Reason]


def dead_letters(app: faust.App, letters: DeadLetters) -> None:
    """Register the command."""

    @app.command(
        argument("action", type=click.Choice(["list", "show", "replay", "purge"])),
        argument("ids", nargs=-1, type=int),
        option(
            "--reason",
            type=click.Choice([reason.value for reason in Reason]),
            help="Only those of this reason.",
        ),
        option("--topic", help="Only those of this topic."),
        option("--since", type=click.DateTime(), help="Only those written at or after (UTC)."),
        option("--until", type=click.DateTime(), help="Only those written before (UTC)."),
        option("--limit", type=click.IntRange(1), default=20, help="How many `list` shows."),
        option("--dry-run", is_flag=True, help="Say what would happen, and change nothing."),
        name="dead-letters",
    )
    async def dead_letters(
        self: Any,
        action: str,
        ids: tuple[int, ...],
        reason: str | None,
        topic: str | None,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        dry_run: bool,
    ) -> None:
        """List, show, replay or purge dropped events, all or those of the IDS given."""
        wanted = Filter(ids, reason, topic, _utc(since), _utc(until))
        with or_exit():
            if action == "list":
                found = letters.find(wanted, limit, max_bytes=_LISTED_BYTES)
                self.say(self.tabulate(_lines(found), headers=_HEADERS))
                self.say(f"{letters.count(wanted)} in all.")
            elif action == "show":
                for letter in letters.find(wanted, limit):
                    self.say(_whole(letter))
            elif action == "replay":
                would = "would be " if dry_run else ""
                done = letters.replay(wanted, dry_run=dry_run)
                for number in done.known:
                    self.say(f"{number}: stored already, {would}left out")
                for number, why in done.refused.items():
                    self.say(f"{number}: {would}refused again: {why}")
                known = f"{len(done.known)} stored already, " if done.known else ""
                self.say(
                    f"{done.stored} {would}stored as rows, {known}"
                    f"{len(done.refused)} {would}refused again."
                )
            else:
                gone = letters.purge(wanted, dry_run=dry_run)
                self.say(f"{gone} {'would be ' if dry_run else ''}deleted.")


#: Bytes of a value that a line of the list needs at most.
_LISTED_BYTES = 200
_HEADERS = ["id", "written (UTC)", "reason", "position", "why", "value", "replayed"]


def _lines(found: Any) -> list[list[str]]:
    return [
        [
            str(letter.id),
            f"{letter.created_at:%Y-%m-%d %H:%M:%S}",
            letter.reason,
            _position(letter),
            printable(letter.detail.encode(), 50),
            printable(letter.value, 40),
            f"{letter.replayed_at:%Y-%m-%d %H:%M:%S}" if letter.replayed_at else "",
        ]
        for letter in found
    ]


def _whole(letter: Row[Any]) -> str:
    return (
        f"dead letter {letter.id} at {_position(letter)}\n"
        f"  written   {letter.created_at} UTC"
        f"{f', replayed {letter.replayed_at} UTC' if letter.replayed_at else ''}\n"
        f"  sent      {letter.kafka_ts} UTC\n"
        f"  reason    {letter.reason}: {printable(letter.detail.encode())}\n"
        f"  key       {printable(letter.kafka_key)}\n"
        f"  value     {printable(letter.value)}\n{_cut(letter)}"
    )


def _cut(letter: Row[Any]) -> str:
    if not is_cut(letter):
        return ""
    return (
        f"            value cut at {len(letter.value)} of {letter.value_bytes} bytes, "
        f"SHA-256 {letter.value_sha256.hex()}\n"
    )


def _position(letter: Row[Any]) -> str:
    return f"{letter.kafka_topic}/{letter.kafka_partition}/{letter.kafka_offset}"


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)
