"""A Kafka broker on this machine: Apache Kafka if Java is installed, else one from a wheel."""

import os
import re
import shutil
import subprocess
import sys
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
from dev.servers.processes import Process, Server, StartError, free_port, listens

#: Where set-up puts Apache Kafka.
JARS = LOCAL / "kafka" / "libs"
OLDEST_JAVA = 17
DEFAULT_PARTITIONS = 4


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
        return ["java", *self.jvm_options, "-cp", f"{JARS}/*"]

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


def choose() -> tuple[type[Broker], str]:
    """The broker to test with, and a sentence that says which and why.

    Variable ``BROKER`` (``apache`` or ``embedded``) decides; the default depends on what is
    installed.

    Raises:
        StartError: ``BROKER`` names an unknown or missing broker.
    """
    wanted = os.environ.get("BROKER", "")
    missing = _missing_for_apache()
    if wanted not in ("", ApacheKafka.kind, EmbeddedBroker.kind):
        raise StartError(f"BROKER is {wanted!r}: it may be apache or embedded.")
    if wanted == ApacheKafka.kind and missing:
        raise StartError(f"BROKER=apache, but {missing}.")
    if wanted == EmbeddedBroker.kind:
        return EmbeddedBroker, "Broker: embedded (librdkafka's mock cluster), as BROKER says."
    if missing:
        return EmbeddedBroker, f"Broker: embedded (librdkafka's mock cluster), because {missing}."
    why = "as BROKER says" if wanted else "because it is installed"
    return ApacheKafka, f"Broker: Apache Kafka {_kafka_version()}, {why}."


def _wait(futures: dict[str, Future[None]]) -> None:
    for future in futures.values():
        future.result(20)


def _missing_for_apache() -> str:
    java = shutil.which("java")
    if not java or _java_version(java) < OLDEST_JAVA:
        return f"there is no Java {OLDEST_JAVA} or newer"
    if not _kafka_version():
        return "set-up could not fetch Apache Kafka (it needs Maven and the network)"
    return ""


def _java_version(java: str) -> int:
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', output)
    return int(found[1]) if found else 0


def _kafka_version() -> str:
    """Version of the fetched Apache Kafka; empty if it was not fetched."""
    names = [path.stem for path in JARS.glob("kafka-server-[0-9]*.jar")]
    return names[0].removeprefix("kafka-server-") if names else ""
