"""A producer that sends another type: stored as the contract says, and told everywhere."""

import json

from tests.helpers.databases import each_server
from tests.helpers.events import event
from tests.helpers.worker import rows


@each_server
def test_a_mistyped_price_shows_in_status_page_and_metric(
    worker, produce, faust, faust_out, migrated_url
):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    assert 'etl_repaired_values_total{field="price",kind="mistyped"} 0.0' in metrics(running)
    produce([event(n, price="19.99") for n in range(30)] + [event(n) for n in range(70)])
    running.wait_stored(migrated_url, 100)
    assert sum(row["revenue"] == 0 for row in rows(migrated_url)) == 30, "as the Spark job"

    found = json.loads(faust_out("status", "--json"))
    [need] = [one for one in found["needs"] if "price" in one["what"] and "repaired" in one["what"]]
    assert need["what"] == (
        "In the last 10 minutes, price was repaired in 30 rows (30.0%): 30 mistyped; stored as "
        "price 0 with revenue 0."
    )
    [repaired] = [one for one in found["quality"] if one["what"] == "repaired"]
    assert (repaired["field"], repaired["share"]) == ("price", 0.3)
    assert "Filled and repaired, last 10 min" in faust("status")

    page = running.get("/dashboard/data/")["worker"]["quality"]
    [repaired] = [one for one in page if one["what"] == "repaired"]
    assert (repaired["field"], repaired["kinds"]) == ("price", {"mistyped": 30})
    assert repaired["is_high"]
    assert 'etl_repaired_values_total{field="price",kind="mistyped"} 30.0' in metrics(running)


def metrics(running):
    return running.request("/metrics")[1]
