"""`faust -A app breaker`: which partitions are held and why, and the way to let them go on."""

from typing import Any

import click
import faust
from faust.cli import argument, option

from commands.outcome import or_exit
from db.breakers import BreakerStore, OpenBreaker
from models.printable import printable


def breaker(app: faust.App, topic: str, store: BreakerStore) -> None:
    """Register the command."""

    @app.command(
        argument("action", type=click.Choice(["show", "close"])),
        option("--partition", "partitions", multiple=True, type=int, help="`close`: only these."),
        name="breaker",
    )
    async def breaker(self: Any, action: str, partitions: tuple[int, ...]) -> None:
        """Show the partitions held by the circuit breaker, or ask for them to be read again.

        Only the database is asked: the worker that holds a partition sees the request there
        within seconds. A worker that was killed may leave an entry behind, until the next one
        gets the partition.
        """
        with or_exit():
            found = store.find()
            if action == "close":
                wanted = [one for one in found if not partitions or one.partition in partitions]
                store.request_close([one.partition for one in wanted])
                for partition in sorted(set(partitions) - {one.partition for one in found}):
                    self.say(f"{topic}/{partition} is not held.")
                for one in wanted:
                    place = f"{topic}/{one.partition}"
                    self.say(f"{place}: its worker is asked to go on, and does within seconds.")
            elif found:
                self.say(self.tabulate(_lines(topic, found), headers=_HEADERS))
        if not found:
            self.say("No circuit breaker is open.")


_HEADERS = ["partition", "open since (UTC)", "asked to close (UTC)", "reason"]


def _lines(topic: str, found: list[OpenBreaker]) -> list[list[str]]:
    return [
        [
            f"{topic}/{one.partition}",
            f"{one.opened:%Y-%m-%d %H:%M:%S}",
            f"{one.close_requested:%Y-%m-%d %H:%M:%S}" if one.close_requested else "",
            printable(one.reason.encode(), 200),
        ]
        for one in found
    ]
