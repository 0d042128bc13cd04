"""Faust's own timers of which nothing here needs an answer: each wakes an idle worker every second.

With them an idle worker takes twice the processor time. Written against faust-streaming 0.15.3 and
mode-streaming 0.7.1; what is replaced is listed in `source/transport.py`, as ``OVERRIDDEN``.
"""

from faust.sensors import Monitor
from faust.transport.drivers import aiokafka as driver
from mode import Service

#: Seconds after which the consumer's thread is woken though nothing has happened.
_KEEPALIVE = 5.0


class QuietThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, which is woken by what happens."""

    @Service.task
    async def _thread_keepalive(self) -> None:
        # Calls wake the loop by themselves. This is for what another thread might have set without.
        while not self.should_stop:
            await self.sleep(_KEEPALIVE)

    async def _keepalive2(self) -> None:
        """Nothing: mode's only logs that the thread is late. Readiness tells that."""


class QuietMonitor(Monitor):
    """Faust's monitor without its averages of the last second, which no page shows."""

    @Service.task
    async def _sampler(self) -> None:
        """Nothing: the metrics are those of `pipeline.metrics`."""
