"""Turns off timers of Faust's that nothing here needs: each wakes an idle worker every second.

With them an idle worker takes twice the processor time. Written against faust-streaming 0.15.3 and
mode-streaming 0.7.1; what is replaced is listed in `source/transport.py`, as ``OVERRIDDEN``.
"""

from faust.sensors import Monitor
from faust.transport.drivers import aiokafka as driver
from mode import Service

#: Seconds between wake-ups of the consumer's thread while nothing happens.
_KEEPALIVE = 5.0


class QuietThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, which is woken by what happens."""

    @Service.task
    async def _thread_keepalive(self) -> None:
        # Calls wake the loop. This is for a flag that another thread may set without waking it.
        while not self.should_stop:
            await self.sleep(_KEEPALIVE)

    async def _keepalive2(self) -> None:
        """Nothing: mode's only logs that the thread is late, which readiness shows."""


class QuietMonitor(Monitor):
    """Faust's monitor without its averages of the last second, which no page shows."""

    @Service.task
    async def _sampler(self) -> None:
        """Nothing: the metrics are those of `pipeline.metrics`."""
