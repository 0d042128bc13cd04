"""The embedded broker's process: ``python -m dev.embedded`` prints its address and waits."""

import asyncio
import time

from confluent_kafka import Producer

from dev.relay import Relay


def main() -> None:
    # The brokers are replaced by those of the mock cluster; the name is never looked up.
    producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    while not (brokers := producer.list_topics(timeout=5).brokers):
        time.sleep(0.05)
    broker = next(iter(brokers.values()))
    asyncio.run(_serve(Relay(broker.host, broker.port)))


async def _serve(relay: Relay) -> None:
    async with await relay.listen() as server:
        print(f"listens on {relay.host}:{relay.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    main()
