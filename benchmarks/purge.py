"""``python -m benchmarks.purge``: what a purge of old rows takes off the rate of writes.

One connection inserts batches as fast as it can, in turn alone and beside a purge, which rests as a
worker's does. The private server is MariaDB, or the one that SERVER names.
"""

import argparse
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from statistics import median

from sqlalchemy import Engine, make_url, text

from agents.flash_sales import FLASH_SALES
from benchmarks.kpis import BATCH, _chunks, _cpu
from db.connection.engine import connect
from db.connection.session import Transaction
from db.retention.purge import Purge
from db.schema.upgrade import migrate
from db.write.row_store import RowStore
from dev.servers.database import private_server
from dev.servers.processes import Folder
from pipeline.background.housekeeping import rest
from pipeline.chunk import Chunk


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.purge", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="old ones (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of a round (%(default)s)")
    options = parser.parse_args()
    chunks = list(_chunks())
    with Folder("purge") as folder, private_server(folder / "server") as server:
        engine = connect(make_url(server.create_database("purge")).set(drivername="mysql+pymysql"))
        migrate(engine)
        _write(engine, chunks, rows=options.rows)
        note = "INSERT INTO growth SELECT NOW(3) - INTERVAL 91 DAY, MAX(id), '{}' FROM"
        with engine.begin() as connection:
            connection.execute(text(f"{note} flash_sale_events"))
        alone, beside, gone = [], [], 0
        cpu = [0.0, 0.0]
        for _ in range(options.rounds):
            before = _cpu(server)
            alone.append(_write(engine, chunks, seconds=options.seconds))
            cpu[0] += _cpu(server) - before
            done = threading.Event()
            deleted: list[int] = []
            purge = threading.Thread(target=_purge, args=(engine, done, deleted))
            before = _cpu(server)
            purge.start()
            beside.append(_write(engine, chunks, seconds=options.seconds))
            done.set()
            purge.join()
            cpu[1] += _cpu(server) - before
            gone += sum(deleted)
            print(f"{alone[-1]:10,.0f} rows/s alone, {beside[-1]:10,.0f} beside a purge")
        ratios = [one / other for one, other in zip(beside, alone, strict=True)]
        rate = gone / options.seconds / options.rounds
        print(
            f"median {median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f}) of the rate alone"
        )
        print(f"{rate:,.0f} rows/s deleted")
        for name, seconds, rates in zip(["alone", "beside"], cpu, [alone, beside], strict=True):
            spent = seconds / sum(rates) / options.seconds * 1e6
            print(f"{spent:.2f} µs of server for each row written {name}")
        engine.dispose()


def _write(
    engine: Engine, chunks: Sequence[Chunk], *, rows: int = 1 << 60, seconds: float = 1e9
) -> float:
    """Write so many rows, or for so long; answers rows a second."""
    supply, store = cycle(chunks), RowStore()
    begun, done = time.monotonic(), 0
    while done < rows and time.monotonic() - begun < seconds:
        batch = list(islice(supply, BATCH))
        with engine.begin() as connection:
            session = connection.scalar(text("SELECT CONNECTION_ID()")) or 0
            store.store(Transaction(connection, FLASH_SALES, session, 1 << 24), batch)
        done += sum(chunk.valid for chunk in batch)
    return done / (time.monotonic() - begun)


def _purge(engine: Engine, done: threading.Event, deleted: list[int]) -> None:
    before = datetime.now(UTC) - timedelta(days=90)
    for portion in Purge(engine, "g", sums=False).run({"events": before}):
        deleted.append(portion.rows)
        if done.wait(rest(portion)):
            return


if __name__ == "__main__":
    main()
