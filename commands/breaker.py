"""`faust -A app breaker` shows which partitions are paused and why, and resumes them."""

from typing import Any

import click
import faust
from faust.cli import argument, option

from commands.outcome import or_exit
from commands.output import FORMS, Column, Form, Line, print_listing
from commands.registry import Tools, needs
from config.load import DATABASE
from db.breakers import BreakerStore, OpenBreaker
from pipeline.partition import Partition

NONE_OPEN = "No circuit breaker is open."


@needs(DATABASE)
def breaker(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    topic = tools.topic
    store = BreakerStore(tools.engine, tools.group)

    @app.command(
        argument("action", type=click.Choice(["show", "close"])),
        option("--partition", "partitions", multiple=True, type=int, help="Only these."),
        *FORMS,
        name="breaker",
    )
    async def breaker(self: Any, action: str, partitions: tuple[int, ...], form: Form) -> None:
        """Show the partitions paused by the circuit breaker, or resume them.

        This command only uses the database: the worker that paused a partition sees the request
        there within seconds. A killed worker may leave an entry until another worker gets the
        partition.
        """
        with or_exit():
            if action == "close" and form:
                raise click.UsageError("--json and --csv are for `show`.")
            found = [one for one in store.find() if one.partition.topic == topic]
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
                self.say(f"{one.partition}: close requested; reading resumes within seconds.")
            if not found:
                self.say(NONE_OPEN)


COLUMNS = tuple(map(Column, ["topic", "partition", "opened", "close_requested", "reason"]))
SHOWN = (
    Column("place", "partition"),
    Column("opened", "open since (UTC)"),
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
        "close_requested": one.close_requested,
        "reason": one.reason,
    }
