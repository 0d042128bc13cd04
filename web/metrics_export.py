"""Metrics that are computed when scraped, and the build information."""

from platform import python_version
from time import time

import faust

from config.settings import Settings
from config.version import VERSION
from db.schema import version
from pipeline import metrics
from pipeline.flush.buffer import Buffer
from pipeline.memory import Memory
from pipeline.stream import Stream
from web.health import Health


def export(
    buffer: Buffer,
    memory: Memory,
    health: Health,
    settings: Settings,
    stream: Stream,
) -> None:
    """Connect the metrics with their sources.

    Args:
        buffer: events waiting to be written.
        memory: all events in memory.
        health: whether the worker is ready.
        settings: of the worker.
        stream: what makes its rows.
    """

    def age() -> float:
        oldest = buffer.oldest_timestamp
        return max(0.0, time() - oldest / 1000) if oldest else 0.0

    metrics.BUFFERED_EVENTS.set_function(lambda: memory.events)
    metrics.BUFFERED_BYTES.set_function(lambda: memory.bytes)
    metrics.BUFFERED_AGE.set_function(age)
    metrics.KAFKA_ANSWER_AGE.set_function(lambda: health.ends.age)
    metrics.READY.set_function(lambda: health.ready() is None)
    metrics.BUILD.info(
        {
            "version": VERSION,
            "schema": version.VERSION,
            "python": python_version(),
            "faust": str(faust.__version__),
            "rows": "compiled" if stream.whole_rows else "python",
        }
    )
    metrics.SETTINGS.info(settings.shown)
