"""Everything a fault can be done to: broker, database, the line between, and workers."""

import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, Self

from confluent_kafka import Consumer, TopicPartition

from dev import ROOT
from dev.servers.apache_kafka import ApacheKafka
from dev.servers.broker import Broker
from dev.servers.database import private_server
from dev.servers.database.accounts import OWNER, WORKER, grant, make_accounts
from tests.chaos.proxy import Proxy
from tests.helpers.relayed import TroubledKafka
from tests.helpers.trouble import Trouble
from tests.helpers.worker import FAUST, Worker, environment

TOPIC = "flash_sale_events"
GROUP = "chaos"
#: Seconds; low, so that a round takes seconds too.
SESSION_TIMEOUT = 3
QUICK = {
    "FLUSH_INTERVAL": 0.3,
    "FLUSH_MAX_EVENTS": 1000,
    "BUFFER_MAX_EVENTS": 5000,
    "SESSION_TIMEOUT": SESSION_TIMEOUT,
    "SHUTDOWN_TIMEOUT": 3,
}


class Stage:
    """Started servers, one worker, and the means to start more.

    A worker that ends by itself is started again, as any platform would, and counted.

    Args:
        defaults: whether workers have the app's default settings, instead of ones that make
            faults show within seconds.
        deduplicate: whether workers do.

    ``lines``: between workers and Kafka, where that is Apache's, and workers and the database.
    """

    def __init__(
        self,
        folder: Path,
        broker: type[Broker],
        seed: int,
        *,
        defaults: bool = False,
        deduplicate: bool = False,
    ) -> None:
        self.random = Random(seed)
        self.deduplicate = deduplicate
        self._folder = folder
        self._broker_kind = TroubledKafka if broker is ApacheKafka else broker
        self._settings = {} if defaults else QUICK
        self.lines = {"database": Trouble()}
        self._stack = ExitStack()
        self.workers: list[Worker] = []
        self.started = 0
        #: The last words of workers that ended by themselves.
        self.ended_alone: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.broker = stack.enter_context(self._broker_kind(self._folder / "broker"))
            if isinstance(self.broker, TroubledKafka):
                self.lines["kafka"] = self.broker.trouble
            self.broker.create_topic(TOPIC)
            self.server = stack.enter_context(private_server(self._folder / "database"))
            self.proxy = stack.enter_context(Proxy(self.server.port, self.random.randrange(2**32)))
            self._port = stack.enter_context(self.lines["database"].on_the_way_to(self.proxy.port))
            self.server.create_database("chaos")
            make_accounts(self.server)
            owner = grant(self.server, OWNER, "chaos")
            settings = environment(
                DATABASE_URL=owner, KAFKA_URL=self.broker.url, DEDUPLICATE=self.deduplicate
            )
            subprocess.run(
                [*FAUST, "migrate"], cwd=ROOT, env=settings, check=True, capture_output=True
            )
            self.url = grant(self.server, WORKER, "chaos")
            stack.callback(self._end_workers)
            self.start_worker().wait_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details: Any) -> None:
        self._stack.__exit__(*details)

    def start_worker(self) -> Worker:
        """One more worker; it reaches the database through line and proxy."""
        self.started += 1
        log = self._folder / f"worker-{self.started}.log"
        worker = Worker(
            log,
            KAFKA_URL=self.broker.url,
            DATABASE_URL=self.url.replace(f":{self.server.port}/", f":{self._port}/"),
            TOPIC=TOPIC,
            CONSUMER_GROUP=GROUP,
            STARTING_OFFSETS="earliest",
            DEDUPLICATE=self.deduplicate,
            **self._settings,
        )
        self.workers.append(worker)
        return worker

    def end(self) -> int:
        """The ends of the topic's logs, added up."""
        with closing(
            Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "x", "log_level": 0})
        ) as consumer:
            partitions = consumer.list_topics(TOPIC, 20).topics[TOPIC].partitions
            found = [TopicPartition(TOPIC, one) for one in partitions]
            return sum(consumer.get_watermark_offsets(one, 20)[1] for one in found)

    def any_worker(self) -> Worker:
        """A worker by chance."""
        return self.random.choice(self.workers)

    def remove(self, worker: Worker) -> None:
        """It was ended on purpose."""
        self.workers.remove(worker)

    def heal(self) -> None:
        """Start again what ended by itself; keep one worker at least."""
        for worker in list(self.workers):
            if worker.exit_code is not None:
                self.ended_alone.append(_last_words(worker))
                self.remove(worker)
        if not self.workers:
            self.start_worker()

    def _end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()


def _last_words(worker: Worker) -> str:
    lines = worker.log_text().splitlines()
    told = [line for line in lines if "[CRITICAL]" in line or "Crashed reason" in line]
    return f"status {worker.exit_code}: {told[0] if told else lines[-5:]}"
