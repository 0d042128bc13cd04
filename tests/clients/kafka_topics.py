"""In place of Kafka's `kafka-topics.sh`, with those of its options that our pages use."""

import argparse

from confluent_kafka.admin import AdminClient, NewTopic

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--bootstrap-server", required=True)
parser.add_argument("--create", action="store_true", required=True)
parser.add_argument("--if-not-exists", action="store_true")
parser.add_argument("--topic", required=True)
parser.add_argument("--partitions", type=int, required=True)
parser.add_argument("--on-first-use", action="store_true", help="ours: asking for it makes it")
given = parser.parse_args()

admin = AdminClient({"bootstrap.servers": given.bootstrap_server, "log_level": 0})
if given.on_first_use:
    admin.list_topics(given.topic, timeout=10)
else:
    admin.create_topics([NewTopic(given.topic, given.partitions)])[given.topic].result(20)
