"""`simulate` and `batches`: traffic from nothing but Kafka, and what all workers made of it."""

import re
import time
from itertools import islice

import pytest
from sqlalchemy import text

from commands.traffic.simulator import events
from dev.audit import Sent
from dev.servers.processes import free_port
from tests.helpers.accounts import dba
from tests.helpers.events import event
from tests.helpers.listings import records
from tests.helpers.worker import dead_letters, rows, wait_until


def ledger(printed):
    """The lines of `batches --json`: worker, number, events, rows, dropped."""
    return [
        (line["worker"], line["batch"], line["events"], line["rows"], sum(line["dropped"].values()))
        for line in records(printed)
    ]


@pytest.mark.slow
def test_ledger_shows_all_workers_and_restarts(worker, faust, migrated_url, migrated_engine):
    simulation = ("simulate", "--rate", 500, "--seconds", 1, "--bad", 0.1, "--seed", 7)
    small = {"FLUSH_INTERVAL": 0.3, "FLUSH_MAX_EVENTS": 100, "BUFFER_MAX_EVENTS": 200}

    def stored():
        return len(rows(migrated_url)) + len(dead_letters(migrated_url))

    assert "500 events sent to events_" in faust(*simulation)
    first = worker(**small).wait_ready()
    wait_until(lambda: stored() == 500, 40)
    # The same seed gives the same events, each of which ended where it must.
    verdict = Sent(islice(events(7, bad=0.1), 500)).audit(migrated_url)
    assert verdict.exact, str(verdict)
    first.kill()
    faust(*simulation)
    for _ in range(2):
        worker(**small)
    wait_until(lambda: stored() == 1000, 40)

    found = ledger(faust("batches", "--json"))
    assert len({worker for worker, *_ in found}) >= 2
    assert sum(line[2] for line in found) == 1000
    assert sum(line[3] for line in found) == 2 * verdict.rows
    assert sum(line[4] for line in found) == 2 * verdict.dropped.total()
    for name in {worker for worker, *_ in found}:
        numbers = [number for worker, number, *_ in found if worker == name]
        assert numbers == sorted(numbers, reverse=True), "the newest first, each once"
        assert len(set(numbers)) == len(numbers)
    assert ledger(faust("batches", "--json", "--limit", 3)) == found[:3]
    assert ledger(faust("batches", "--json", CONSUMER_GROUP="another")) == []

    def funnel_narrows():
        with dba(migrated_engine).connect() as connection:
            query = text("SELECT views, carts, purchases FROM funnel")
            views, carts, purchases = (number or 0 for number in connection.execute(query).one())
        return views > carts > purchases > 0

    wait_until(funnel_narrows, 20, "the sums follow the rows")


def test_simulate_without_a_broker_is_one_sentence(faust):
    port = free_port()
    nowhere = f"kafka://127.0.0.1:{port}"
    printed = faust(
        "simulate", "--seconds", 1, KAFKA_URL=nowhere, DATABASE_URL="", START_TIMEOUT=0, status=1
    )
    assert f"Kafka at 127.0.0.1:{port} does not answer" in printed.splitlines()[-1]


def test_simulate_into_a_missing_topic_is_one_sentence_at_once(faust, apache):
    begun = time.monotonic()
    printed = faust("simulate", "--seconds", 1, TOPIC="nowhere", status=1)
    assert printed == "Kafka has no topic 'nowhere': create it, or change TOPIC.\n"
    assert time.monotonic() - begun < 15


@pytest.mark.slow
def test_simulate_asks_where_the_topic_has_other_events(
    faust, produce, topic, on_a_terminal, broker
):
    short = ("simulate", "--seconds", 0.5, "--rate", 20)
    assert "10 events sent" in faust(*short)
    assert "10 events sent" in faust(*short), "its own are no others"
    produce([(event(1), 2)])
    said = faust(*short, status=1)
    assert f"The topic {topic} has about 21 events" in said
    assert "Send 10 simulated events" in said
    assert "add --yes" in said
    assert "10 events sent" not in on_a_terminal(*short, answers="n\n")
    assert "10 events sent" in on_a_terminal(*short, answers="y\n")
    assert "10 events sent" in faust(*short, "--yes")


@pytest.mark.slow
def test_simulate_tells_how_to_remove_what_it_sent(
    faust, worker, produce, migrated_url, migrated_engine
):
    produce([(event(1), 0), (b"bad", 0)])
    said = faust("simulate", "--seconds", 1, "--rate", 100, "--bad", 0.2, "--yes")
    worker(FLUSH_INTERVAL=0.3).wait_ready().wait_stored(migrated_url, 102)
    statements = re.findall(r"DELETE FROM [^;]*;", said)
    with dba(migrated_engine).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    assert [row["event_id"] for row in rows(migrated_url)] == ["e1"]
    assert [letter["value"] for letter in dead_letters(migrated_url)] == [b"bad"]
