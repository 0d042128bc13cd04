"""Which broker tests, demo and benchmarks run on: Apache Kafka if Java is installed."""

import os

from dev import LOCAL
from dev.servers import installed_kafka
from dev.servers.apache_kafka import ApacheKafka, Kafka28, Kafka39
from dev.servers.broker import Broker, EmbeddedBroker
from dev.servers.processes import StartError

#: By what the variable ``BROKER`` calls them.
KINDS: dict[str, type[Broker]] = {
    one.kind: one for one in (ApacheKafka, Kafka39, Kafka28, EmbeddedBroker)
}


def choose() -> tuple[type[Broker], str]:
    """The broker to test with, and a sentence that says which and why.

    Variable ``BROKER`` (one of ``KINDS``) decides; the default depends on what is installed.

    Raises:
        StartError: ``BROKER`` names an unknown or missing broker.
    """
    wanted = os.environ.get("BROKER", "")
    if wanted and wanted not in KINDS:
        raise StartError(f"BROKER is {wanted!r}: it may be {', '.join(KINDS)}.")
    kind = KINDS[wanted or ApacheKafka.kind]
    if not issubclass(kind, ApacheKafka):
        return kind, "Broker: embedded (librdkafka's mock cluster), as BROKER says."
    missing = missing_for(kind)
    if missing and wanted:
        raise StartError(f"BROKER={wanted}, but {missing}.")
    if missing:
        why = f"because {missing}"
        return EmbeddedBroker, f"Broker: embedded (librdkafka's mock cluster), {why}."
    why = "as BROKER says" if wanted else "because it is installed"
    return kind, f"Broker: Apache Kafka {installed_kafka.version(kind.jars)}, {why}."


def missing_for(kind: type[ApacheKafka]) -> str:
    """What keeps a kind of Apache Kafka from running here; empty if nothing does."""
    if why := installed_kafka.no_java():
        return why
    if installed_kafka.version(kind.jars):
        return ""
    if kind is ApacheKafka:
        return "set-up could not fetch Apache Kafka (it needs Maven and the network)"
    log = LOCAL / f"{kind.jars.parent.name}.log"
    if log.exists():
        return f"it could not be fetched (see {log})"
    return f"it is not here: run `dev/setup/fetch_kafka.sh {kind.kind}`"
