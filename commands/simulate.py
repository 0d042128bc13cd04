"""`faust -A app simulate` sends a flash sale's traffic to the topic."""

import time
from typing import Any

import click
import faust
from aiokafka.errors import KafkaError
from faust.cli import option

from commands.confirm import confirm
from commands.outcome import hush_kafka, or_exit
from commands.registry import Tools, needs
from commands.traffic import PREFIX
from config.load import KAFKA
from db.schema.sales_tables import flash_sale_events
from db.schema.tables import dead_letters
from pipeline.errors import FatalError


@needs(KAFKA)
def simulate(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    settings, cluster, topic = tools.settings, tools.cluster, tools.topic

    @app.command(
        option(
            "--rate", type=click.FloatRange(0.1, 1e6), default=1000.0, help="Events per second."
        ),
        option("--seconds", type=click.FloatRange(0.1), default=60.0, help="Duration."),
        option("--bad", type=click.FloatRange(0, 1), default=0.05, help="Share of broken events."),
        option("--seed", type=int, default=1, help="The same seed gives the same events."),
        option("--yes", is_flag=True, help="Do not ask for confirmation."),
        name="simulate",
    )
    async def simulate(
        self: Any, rate: float, seconds: float, bad: float, seed: int, yes: bool
    ) -> None:
        """Send events of simulated shoppers, who view, fill carts and buy.

        Some fields are missing or odd, some events are late or broken. A rush peaks in the middle
        of the first half. Needs only Kafka. Asks first if the topic has other events, and at the
        end says how to remove simulated ones.
        """
        hush_kafka()
        # Imported here, as in other commands, because a worker does not need it.
        from commands.traffic.others import find_others, find_topic
        from commands.traffic.simulator import events, send

        total = round(rate * seconds)
        with or_exit():
            bounds = await find_topic(cluster, topic)
            others = None if yes else await find_others(cluster, bounds, settings.isolation_level)
            if others:
                confirm(
                    f"The topic {topic} has about {others.events} events, not all of them "
                    f"simulated: see {others.position}.",
                    f"Send {total} simulated events, which its workers will store with the others?",
                    yes,
                )
            begun = time.monotonic()
            try:
                sent = await send(
                    cluster.addresses,
                    topic,
                    events(seed, bad=bad),
                    rate=rate,
                    wave=seconds,
                    total=total,
                    options=cluster.options,
                )
            except (KafkaError, OSError) as error:
                addresses = ", ".join(cluster.addresses)
                raise FatalError(
                    f"Kafka at {addresses} did not accept all events ({type(error).__name__}): "
                    f"check that it runs, has the topic {topic!r} and lets this account "
                    f"write, or change KAFKA_URL or TOPIC."
                ) from error
        took = time.monotonic() - begun
        self.say(f"{sent} events sent to {topic} in {took:.1f} s.")
        self.say(_REMOVAL)


#: A simulated event's id is also its key, which dead letters keep.
_REMOVAL = f"""\
To remove simulated events, once they are stored:
  rows          DELETE FROM {flash_sale_events.name} WHERE event_id LIKE '{PREFIX}-%';
  dead letters  DELETE FROM {dead_letters.name} WHERE kafka_key LIKE '{PREFIX}-%';
  sales sums    faust -A app rollup rebuild
The events stay in Kafka until its retention removes them."""  # noqa: S608 - shown, never run
