"""The embedded broker's process: ``python -m local.embedded`` prints its address and waits."""

import signal
import time

from confluent_kafka import Producer


def main() -> None:
    # The brokers are replaced by those of the mock cluster; the name is never looked up.
    producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    while not (brokers := producer.list_topics(timeout=5).brokers):
        time.sleep(0.05)
    broker = next(iter(brokers.values()))
    print(f"listens on {broker.host}:{broker.port}", flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pause()


if __name__ == "__main__":
    main()
