"""``python -m dev.demo``: the whole pipeline on this machine, with simulated traffic.

There is no supervisor, because nothing is restarted: a stack of ``with`` blocks ends what was
started, in reverse order, and should this process be killed, the kernel ends it
(``dev.servers.parent_death_signal``).
A Procfile runner (honcho) starts commands through a shell in sessions of their own, which outlive
it when it is killed.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from commands.traffic.simulator import events, send
from dev import ROOT
from dev.audit import Sent, count_stored
from dev.demo.live_line import LiveLine
from dev.servers.broker import Broker, EmbeddedBroker
from dev.servers.chosen_broker import choose
from dev.servers.database import DEFAULT, SERVERS, chosen, private_server
from dev.servers.database.accounts import OWNER, WORKER, grant, make_accounts
from dev.servers.parent_death_signal import die_with_parent
from dev.servers.processes import Folder, Process, StartError, free_port, listens

TOPIC = "flash_sale_events"
#: Seconds from one rush of customers to the next.
WAVE = 90
#: Seconds the worker has to start, and to store the last event.
PATIENCE = 30
_WORTH_SHOWING = re.compile(r"\[(WARNING|ERROR|CRITICAL)\]|\[INFO\] Batch ")


class Interruption:
    """Ctrl-C and SIGTERM: the first ends the traffic, the second ends everything at once."""

    def __init__(self) -> None:
        self.asked = False
        #: Whether there is traffic to end; before that, the first signal ends everything.
        self.patient = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.patient:
            raise SystemExit(128 + number)
        self.asked = True
        print("\nEnding the traffic; press again to end everything at once.", flush=True)


class Demo:
    """Broker, database and worker, all started, and ended by ``stack``."""

    def __init__(self, stack: ExitStack, broker: type[Broker]) -> None:
        folder = stack.enter_context(Folder("demo"))
        self.broker = stack.enter_context(broker(folder / "broker"))
        self.broker.create_topic(TOPIC)
        self.server = stack.enter_context(private_server(folder / "database"))
        self.server.create_database("flash_sale")
        make_accounts(self.server)
        self.url = grant(self.server, OWNER, "flash_sale")
        self.port = free_port()
        self.sent = Sent()
        migration = self._faust("migrate", folder / "migrate.log")
        if migration.wait(PATIENCE):
            raise StartError(f"The migration failed:\n{migration.log_text()}")
        self.url = grant(self.server, WORKER, "flash_sale")
        self.worker = self._faust("worker", folder / "worker.log", "-l", "info")
        stack.callback(self.worker.stop)
        self._lines = follow(self.worker.log)
        self._wait_for_pages()

    def _wait_for_pages(self) -> None:
        """Before its pages answer, the worker does not stop cleanly either."""
        try:
            self.worker.wait_for(lambda: listens(self.port), PATIENCE, "The worker")
        except StartError as error:
            raise StartError(f"{error}\n{self.worker.log_text()[-2000:]}") from None

    async def run(self, seconds: float | None, rate: float, stop: Interruption) -> None:
        """Send events and show the worker's log, until each event is stored or time is up.

        Raises:
            StartError: the worker ended.
        """
        traffic = asyncio.create_task(
            send(
                self.broker.bootstrap,
                TOPIC,
                events(seed=time.time_ns(), prefix="demo"),
                rate=rate,
                wave=WAVE,
                seconds=seconds,
                stopped=lambda: stop.asked,
                on_sent=self.sent.add,
            )
        )
        with LiveLine(self._batches) as shown:
            while not traffic.done():
                await self._show(shown)
            traffic.result()
            deadline = time.monotonic() + PATIENCE
            while not self._all_stored() and time.monotonic() < deadline:
                await self._show(shown)
            await self._show(shown)

    def _batches(self) -> Any:
        try:
            with urllib.request.urlopen(self.page("batches/"), timeout=1) as answer:  # noqa: S310
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def _all_stored(self) -> bool:
        return count_stored(self.url) >= len(self.sent)

    async def _show(self, shown: LiveLine) -> None:
        for line in self._lines:
            if not line:
                break
            if _WORTH_SHOWING.search(line):
                shown.print(line.rstrip("\n"))
        await asyncio.to_thread(shown.refresh, time.monotonic())
        await asyncio.sleep(0.4)
        if self.worker.exit_code is not None:
            raise StartError(f"The worker ended:\n{self.worker.log_text()[-2000:]}")

    def page(self, name: str) -> str:
        """Address of one of the worker's pages."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def _faust(self, command: str, log: Path, *options: str) -> Process:
        settings = {
            "KAFKA_URL": self.broker.url,
            "DATABASE_URL": self.url,
            "TOPIC": TOPIC,
            "STARTING_OFFSETS": "earliest",
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
        }
        return Process(
            [sys.executable, "-m", "faust", "-A", "app", command, *options],
            log,
            env={**os.environ, **settings},
            cwd=ROOT,
        )


def follow(path: Path) -> Iterator[str]:
    """Complete lines of a growing file; an empty string if there are no more yet."""
    with path.open(errors="replace") as file:
        part = ""
        while True:
            part += file.readline()
            if part.endswith("\n"):
                yield part
                part = ""
            else:
                yield ""


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description="Run the demo.")
    parser.add_argument("--seconds", type=float, help="how long events are sent; else until Ctrl-C")
    parser.add_argument("--rate", type=float, default=500, help="events a second (%(default)s)")
    options = parser.parse_args()
    stop = Interruption()
    # A killed `make` must not leave its demo running: that is as good as Ctrl-C.
    die_with_parent(os.getppid(), signal.SIGTERM)
    # The embedded broker is enough for the demo; BROKER=apache selects the real one.
    kind = choose()[0] if os.environ.get("BROKER") else EmbeddedBroker
    try:
        with ExitStack() as stack:
            database = SERVERS[chosen() or DEFAULT]().version.split()[0]
            print(f"Starting: {kind.kind} broker, private {database}, worker …", flush=True)
            demo = Demo(stack, kind)
            stop.patient = True
            print("The worker's pages:")
            for name in ("dashboard/", "batches/", "metrics", "health/", "ready/"):
                print(f"  {demo.page(name)}", flush=True)
            asyncio.run(demo.run(options.seconds, options.rate, stop))
            status = demo.worker.stop(timeout=PATIENCE)
            audit = demo.sent.audit(demo.url)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    print(audit)
    if not audit.exact or status:
        print(f"Not every event is accounted for exactly once (the worker's status: {status}).")
        return 1
    print("Every event is accounted for exactly once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
