"""``python -m tests.chaos.outage``: the database is gone for minutes under traffic.

What may change meanwhile is the lag and nothing else: memory is bounded, the worker stays alive
and in its group, says why it is not ready, and catches up by itself.
"""

import argparse
import sys
import time

from dev.servers.chosen_broker import choose
from dev.servers.processes import Folder
from tests.chaos.stage import TOPIC, Stage
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import Worker

#: Seconds of traffic before the outage and after it.
AROUND = 10
#: What a worker may need at most, in MB.
MOST_MEMORY = 250


def main() -> int:
    """Run an outage; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.outage")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=int, default=5000)
    options = parser.parse_args()
    kind, why = choose()
    print(f"{why} {options.minutes:g} minutes at {options.rate} events/s.", flush=True)
    with Folder("outage") as folder, Stage(folder, kind, seed=1, defaults=True) as stage:
        (worker,) = stage.workers
        traffic = Traffic(stage.broker, TOPIC, rate=options.rate)
        time.sleep(AROUND)
        stage.server.kill()
        most = _outage(worker, options.minutes)
        stage.server.start()
        time.sleep(AROUND)
        back = time.monotonic()
        traffic.stop()
        verdict = audit(stage.url, traffic.sent, timeout=900)
        print(f"Caught up {time.monotonic() - back:.0f} s after the traffic ended.")
        print(f"{verdict}\nAt most {most:.0f} MB; {worker.memory():.0f} MB at the end.")
        assert worker.exit_code is None, "it did not live through it"
    return 0


def _outage(worker: Worker, minutes: float) -> float:
    most = 0.0
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        time.sleep(min(15, until - time.monotonic()))
        status, _ = worker.request("/health/")
        reason = worker.get("/ready/")["reason"]
        assert status == 200, f"/health/ answers {status}"
        assert "the database is away" in reason, reason
        most = max(most, worker.memory())
        assert most < MOST_MEMORY, f"{most:.0f} MB"
    print(f"/health/ 200 throughout; /ready/ 503: {reason}", flush=True)
    return most


if __name__ == "__main__":
    sys.exit(main())
