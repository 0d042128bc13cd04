"""Three brokers of Apache Kafka, some of which can be away."""

import asyncio
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest
from confluent_kafka import ElectionType, TopicPartition
from confluent_kafka.admin import NewTopic

from dev.servers.apache_kafka import ApacheKafka
from dev.servers.broker import Broker
from dev.servers.processes import Process
from tests.helpers.worker import wait_until


class Node(ApacheKafka):
    """One of them.

    ``voters``: the controllers, as ``controller.quorum.voters`` has them.
    """

    def __init__(
        self, folder: Path, number: int, cluster: str, *, is_controller: bool, session: float
    ) -> None:
        super().__init__(folder)
        self.number = number
        self.cluster = cluster
        self.is_controller = is_controller
        self.voters = ""
        self._session = session
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
        usual = (line.split("=", 1) for line in super()._settings().splitlines() if line)
        changed = {
            "node.id": str(self.number),
            "controller.quorum.voters": self.voters,
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "broker.heartbeat.interval.ms": f"{self._session * 100:.0f}",
            "broker.session.timeout.ms": f"{self._session * 1000:.0f}",
        }
        if not self.is_controller:
            changed["process.roles"] = "broker"
            changed["listeners"] = f"PLAINTEXT://{self.bootstrap}"
        settings = {**{one[0]: one[1] for one in usual}, **changed}
        return "\n".join(f"{name}={value}" for name, value in settings.items())


class ThreeBrokers(Broker):
    """The three; what is done to it is done to each of them.

    Args:
        folder: for their files.
        controllers: which of 1, 2, 3 are controllers as well; without most of these no partition
            gets another leader.
        session: seconds for which a broker that was killed leads its partitions.
    """

    kind = "three"
    can_restart = True
    has_admin = True
    answers_all = True

    def __init__(
        self, folder: Path, controllers: Sequence[int] = (1, 2, 3), session: float = 20
    ) -> None:
        super().__init__(folder)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.nodes = [
            Node(folder / str(one), one, cluster, is_controller=one in controllers, session=session)
            for one in (1, 2, 3)
        ]
        voters = [node for node in self.nodes if node.is_controller]
        for node in self.nodes:
            node.voters = ",".join(f"{one.number}@{one.controller}" for one in voters)

    @property
    def bootstrap(self) -> str:
        """All addresses."""
        return ",".join(node.bootstrap for node in self.nodes)

    def create_topic(
        self,
        name: str,
        partitions: int = 6,
        on: Sequence[int] | None = None,
        **settings: object,
    ) -> None:
        """Create a topic; returns when it can be used.

        Args:
            name: of the topic.
            partitions: how many there are.
            on: the brokers that have each, the first of which leads; None for all three of them, of
                which each leads some.
            settings: of the topic, ``min_insync_replicas=…`` for ``min.insync.replicas``.
        """
        where = {"replica_assignment": [list(on)] * partitions} if on else {"replication_factor": 3}
        config = {key.replace("_", "."): str(value) for key, value in settings.items()}
        admin = self.nodes[0]._admin()
        topic = NewTopic(name, partitions, config=config, **where)
        for future in admin.create_topics([topic]).values():
            future.result(30)

    def leaders(self, topic: str) -> set[int]:
        """Who leads a partition, as the first of them that answers says."""
        found = self._alive()._admin().list_topics(topic, timeout=10).topics[topic].partitions
        return {one.leader for one in found.values()}

    def move(self, topic: str, replicas: Sequence[Sequence[int]]) -> None:
        """Have each partition on these brokers, led by the first of them; returns when it is so.

        Args:
            topic: whose partitions.
            replicas: of each partition, in the order of their numbers.
        """
        asyncio.run(self._reassign(topic, replicas))

        def is_done() -> bool:
            partitions = self._alive()._admin().list_topics(topic, timeout=10).topics[topic]
            return all(
                sorted(partitions.partitions[number].isrs) == sorted(wanted)
                for number, wanted in enumerate(replicas)
            )

        wait_until(is_done, 60, "replicas are in sync")
        partitions = [TopicPartition(topic, number) for number in range(len(replicas))]
        admin = self._alive()._admin()
        admin.elect_leaders(ElectionType.PREFERRED, partitions).result(20)
        wanted = {one[0] for one in replicas}
        wait_until(lambda: self.leaders(topic) == wanted, 30, "the first ones lead")

    async def _reassign(self, topic: str, replicas: Sequence[Sequence[int]]) -> None:
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        await client.bootstrap()
        try:
            no_tags: Any = {}
            partitions: Any = [(one, list(on), no_tags) for one, on in enumerate(replicas)]
            topics = [(topic, partitions, no_tags)]
            request = AlterPartitionReassignmentsRequest(10_000, topics, no_tags)
            answer = await client.send(client.get_random_node(), request)
            assert not answer.error_code, answer
        finally:
            await client.close()

    def _alive(self) -> Node:
        """The first of them that runs."""
        return next(node for node in self.nodes if node.pid)

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

    def start(self) -> Self:
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait()
        return self

    def __exit__(self, *_: object) -> None:
        # Without most of its controllers none stops in time.
        self.kill()

    def stop(self) -> None:
        # Together: each hands its partitions over, which takes as long as another is there.
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(Node.stop, self.nodes))

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def pause(self) -> None:
        for node in self.nodes:
            node.pause()

    def resume(self) -> None:
        for node in self.nodes:
            node.resume()
