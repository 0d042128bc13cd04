"""TLS to broker and database, and a database that is not next door."""

import contextlib
from dataclasses import replace
from functools import partial
from statistics import median
from time import monotonic
from typing import Any

from sqlalchemy import make_url

from benchmarks.measuring.distance import distant
from benchmarks.measuring.programs import OURS, Job, Program, workers
from benchmarks.measuring.runs import run
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.table import connect
from benchmarks.scenarios.rounds import as_json, in_rounds, table
from benchmarks.traffic.mixes import shop
from dev.servers.database import SecretURL
from dev.servers.processes import Process

#: Seconds by which an answer of a database that is not next door is held up. Threads wake late:
#: what is measured then is two milliseconds.
_AWAY = 0.0017
#: Questions by which the distance is measured.
_QUESTIONS = 200


def network(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """The comparison's events through plain connections, TLS, and to a database 2 ms away."""
    topic = stage.topic(int(2_000_000 * scale), shop)
    with distant(stage.server.port, _AWAY) as port, stage.with_tls() as encrypted:
        programs = [
            (stage, replace(OURS, name="plain, next to each other")),
            (encrypted, _with_tls(stage)),
            (stage, replace(OURS, name="database 2 ms away", start=partial(_start_distant, port))),
        ]
        done = in_rounds(rounds, [partial(run, at, program, topic) for at, program in programs])
        near, far = (_round_trip(stage, at) for at in (stage.server.port, port))
    distance = f"An answer of the database takes {1e3 * near:.2f} ms, and {1e3 * far:.2f} ms there."
    return f"{table(done)}\n\n{distance}", as_json(done)


def _with_tls(stage: Stage) -> Program:
    settings = {
        "KAFKA_URL": f"kafka+ssl://{stage.broker.tls_bootstrap}",
        "KAFKA_TRUSTED_CERT": stage.authority.pem,
        "DATABASE_CA": stage.authority.pem,
    }
    return replace(OURS, name="TLS to both", start=workers(1, **settings))


def _start_distant(port: int, job: Job) -> list[Process]:
    url = make_url(job.database_url).set(port=port).render_as_string(hide_password=False)
    return OURS.start(replace(job, database_url=SecretURL(url)))


def _round_trip(stage: Stage, port: int) -> float:
    """Seconds that the shortest question takes, the median of many."""
    took = []
    with stage.database() as url:
        there = make_url(url).set(port=port).render_as_string(hide_password=False)
        with contextlib.closing(connect(there)) as database, database.cursor() as cursor:
            for _ in range(_QUESTIONS):
                began = monotonic()
                cursor.execute("DO 0")
                took.append(monotonic() - began)
    return median(took)
