"""A Kafka broker on this machine: Apache Kafka if Java is installed, else one from a wheel."""

import math
import os
import re
import sys
import time
import uuid
from abc import abstractmethod
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import ClassVar, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from dev import LOCAL, ROOT
from dev.servers import installed_kafka
from dev.servers.processes import Process, Server, StartError, free_port, listens
from dev.servers.zookeeper import ZooKeeper

#: Where set-up puts Apache Kafka.
JARS = LOCAL / "kafka" / "libs"
DEFAULT_PARTITIONS = 4
#: Without them the older versions write nothing of what goes wrong.
_LOG_SETTINGS = ROOT / "dev" / "servers" / "log4j.properties"


class Broker(Server):
    """The interface of both brokers.

    Args:
        folder: for its files; created if missing.
    """

    kind: ClassVar[str]
    #: Whether it comes back at its address, with its topics, after ``stop`` or ``kill``.
    can_restart: ClassVar[bool]
    #: Whether topics have to be created, and can be deleted and given more partitions.
    has_admin: ClassVar[bool]
    #: Whether it tells who is in a consumer group, and which offset a moment has.
    answers_all: ClassVar[bool]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    @abstractmethod
    def bootstrap(self) -> str:
        """Its address, ``127.0.0.1:port``."""

    @property
    def url(self) -> str:
        """Its address as ``KAFKA_URL`` has it."""
        return f"kafka://{self.bootstrap}"

    @abstractmethod
    def create_topic(self, name: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Create a topic; returns when it can be used.

        Raises:
            NotImplementedError: this broker cannot.
            KafkaException: the broker refused.
        """

    def add_partitions(self, topic: str, total: int) -> None:
        """Give a topic more partitions, ``total`` in all.

        Raises:
            NotImplementedError: this broker cannot.
        """
        raise NotImplementedError(f"the {self.kind} broker cannot add partitions")

    def delete_topic(self, name: str) -> None:
        """Delete a topic and what it holds.

        Raises:
            NotImplementedError: this broker cannot.
        """
        raise NotImplementedError(f"the {self.kind} broker cannot delete topics")

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})


class EmbeddedBroker(Broker):
    """librdkafka's mock cluster in a separate process; it stores everything in memory.

    It uses the real protocol, including groups and commits. Topics are created on first use with
    four partitions, each of which stores its newest 5 MB.
    """

    kind = "embedded"
    can_restart = False
    has_admin = False
    answers_all = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._bootstrap = ""

    @property
    def bootstrap(self) -> str:
        return self._bootstrap

    def start(self) -> Self:
        """Start it and wait until it has an address.

        Raises:
            StartError: it has none after 20 s.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "broker.log"
        log.unlink(missing_ok=True)
        process = Process([sys.executable, "-m", "dev.servers.embedded_broker"], log, cwd=ROOT)
        self._process = process
        address = re.compile(r"^listens on (\S+)\n", re.MULTILINE)
        process.wait_for(lambda: bool(address.search(process.log_text())), 20, "the broker")
        found = address.search(process.log_text())
        assert found
        self._bootstrap = found[1]
        return self

    def create_topic(self, name: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        if partitions != DEFAULT_PARTITIONS:
            raise NotImplementedError(f"the embedded broker makes {DEFAULT_PARTITIONS} partitions")
        self._admin().list_topics(name, timeout=10)


class ApacheKafka(Broker):
    """Apache Kafka, one node in KRaft mode, on the installed Java.

    Args:
        folder: its data, settings and log; they outlive ``stop`` and ``kill``.
        port: TCP port on 127.0.0.1; None for a free one.
    """

    kind = "apache"
    can_restart = True
    has_admin = True
    answers_all = True
    #: Its libraries.
    jars: ClassVar[Path] = JARS
    #: Starts in half the time; a test's broker does not live long enough for more.
    jvm_options: tuple[str, ...] = (
        "-Xms128m",
        "-Xmx512m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
    )

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder)
        self.port = port or free_port()
        self._controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it on its port and wait until it answers; create its data the first time.

        Raises:
            StartError: it did not come up within 60 s.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "server.properties"
        settings.write_text(self._settings())
        log = self.folder / "kafka.log"
        if not (self.folder / "data").exists():
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            self._format(settings, cluster, log)
        self._process = Process([*self._java(), "kafka.Kafka", settings], log, cwd=self.folder)
        self._process.wait_for(self._answers, 60, "Apache Kafka")
        return self

    def create_topic(self, name: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        admin = self._admin()
        _wait(admin.create_topics([NewTopic(name, partitions, 1)]))

    def add_partitions(self, topic: str, total: int) -> None:
        admin = self._admin()
        _wait(admin.create_partitions([NewPartitions(topic, total)]))

    def delete_topic(self, name: str) -> None:
        admin = self._admin()
        _wait(admin.delete_topics([name]))

    def _java(self) -> list[str | Path]:
        return ["java", *self.jvm_options, "-cp", f"{self.jars}/*"]

    def _format(self, settings: Path, cluster: str, log: Path) -> None:
        command = [*self._java(), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"]
        process = Process([*command, "--config", settings], log, cwd=self.folder)
        if process.wait(60):
            raise StartError(f"Apache Kafka's data folder could not be made:\n{process.log_text()}")

    def _listeners(self, more: Mapping[str, int]) -> str:
        """The setting that has its own listeners and more, by name and port."""
        ports = {"PLAINTEXT": self.port, "CONTROLLER": self._controller_port, **more}
        return "listeners=" + ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())

    def _settings(self) -> str:
        controller = f"127.0.0.1:{self._controller_port}"
        return "\n".join(
            [
                "process.roles=broker,controller",
                "node.id=1",
                f"controller.quorum.voters=1@{controller}",
                self._listeners({}),
                "controller.listener.names=CONTROLLER",
                f"log.dirs={self.folder / 'data'}",
                "auto.create.topics.enable=false",
                "offsets.topic.replication.factor=1",
                "offsets.topic.num.partitions=1",
                "transaction.state.log.replication.factor=1",
                "transaction.state.log.min.isr=1",
                "transaction.state.log.num.partitions=1",
                # A group of one need not wait for others to join.
                "group.initial.rebalance.delay.ms=0",
                # Tests kill workers and do not want to wait for the group to notice.
                "group.min.session.timeout.ms=1000",
                # A killed broker may register again as soon as its old session is over.
                "broker.heartbeat.interval.ms=300",
                "broker.session.timeout.ms=1500",
                "log.segment.delete.delay.ms=1000",
                # Compaction looks for work twice a second.
                "log.cleaner.backoff.ms=500",
                "",
            ]
        )

    def _answers(self) -> bool:
        if not listens(self.port):
            return False
        try:
            self._admin().list_topics(timeout=2)
        except KafkaException:
            return False
        return True


#: Seconds after which ZooKeeper has given up a killed broker's session of 1.5 s.
_SESSION_OVER = 4.0


class Kafka39(ApacheKafka):
    """The last of Apache Kafka 3, set up as the newest is."""

    kind = "apache-3.9"
    jars = LOCAL / "kafka-3.9" / "libs"
    jvm_options = (*ApacheKafka.jvm_options, f"-Dlog4j.configuration=file:{_LOG_SETTINGS}")


class Kafka28(Kafka39):
    """Apache Kafka 2.8, with ZooKeeper; that outlives ``kill``, and ends with ``stop``."""

    kind = "apache-2.8"
    jars = LOCAL / "kafka-2.8" / "libs"
    #: What later versions have in ZooKeeper's place.
    _of_kraft = ("process.roles", "node.id", "controller.", "broker.", "listeners")

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self._zookeeper = ZooKeeper(folder / "zookeeper", self._java())
        self._killed = -math.inf

    def start(self) -> Self:
        if self._zookeeper.pid is None:
            self._zookeeper.start()
        # A broker whose old session still lives ends with "node already exists".
        time.sleep(max(0.0, self._killed + _SESSION_OVER - time.monotonic()))
        return super().start()

    def kill(self) -> None:
        super().kill()
        self._killed = time.monotonic()

    def stop(self) -> None:
        super().stop()
        self._zookeeper.stop()

    def _format(self, settings: Path, cluster: str, log: Path) -> None:
        """Its data folder is made when it starts."""

    def _settings(self) -> str:
        lines = super()._settings().splitlines()
        return "\n".join(
            [
                *(line for line in lines if not line.startswith(self._of_kraft)),
                "broker.id=1",
                f"listeners=PLAINTEXT://{self.bootstrap}",
                f"zookeeper.connect=127.0.0.1:{self._zookeeper.port}",
                "zookeeper.session.timeout.ms=1500",
                "",
            ]
        )


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


def _wait(futures: dict[str, Future[None]]) -> None:
    for future in futures.values():
        future.result(20)
