"""`faust -A app breaker` shows which partitions are paused and why, resumes or pauses them."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
import faust
from faust.cli import argument, option

from commands.outcome import or_exit
from commands.output import FORMS, Column, Form, Line, print_listing
from commands.registry import Tools, needs
from config.load import DATABASE
from db.breakers import BY_A_PERSON, BreakerStore, OpenBreaker
from pipeline.partition import Partition

NONE_OPEN = "No circuit breaker is open."


@needs(DATABASE)
def breaker(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    topic = tools.topic
    store = BreakerStore(tools.engine, tools.group)

    @app.command(
        argument("action", type=click.Choice(["show", "close", "open"])),
        option("--partition", "partitions", multiple=True, type=int, help="Only these."),
        *FORMS,
        name="breaker",
    )
    async def breaker(self: Any, action: str, partitions: tuple[int, ...], form: Form) -> None:
        """Show the partitions paused by the circuit breaker, resume or pause them.

        A paused partition lets a window of events through after a pause, and flows again if these
        are good. `close` makes such an attempt at once, with ten windows. `open` pauses a partition
        until `close`: nothing is let through before.

        This command only uses the database: workers see a request there within ten seconds.
        """
        with or_exit():
            if action != "show" and form:
                raise click.UsageError("--json and --csv are for `show`.")
            found = [one for one in store.find() if one.partition.topic == topic]
            if action == "open":
                for line_ in _open(store, found, [Partition(topic, one) for one in partitions]):
                    self.say(line_)
                return
            wanted = [one for one in found if not partitions or one.partition.number in partitions]
            if action == "show":
                lines = [line(one) for one in wanted]
                print_listing(form, COLUMNS if form else SHOWN, lines, none=NONE_OPEN)
                return
            store.request_close([one.partition for one in wanted])
            named = {Partition(topic, number) for number in partitions}
            for partition in sorted(named - {one.partition for one in found}):
                self.say(f"{partition} is not paused.")
            for one in wanted:
                self.say(f"{one.partition}: close requested; its worker reads within ten seconds.")
            if not found:
                self.say(NONE_OPEN)


def _open(
    store: BreakerStore, found: Sequence[OpenBreaker], wanted: Sequence[Partition]
) -> Iterator[str]:
    if not wanted:
        raise click.UsageError("name the partitions to pause, such as `--partition 3`.")
    before = {one.partition: one for one in found}
    for partition in wanted:
        known = before.get(partition)
        if known and known.is_by_a_person:
            yield f"{partition} is paused already."
            continue
        reason = f"{BY_A_PERSON}; before that: {known.reason}" if known else BY_A_PERSON
        store.open(partition, reason, known.age if known else 0.0)
        yield (
            f"{partition}: pause requested, until `faust -A app breaker close --partition "
            f"{partition.number}`; its worker pauses it within ten seconds."
        )


COLUMNS = tuple(
    map(Column, ["topic", "partition", "opened", "next_attempt", "close_requested", "reason"])
)
SHOWN = (
    Column("place", "partition"),
    Column("opened", "open since (UTC)"),
    Column("next_attempt", "next attempt (UTC)"),
    Column("close_requested", "close requested (UTC)"),
    Column("reason"),
)


def line(one: OpenBreaker) -> Line:
    """An open breaker, by column."""
    return {
        "place": str(one.partition),
        "topic": one.partition.topic,
        "partition": one.partition.number,
        "opened": one.opened,
        "next_attempt": one.next_attempt,
        "close_requested": one.close_requested,
        "reason": one.reason,
    }
