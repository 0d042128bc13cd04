"""A Kafka broker on this machine, and the one that comes with a wheel."""

import re
import sys
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from confluent_kafka.admin import AdminClient

from dev import ROOT
from dev.servers.processes import Process, Server

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
