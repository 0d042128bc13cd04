"""Does Kafka have what a worker needs, and may it use that. Nothing is joined or committed."""

from datetime import UTC, datetime, timedelta

import tls
from checks.finding import Findings
from checks.link import STEPS, reach
from checks.rights import may_join, may_read
from config import Settings
from pipeline.errors import FatalError
from preflight import topic_bounds
from source import codecs
from source.log_reader import Bounds

#: How long before its end a client certificate is spoken of.
_RENEWAL = timedelta(days=30)


async def look_at_kafka(settings: Settings, findings: Findings) -> dict[int, Bounds]:
    """Look at the way there, the topic and the rights; answer the bounds of the topic's logs."""
    if not await _way(settings, findings):
        return {}
    _client_certificate(settings, findings)
    _codecs(findings)
    bounds: dict[int, Bounds] = {}
    with findings.about("Topic"):
        bounds = await topic_bounds(settings)
        held = sum(found.end - found.beginning for found in bounds.values())
        findings.ok(
            "Topic", f"{settings.topic} has {len(bounds)} partitions, {held} offsets in the log"
        )
    if bounds:
        with findings.about("Topic rights"):
            await may_read(settings, min(bounds))
            findings.ok("Topic rights", f"{settings.topic} may be read")
    with findings.about("Group rights"):
        await may_join(settings)
        findings.ok("Group rights", f"{settings.consumer_group} may be joined")
    return bounds


def _codecs(findings: Findings) -> None:
    missing = codecs.unavailable()
    readable = ", ".join(name for name in codecs.NAMES.values() if name not in missing)
    if missing:
        findings.warn(
            "Codecs",
            f"only {readable} can be read, not {', '.join(missing)}",
            "pip install cramjam",
        )
    else:
        findings.ok("Codecs", f"{readable} can be read")


async def _way(settings: Settings, findings: Findings) -> bool:
    seen: dict[str, str] = {}
    try:
        await reach(settings, seen.__setitem__)
    except FatalError:
        for step in STEPS[: len(seen)]:
            findings.ok(f"Kafka {step}", seen[step])
        with findings.about(f"Kafka {STEPS[len(seen)]}"):
            raise
        return False
    for step in STEPS:
        findings.ok(f"Kafka {step}", seen[step])
    return True


def _client_certificate(settings: Settings, findings: Findings) -> None:
    if settings.kafka_client_cert:
        until = tls.expiry(settings.kafka_client_cert)
        found = f"KAFKA_CLIENT_CERT is valid until {until:%Y-%m-%d}"
        if until - datetime.now(UTC) < _RENEWAL:
            findings.warn("Kafka client certificate", found, "renew it before that day")
        else:
            findings.ok("Kafka client certificate", found)
