"""Three brokers of Apache Kafka, of which one at a time can be away."""

import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import NewTopic

from dev.servers.broker import ApacheKafka
from dev.servers.processes import Process


class Node(ApacheKafka):
    """One of them. A broker that was killed leads its partitions for 20 s more."""

    def __init__(self, folder: Path, number: int, cluster: str) -> None:
        super().__init__(folder)
        self.number = number
        self.cluster = cluster
        self.voters = ""
        self.controller = f"127.0.0.1:{self._controller_port}"

    def launch(self) -> None:
        """Start it; nothing answers before two of them run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "server.properties"
        settings.write_text(self._settings())
        log = self.folder / "kafka.log"
        if not (self.folder / "data").exists():
            self._format(settings, self.cluster, log)
        self._process = Process([*self._java(), "kafka.Kafka", settings], log, cwd=self.folder)

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            StartError: it did not come up within 90 s.
        """
        assert self._process
        self._process.wait_for(self._answers, 90, "Apache Kafka")

    def start(self) -> Self:
        self.launch()
        self.wait()
        return self

    def _settings(self) -> str:
        changed = {
            "node.id": str(self.number),
            "controller.quorum.voters": self.voters,
            "offsets.topic.replication.factor": "3",
            "broker.heartbeat.interval.ms": "2000",
            "broker.session.timeout.ms": "20000",
        }
        lines = [line.split("=", 1) for line in super()._settings().splitlines() if line]
        return "\n".join(f"{name}={changed.get(name, value)}" for name, value in lines)


class ThreeBrokers:
    """The three, as a context manager.

    Args:
        folder: for their files.
    """

    def __init__(self, folder: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.nodes = [Node(folder / str(one), one, cluster) for one in (1, 2, 3)]
        for node in self.nodes:
            node.voters = ",".join(f"{one.number}@{one.controller}" for one in self.nodes)
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """All addresses, as ``KAFKA_URL`` has them."""
        return f"kafka://{self.bootstrap}"

    @property
    def bootstrap(self) -> str:
        """The same, as other clients have them."""
        return ",".join(node.bootstrap for node in self.nodes)

    def create_topic(self, name: str, partitions: int = 6, replicas: int = 3) -> None:
        """Create a topic that each of them has; returns when it can be used."""
        admin = self.nodes[0]._admin()
        for future in admin.create_topics([NewTopic(name, partitions, replicas)]).values():
            future.result(30)

    def leaders(self, topic: str) -> set[int]:
        """Who leads a partition, as the first of them that answers says."""
        alive = next(node for node in self.nodes if node.pid)
        found = alive._admin().list_topics(topic, timeout=10).topics[topic].partitions
        return {one.leader for one in found.values()}

    def restart_in_turn(self, meanwhile: Callable[[], object]) -> None:
        """Stop each in order and start it again, the next one when it answers.

        Args:
            meanwhile: called again and again, in this thread.
        """

        def wait(done: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 120
            while not done():
                assert time.monotonic() < deadline, "a broker did not stop or start"
                meanwhile()
                time.sleep(0.1)

        with ThreadPoolExecutor(1) as pool:
            for node in self.nodes:
                wait(pool.submit(node.stop).done)
                node.launch()
                wait(node._answers)

    def __enter__(self) -> Self:
        for node in self.nodes:
            self._stack.callback(node.kill)
            node.launch()
        for node in self.nodes:
            node.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
