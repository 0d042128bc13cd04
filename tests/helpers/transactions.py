"""Transactions in a topic, and when all of a log has been read."""

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.helpers.events import event, offsets_of
from tests.helpers.worker import wait_until


def send(producer, topic, numbers, partition=0, **fields):
    for number in numbers:
        producer.produce(topic, event(number, **fields), key=str(number % 5), partition=partition)
    assert not producer.flush(20)


def commit(producer, topic, numbers, partition=0):
    producer.begin_transaction()
    send(producer, topic, numbers, partition)
    producer.commit_transaction(20)


def abort(producer, topic, numbers, partition=0, **fields):
    producer.begin_transaction()
    # On its way to the log before it is aborted, else it is never sent.
    send(producer, topic, numbers, partition, **fields)
    producer.abort_transaction(20)


def log_ends(broker, topic):
    """The ends of the logs, with the marker of each transaction that has ended.

    A broker answers that a transaction has ended, and writes its markers after that: until then
    what is committed ends before what is written.
    """
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})

    def ends(level):
        latest = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(4)}
        asked = admin.list_offsets(latest, isolation_level=level)
        return {tp.partition: future.result(20).offset for tp, future in asked.items()}

    def are_ended():
        return ends(IsolationLevel.READ_COMMITTED) == ends(IsolationLevel.READ_UNCOMMITTED)

    wait_until(are_ended, 20, "the markers of the transactions")
    return ends(IsolationLevel.READ_UNCOMMITTED)


def wait_read(running, broker, topic, url):
    """Wait until all is read: the stored offsets are the logs' ends, and the pages say so."""
    ends = log_ends(broker, topic)
    wait_until(lambda: offsets_of(url) == ends, 20, f"offsets {ends}")

    def lags():
        return {p["partition"]: p["lag"] for p in running.get("/batches/")["partitions"]}

    wait_until(lambda: lags() == dict.fromkeys(range(4), 0), 20, "no lag")


def is_on_disk(broker, topic, number):
    """Whether the broker still has the event in partition 0, be it in a file to be deleted."""
    folder = broker.folder / "data" / f"{topic}-0"
    try:
        return any(b'"e%d"' % number in path.read_bytes() for path in folder.glob("*.log*"))
    except FileNotFoundError:  # as it was put in another's place
        return True
