"""The faults: each is done to a stage under traffic, and undone before it returns."""

import contextlib
import time
from collections.abc import Callable

from pymysql.err import MySQLError

from dev.servers.database.accounts import WORKER
from tests.chaos.stage import SESSION_TIMEOUT, Stage
from tests.helpers.worker import Worker, wait_until

Fault = Callable[[Stage], None]


def kill_worker(stage: Stage) -> None:
    worker = stage.any_worker()
    worker.kill()
    stage.remove(worker)
    stage.start_worker()


def terminate_worker(stage: Stage) -> None:
    worker = stage.any_worker()
    assert worker.terminate() == 0, worker.log_text()[-2000:]
    stage.remove(worker)
    stage.start_worker()


def freeze_worker_until_replaced(stage: Stage) -> None:
    """The zombie: frozen past its session, its partitions given away, then woken up."""
    zombie = stage.any_worker()
    heir = _join(stage)
    zombie.pause()
    time.sleep(SESSION_TIMEOUT * 1.5 + 1)
    zombie.resume()
    time.sleep(1)
    heir.kill()
    stage.remove(heir)


def worker_joins_and_leaves(stage: Stage) -> None:
    worker = _join(stage)
    _pause(stage)
    assert worker.terminate() == 0, worker.log_text()[-2000:]
    stage.remove(worker)


def worker_joins_and_is_killed(stage: Stage) -> None:
    worker = _join(stage)
    _pause(stage)
    worker.kill()
    stage.remove(worker)


def kill_database(stage: Stage) -> None:
    stage.server.kill()
    _pause(stage)
    stage.server.start()


def restart_database(stage: Stage) -> None:
    stage.server.stop()
    _pause(stage)
    stage.server.start()


def freeze_database(stage: Stage) -> None:
    stage.server.pause()
    time.sleep(stage.random.uniform(1, 3))
    stage.server.resume()


def cut_connections(stage: Stage) -> None:
    stage.proxy.cut_share = 0.05
    time.sleep(stage.random.uniform(1, 3))
    stage.proxy.cut_share = 0


def lose_answers_to_commit(stage: Stage) -> None:
    stage.proxy.lost_commits = 3
    deadline = time.monotonic() + 5
    while stage.proxy.lost_commits and time.monotonic() < deadline:
        time.sleep(0.05)
    stage.proxy.lost_commits = 0


def reset_connections(stage: Stage) -> None:
    for _ in range(10):
        for line in stage.lines.values():
            line.reset()
        time.sleep(stage.random.uniform(0.05, 0.5))


def slow_links(stage: Stage) -> None:
    """50 ms each way, to the database and to Kafka."""
    for line in stage.lines.values():
        line.delay = 0.05
    time.sleep(stage.random.uniform(3, 6))
    for line in stage.lines.values():
        line.delay = 0


def silent_database(stage: Stage) -> None:
    _silence(stage, "database")


def silent_kafka(stage: Stage) -> None:
    _silence(stage, "kafka")


def fail_over(stage: Stage) -> None:
    """As a proxy does it: connections end in mid-transaction, new ones reach what takes no writes,
    and are ended again when that is the primary."""
    stage.server.execute("SET GLOBAL read_only = ON")
    _end_sessions(stage)
    _pause(stage)
    stage.server.execute("SET GLOBAL read_only = OFF")
    _end_sessions(stage)


def kill_worker_and_database(stage: Stage) -> None:
    worker = stage.any_worker()
    stage.server.kill()
    worker.kill()
    stage.remove(worker)
    stage.server.start()
    stage.start_worker()


def restart_broker(stage: Stage) -> None:
    stage.broker.stop()
    _pause(stage)
    stage.broker.start()


def kill_broker(stage: Stage) -> None:
    stage.broker.kill()
    _pause(stage)
    stage.broker.start()


def freeze_broker(stage: Stage) -> None:
    stage.broker.pause()
    time.sleep(stage.random.uniform(1, 5))
    stage.broker.resume()


#: Faults of workers, database and connections; any broker bears them.
FAULTS: tuple[Fault, ...] = (
    kill_worker,
    terminate_worker,
    freeze_worker_until_replaced,
    worker_joins_and_leaves,
    worker_joins_and_is_killed,
    kill_database,
    restart_database,
    freeze_database,
    cut_connections,
    lose_answers_to_commit,
    reset_connections,
    slow_links,
    silent_database,
    fail_over,
    kill_worker_and_database,
)
#: Faults of the broker, for one that comes back with what it had.
BROKER_FAULTS: tuple[Fault, ...] = (restart_broker, kill_broker, freeze_broker, silent_kafka)


def _join(stage: Stage) -> Worker:
    worker = stage.start_worker()
    worker.wait_ready(30)
    wait_until(lambda: worker.get("/batches/")["partitions"], 10, "partitions of its own")
    return worker


def _silence(stage: Stage, name: str) -> None:
    line = stage.lines[name]
    line.dropping = True
    time.sleep(stage.random.uniform(2, 6))
    line.dropping = False


def _end_sessions(stage: Stage) -> None:
    sessions = f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{WORKER}'"
    for (number,) in stage.server.execute(sessions):
        with contextlib.suppress(MySQLError):  # it has ended by itself
            stage.server.execute(f"KILL {number}")


def _pause(stage: Stage) -> None:
    time.sleep(stage.random.uniform(0.2, 2))
