"""Events of other kinds beside a shop's: large, bad, refused, sold, repeated, compressed."""

from dataclasses import replace
from typing import Any

from sqlalchemy import make_url

from benchmarks.measuring.programs import OURS, Job, workers
from benchmarks.measuring.runs import run
from benchmarks.measuring.stage import Stage
from benchmarks.reports import report
from benchmarks.scenarios.rounds import as_json, beside, each, in_rounds, table
from benchmarks.traffic.mixes import (
    all_different,
    bad,
    escapes,
    few_products,
    filled,
    long_events,
    many_products,
    mistyped,
    no_purchases,
    one_percent,
    refused,
    repaired,
    sale,
    shop,
    unknown_fields,
    whole,
)
from benchmarks.traffic.topics import CHECKED, CODEC
from db.connection.engine import connect
from db.schema.upgrade import make_index
from dev.servers.processes import Process


def traffic(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """A shop's events, and those of others; the sizes are those before compression."""
    mixes = {
        "a shop's traffic": shop,
        "5 % filled": sale,
        "whole events": whole,
        "64 % filled": filled,
        "20 unknown fields": unknown_fields,
        "events of 1 KB": long_events,
        "1 % with escapes": escapes,
        "5 % repaired": repaired,
    }
    topics = {name: stage.topic(int(500_000 * scale), mix) for name, mix in mixes.items()}
    done = each(stage, rounds, topics)
    rows = [
        [
            name,
            f"{topics[name].size:,.0f}",
            report.spread([one[place].rate * topics[name].size / 1e6 for one in done], ",.0f"),
        ]
        for place, name in enumerate(mixes)
    ]
    sizes = report.table(["", "bytes an event", "MB/s"], rows)
    return f"{table(done)}\n\n{sizes}", as_json(done)


def bad_values(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Events of which one in twenty must be dropped; and events none of which fits the schema."""
    mixes = {"good events": sale, "5 % must be dropped": bad, "100 % mistyped": mistyped}
    topics = {name: stage.topic(int(500_000 * scale), mix) for name, mix in mixes.items()}
    done = each(stage, rounds, topics)
    return table(done), as_json(done)


def refused_rows(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Events whose rows a CHECK of the database refuses: none of them, 1 % and all."""
    topics = {
        "none refused": stage.topic(int(500_000 * scale), sale),
        "1 % refused": stage.topic(int(500_000 * scale), one_percent),
        "100 % refused": stage.topic(int(60_000 * scale), refused),
    }
    # With the breaker on, a partition of refused rows would be held.
    program = replace(OURS, start=workers(1, BREAKER_SHARE=0))
    done = each(stage, rounds, topics, program, CHECKED)
    return table(done), as_json(done)


def catalogue(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """What the sales sums cost, by what is sold; they are kept all the while, every second."""
    mixes = {
        "no purchases": no_purchases,
        "1/3 buy, 5,000 products": many_products,
        "1/3 buy, 100 products": few_products,
        "every event its own product and minute": all_different,
    }
    topics = {name: stage.topic(int(1_500_000 * scale), mix) for name, mix in mixes.items()}
    program = replace(OURS, start=workers(1, ROLLUP_INTERVAL=1))
    done = each(stage, rounds, topics, program, sums=True)
    head = ["", "summed meanwhile", "behind at the end (rows)", "summed after (s)"]
    rows = [
        [
            name,
            report.spread(
                [one[place].summed / one[place].steady for one in done if one[place].steady], ".0%"
            ),
            report.spread([one[place].behind for one in done], ",.0f"),
            report.spread([one[place].catching_up for one in done], ".1f"),
        ]
        for place, name in enumerate(mixes)
    ]
    ratios = [
        f"{name}: {report.spread(beside(done, at, other), '.2f')}, wanted {wanted}"
        for name, at, other, wanted in (
            ("1/3 buy, 5,000 products, beside no purchases", 1, 0, 0.95),
            ("every event its own product and minute, beside 100 products", 3, 2, 0.75),
        )
    ]
    return "\n\n".join([table(done), report.table(head, rows), *ratios]), as_json(done)


def duplicates(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """Duplicates stored, as by default; left out where there are none; left out, 5 % of them."""
    fresh, repeated = (stage.topic(int(500_000 * scale), repeat=repeat) for repeat in (0, 20))
    off = replace(OURS, name="DEDUPLICATE=false")
    done = in_rounds(
        rounds,
        [
            lambda: run(stage, off, fresh),
            lambda: run(stage, replace(off, name="true, no duplicates", start=_index), fresh),
            lambda: run(stage, replace(off, name="true, 5 % duplicates", start=_index), repeated),
        ],
    )
    return table(done), as_json(done)


def _index(job: Job) -> list[Process]:
    """Make the index over event ids; start a worker that leaves duplicates out."""
    engine = connect(make_url(job.database_url).set(drivername="mysql+pymysql"))
    make_index(engine)
    engine.dispose()
    return workers(1, DEDUPLICATE="true")(job)


def all_codecs(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """The same events, uncompressed and compressed with each of Kafka's codecs."""
    codecs = (CODEC, "none", "snappy", "gzip", "zstd")
    topics = {
        "uncompressed" if codec == "none" else codec: stage.topic(
            int(500_000 * scale), shop, codec=codec
        )
        for codec in codecs
    }
    done = each(stage, rounds, topics)
    return table(done), as_json(done)
