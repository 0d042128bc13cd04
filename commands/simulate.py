"""`faust -A app simulate`: a flash sale's traffic into the topic."""

import time
from typing import Any

import click
import faust
from aiokafka.errors import KafkaError
from faust.cli import option

from commands.outcome import or_exit
from config.settings import Settings
from pipeline.errors import FatalError
from source.auth import client_options


def simulate(app: faust.App, settings: Settings) -> None:
    """Register the command."""

    @app.command(
        option("--rate", type=click.FloatRange(0.1, 1e6), default=1000.0, help="Events a second."),
        option("--seconds", type=click.FloatRange(0.1), default=60.0, help="How long."),
        option("--bad", type=click.FloatRange(0, 1), default=0.05, help="Share of broken events."),
        option("--seed", type=int, default=1, help="The same seed gives the same events."),
        name="simulate",
    )
    async def simulate(self: Any, rate: float, seconds: float, bad: float, seed: int) -> None:
        """Send simulated shoppers' events to the topic: they view, fill carts and buy.

        Some fields are missing or odd, some events late, some broken. In the middle of the first
        half comes a rush. Only Kafka is needed.
        """
        # Imported here, as in other commands: a worker has no use for it.
        from commands.traffic.simulator import events, send

        begun = time.monotonic()
        with or_exit():
            try:
                sent = await send(
                    settings.broker_addresses,
                    settings.topic,
                    events(seed, bad=bad),
                    rate=rate,
                    wave=seconds,
                    total=round(rate * seconds),
                    options=client_options(settings),
                )
            except (KafkaError, OSError) as error:
                addresses = ", ".join(settings.broker_addresses)
                raise FatalError(
                    f"Kafka at {addresses} took not all events ({type(error).__name__}): see that "
                    f"it runs, has the topic {settings.topic!r} and lets this account write, or "
                    f"change KAFKA_URL or TOPIC."
                ) from error
        took = time.monotonic() - begun
        self.say(f"{sent} events sent to {settings.topic} in {took:.1f} s.")
