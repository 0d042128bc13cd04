"""Checks whether Kafka has what a worker needs. Joins and commits nothing."""

from datetime import UTC, datetime, timedelta

from checks.result import CheckResults
from config import tls
from config.settings import Settings
from pipeline.errors import FatalError
from source import codecs
from source.connectivity import STEPS, reach
from source.log_reader import Bounds
from source.permissions import may_join, may_read
from source.topics import topic_bounds

#: How long before its expiry a client certificate causes a warning.
_RENEWAL = timedelta(days=30)


async def check_kafka(settings: Settings, results: CheckResults) -> dict[int, Bounds]:
    """Check connection, topic and rights; return the bounds of the topic's logs."""
    if not await _connection(settings, results):
        return {}
    _client_certificate(settings, results)
    _codecs(results)
    bounds: dict[int, Bounds] = {}
    with results.about("Topic"):
        bounds = await topic_bounds(settings)
        held = sum(found.end - found.beginning for found in bounds.values())
        results.ok(
            "Topic", f"{settings.topic} has {len(bounds)} partitions and {held} offsets in the log"
        )
    if bounds:
        with results.about("Topic rights"):
            await may_read(settings, min(bounds))
            results.ok("Topic rights", f"{settings.topic} may be read")
    with results.about("Group rights"):
        await may_join(settings)
        results.ok("Group rights", f"{settings.consumer_group} may be joined")
    return bounds


def _codecs(results: CheckResults) -> None:
    missing = codecs.unavailable()
    readable = ", ".join(name for name in codecs.NAMES.values() if name not in missing)
    if missing:
        results.warn(
            "Codecs",
            f"only {readable} can be read, not {', '.join(missing)}",
            "pip install cramjam",
        )
    else:
        results.ok("Codecs", f"{readable} can be read")


async def _connection(settings: Settings, results: CheckResults) -> bool:
    seen: dict[str, str] = {}
    try:
        await reach(settings, seen.__setitem__)
    except FatalError:
        for step in STEPS[: len(seen)]:
            results.ok(f"Kafka {step}", seen[step])
        with results.about(f"Kafka {STEPS[len(seen)]}"):
            raise
        return False
    for step in STEPS:
        results.ok(f"Kafka {step}", seen[step])
    return True


def _client_certificate(settings: Settings, results: CheckResults) -> None:
    if settings.kafka_client_cert:
        until = tls.expiry(settings.kafka_client_cert)
        found = f"KAFKA_CLIENT_CERT is valid until {until:%Y-%m-%d}"
        if until - datetime.now(UTC) < _RENEWAL:
            results.warn("Kafka client certificate", found, "renew it before that day")
        else:
            results.ok("Kafka client certificate", found)
