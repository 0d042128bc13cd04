"""Apache Kafka, the newest and older ones, on the installed Java."""

import math
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import ClassVar, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import NewPartitions, NewTopic

from dev import LOCAL, ROOT
from dev.servers.broker import DEFAULT_PARTITIONS, Broker
from dev.servers.processes import Process, StartError, free_port, listens
from dev.servers.zookeeper import ZooKeeper

#: Where set-up puts the newest.
JARS = LOCAL / "kafka" / "libs"
#: Without them the older versions write nothing of what goes wrong.
_LOG_SETTINGS = ROOT / "dev" / "servers" / "log4j.properties"
#: Seconds after which ZooKeeper has given up a killed broker's session of 1.5 s.
_SESSION_OVER = 4.0


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


def _wait(futures: dict[str, Future[None]]) -> None:
    for future in futures.values():
        future.result(20)
