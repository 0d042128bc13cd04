"""TLS to broker and database, and a database that is not next door."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from time import monotonic
from typing import Any

from sqlalchemy import make_url

from benchmarks.programs import OURS, Job, Program, workers
from benchmarks.rounds import as_json, in_rounds, table
from benchmarks.runs import run
from benchmarks.stage import Stage
from benchmarks.table import connect
from benchmarks.traffic import shopping
from dev.mariadb import SecretURL
from dev.processes import Process
from dev.tcp_relay import RelayThread, TcpRelay

#: Seconds that bytes take to the database, and back.
ONE_WAY = 0.001
#: Pieces on their way at most, and bytes of one: more than such a line holds at 10 Gb/s.
_PIECES, _PIECE = 64, 262_144
#: Questions by which the distance is measured.
_QUESTIONS = 200


def network(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """The comparison's events through plain connections, TLS, and to a database 2 ms away."""
    topic = stage.topic(int(1_000_000 * scale), shopping)
    with _distant(stage.mariadb.port) as port, stage.with_tls() as encrypted:
        programs = [
            (stage, replace(OURS, name="plain, next to each other")),
            (encrypted, _with_tls(stage)),
            (stage, replace(OURS, name="database 2 ms away", start=partial(_start_distant, port))),
        ]
        done = in_rounds(rounds, [partial(run, at, program, topic) for at, program in programs])
        near, far = (_round_trip(stage, at) for at in (stage.mariadb.port, port))
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


@contextlib.contextmanager
def _distant(port: int) -> Iterator[int]:
    """A port that leads to this one, and is so far away."""
    relay = TcpRelay("127.0.0.1", port, lambda: (_late, _late))
    thread = RelayThread(relay)
    thread.start()
    try:
        yield relay.port
    finally:
        thread.stop()


async def _late(source: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    """Pass on each piece some time after it came."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES)

    async def read() -> None:
        while piece := await source.read(_PIECE):
            await pieces.put((monotonic() + ONE_WAY, piece))
        await pieces.put((0.0, b""))

    reading = asyncio.ensure_future(read())
    try:
        while True:
            due, piece = await pieces.get()
            if not piece:
                return
            await asyncio.sleep(max(0.0, due - monotonic()))
            out.write(piece)
            await out.drain()
    finally:
        reading.cancel()


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
