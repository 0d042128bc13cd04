"""Checks whether Kafka has what a worker needs. Joins and commits nothing."""

from datetime import UTC, datetime, timedelta

from checks.result import CheckResults
from config import tls
from pipeline.errors import FatalError
from pipeline.partition import Partition
from source.cluster.auth import Cluster
from source.cluster.connectivity import STEPS, reach
from source.cluster.patient import patient
from source.cluster.permissions import may_join, may_read
from source.cluster.topics import topic_bounds
from source.log_reader import Bounds
from source.records import codecs

#: How long before expiry a client certificate causes a warning.
_RENEWAL = timedelta(days=30)


async def check_kafka(
    cluster: Cluster, topic: str, group: str, results: CheckResults
) -> dict[Partition, Bounds]:
    """Check connection, topic and rights; return the bounds of the topic's logs."""
    if not await _connection(cluster, results):
        return {}
    _client_certificate(cluster, results)
    _codecs(results)
    bounds: dict[Partition, Bounds] = {}
    with results.about("Topic"):
        bounds = await topic_bounds(cluster, topic)
        held = sum(found.end - found.beginning for found in bounds.values())
        results.ok("Topic", f"{topic} has {len(bounds)} partitions and {held} offsets in the log")
    if bounds:
        with results.about("Topic rights"):
            await may_read(cluster, min(bounds))
            results.ok("Topic rights", f"{topic} may be read")
    with results.about("Group rights"):
        await may_join(cluster, group)
        results.ok("Group rights", f"{group} may be joined")
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


async def _connection(cluster: Cluster, results: CheckResults) -> bool:
    seen: dict[str, str] = {}
    try:
        await patient(reach)(cluster, seen.__setitem__)
    except FatalError:
        for step in STEPS[: len(seen)]:
            results.ok(f"Kafka {step}", seen[step])
        with results.about(f"Kafka {STEPS[len(seen)]}"):
            raise
        return False
    for step in STEPS:
        results.ok(f"Kafka {step}", seen[step])
    return True


def _client_certificate(cluster: Cluster, results: CheckResults) -> None:
    if cluster.certificate:
        until = tls.expiry(cluster.certificate)
        found = f"KAFKA_CLIENT_CERT is valid until {until:%Y-%m-%d}"
        if until - datetime.now(UTC) < _RENEWAL:
            results.warn("Kafka client certificate", found, "renew it before that day")
        else:
            results.ok("Kafka client certificate", found)
