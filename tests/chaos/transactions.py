"""Traffic in transactions, of which some are aborted: their events are sent in another one."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaException, Producer

from commands.traffic.simulator import Event
from tests.helpers.traffic import Traffic

#: Share of the transactions that are aborted.
ABORTED = 0.1


class TransactionalTraffic(Traffic):
    """As ``Traffic``: what is due every 20 ms is a transaction."""

    @staticmethod
    def _connect(settings: dict[str, Any]) -> Producer:
        producer = Producer(
            {
                **settings,
                "transactional.id": uuid4().hex,
                "transaction.timeout.ms": settings["message.timeout.ms"],
                "linger.ms": 0,
            }
        )
        producer.init_transactions(60)
        return producer

    def _send(self, events: Sequence[Event]) -> None:
        if not events:
            return
        while not self._committed(events):
            pass
        for event in events:
            self.sent.add(event)

    def _committed(self, events: Sequence[Event]) -> bool:
        """Whether they were sent and committed; False where they were aborted."""
        self._producer.begin_transaction()
        for event in events:
            self._produce(event)
        if self._random.random() < ABORTED:
            self._producer.flush(60)
            return self._ended(self._producer.abort_transaction, committed=False)
        return self._ended(self._producer.commit_transaction, committed=True)

    def _ended(self, end: Any, *, committed: bool) -> bool:
        while True:
            try:
                end(60)
            except KafkaException as error:
                said = error.args[0]
                if said.txn_requires_abort():
                    end, committed = self._producer.abort_transaction, False
                elif not said.retriable():
                    raise
            else:
                return committed
