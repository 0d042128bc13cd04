"""Kafka Connect by itself with Debezium's JDBC sink, the rules as a transformation of its own.

Its connectors of other houses are not in Maven Central. The driver is MariaDB's, which sends
whole batches; as many tasks as the topic has partitions.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

BATCH = 5_000

WORKER = """
bootstrap.servers={kafka}
listeners=http://127.0.0.1:{port}
plugin.path={home}/plugins
offset.storage.file.filename={scratch}/offsets
offset.flush.interval.ms=5000
key.converter=org.apache.kafka.connect.converters.ByteArrayConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
connector.client.config.override.policy=All
"""
DRIVER = "useBulkStmts=true&sessionVariables=time_zone='+00:00'"
SINK = """
name={group}
connector.class=io.debezium.connector.jdbc.JdbcSinkConnector
tasks.max=4
topics={topic}
connection.url=jdbc:mariadb://{host}:{database_port}{path}?{driver}
connection.username={user}
connection.password={password}
collection.name.format=flash_sale_events
insert.mode=insert
primary.key.mode=none
schema.evolution=none
batch.size={batch}
consumer.override.auto.offset.reset=earliest
consumer.override.max.poll.records={batch}
transforms=transform
transforms.transform.type=peers.Transform
"""


def main() -> None:
    """Write the settings and become the Java program."""
    database = urlsplit(os.environ["DATABASE_URL"])
    scratch = Path(os.environ["SCRATCH"])
    home = os.environ["HOME_OF_CONNECT"]
    settings = {
        "kafka": os.environ["KAFKA"],
        "port": os.environ["PORT"],
        "home": home,
        "scratch": scratch,
        "group": os.environ["CONSUMER_GROUP"],
        "topic": os.environ["TOPIC"],
        "host": database.hostname,
        "database_port": database.port,
        "path": database.path,
        "user": database.username,
        "password": database.password,
        "driver": DRIVER,
        "batch": BATCH,
    }
    for name, text in (("worker", WORKER), ("sink", SINK)):
        file = scratch / f"{name}.properties"
        file.touch(mode=0o600)
        file.write_text(text.format(**settings))
    os.execvp(  # noqa: S606 - no shell is the point
        "java",
        [
            "java",
            "-Xmx1g",
            "-cp",
            f"{home}/*",
            "org.apache.kafka.connect.cli.ConnectStandalone",
            str(scratch / "worker.properties"),
            str(scratch / "sink.properties"),
        ],
    )


if __name__ == "__main__":
    main()
