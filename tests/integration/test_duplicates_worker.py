"""Each event id once through workers that are killed and offsets that are reset."""

from itertools import cycle

from tests.helpers.databases import each_server_slow
from tests.helpers.duplicates import ALIKE, PARTITIONS, value
from tests.helpers.worker import dead_letters as dead_letters_of
from tests.helpers.worker import rows, stored_offsets, wait_until


@each_server_slow
def test_each_id_once_over_partitions_restarts_kills_and_resets(
    worker, produce, faust, migrated_url, topic
):
    faust("migrate", DEDUPLICATE="true")
    ours = {"DEDUPLICATE": "true", "FLUSH_INTERVAL": 0.2, "FLUSH_MAX_EVENTS": 200}
    group = f"group-{topic}"

    def end():
        return sum(at for (name, _, _), at in stored_offsets(migrated_url).items() if name == group)

    turns = cycle(PARTITIONS)
    traffic = [*(f"f{n}" for n in range(300)), *ALIKE]
    sent = [*traffic, *traffic[::-1], *traffic]
    values = [(value(one), next(turns)) for one in sent] + [(b"bad", 0)]
    produce(values[:100])
    running = worker(**ours).wait_ready()
    wait_until(lambda: end() == 100, 20)
    produce(values[100:])
    wait_until(lambda: end() > 150, 20)
    running.kill()
    running = worker(**ours).wait_ready()
    wait_until(lambda: end() == len(values), 20)
    assert sorted(row["event_id"] for row in rows(migrated_url)) == sorted(traffic)
    assert len(dead_letters_of(migrated_url)) == 1
    assert running.terminate() == 0

    faust("offsets", "reset", "--to", "beginning", "--yes", DEDUPLICATE="true")
    running = worker(**ours).wait_ready()
    wait_until(lambda: end() == len(values), 20)
    assert len(rows(migrated_url)) == len(traffic), "nothing is stored twice"
    assert len(dead_letters_of(migrated_url)) == 1
    page = running.get("/batches/")
    assert (page["events"], page["valid"]) == (len(values), 0)
    assert page["duplicate"] == len(sent)
    assert (
        f'etl_events_total{{outcome="duplicate"}} {len(sent)}.0' in running.request("/metrics")[1]
    )
    assert " duplicate, " in running.log_text()
    assert running.terminate() == 0
    shown = faust("batches")
    assert "duplicate" in shown
    letter = dead_letters_of(migrated_url)[0]["id"]
    again = faust("dead-letters", "replay", letter, status=1, DEDUPLICATE="true")
    assert "0 stored as rows" in again
