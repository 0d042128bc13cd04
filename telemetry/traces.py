"""OpenTelemetry: a span for each batch that is stored.

Only in a worker that `opentelemetry-instrument` has started, which sets up where spans go. Faust's
own sensor is not used: it ends a span when a message is acknowledged, and none is here.
"""

import sys
from collections.abc import Callable

from pipeline.batch import Batch

_NANOSECONDS = 1_000_000_000


def write_spans() -> list[Callable[[Batch], None]]:
    """What is to be called with each committed batch: nothing where spans go nowhere."""
    # That program has imported it; without it, nothing is imported here.
    if "opentelemetry.sdk.trace" not in sys.modules:
        return []
    from opentelemetry.trace import SpanKind, get_tracer

    tracer = get_tracer("flash-sale-etl")

    def committed(batch: Batch) -> None:
        end = round(batch.written.timestamp() * _NANOSECONDS)
        span = tracer.start_span(
            "write",
            kind=SpanKind.CLIENT,
            start_time=end - round(batch.seconds * _NANOSECONDS),
            attributes={
                "batch.number": batch.number,
                "batch.events": batch.events,
                "batch.rows": batch.valid,
                "batch.duplicate": batch.duplicate,
                "batch.partitions": len(batch.offsets),
                **{f"batch.dropped.{reason}": count for reason, count in batch.dropped.items()},
            },
        )
        span.end(end)

    return [committed]
