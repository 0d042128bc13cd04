"""The database is asked now and then, once at a time, and offsets that others changed are seen."""

import threading
import time

import pytest

import pipeline.background.database_watch
from pipeline.background.database_watch import DatabaseWatch
from pipeline.errors import DatabaseTrouble, FatalError, TransientError
from pipeline.partition import Partition
from tests.helpers.partitions import of_topic

AT = of_topic("t", {0: 10, 1: 20})
BACK = AT | of_topic("t", {0: 5})


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(pipeline.background.database_watch, "PING_TIMEOUT", 0.1)
    monkeypatch.setattr(pipeline.background.database_watch, "READ_INTERVAL", 0.0)


@pytest.fixture
def ended(monkeypatch):
    """The sentences with which the worker ended."""
    sentences: list[str] = []

    def end(_service: object, error: FatalError) -> None:
        sentences.append(str(error))

    monkeypatch.setattr(pipeline.background.database_watch, "end_worker", end)
    return sentences


class Database:
    """Answers what it is given, and after an answer does what is wanted."""

    def __init__(self, *answers, after=lambda: None):
        self.answers = list(answers)
        self.locked = []
        self.after = after

    def ping(self):
        pass

    def stored(self, locked):
        self.locked.append(locked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        self.after()
        return answer


class Worker:
    """Flusher, consumer and progress in one, as far as they are looked at."""

    is_writing = False
    is_rebalancing = False
    is_positioned = True
    last_write: float | None = None
    unanswered_since: float | None = None

    def __init__(self, **state):
        self.stored = dict(AT)
        vars(self).update(state)


def watching(database, worker=None, *listeners):
    worker = worker or Worker()
    return DatabaseWatch(database, worker, worker, worker, listeners)


async def test_a_database_that_is_gone_is_noticed_and_so_is_its_return(ended):
    gone = TransientError("gone", is_away=True)
    watch = watching(Database(gone, AT))
    await watch.look()
    assert str(watch.last_error) == "is away: gone"
    await watch.look()
    assert watch.last_error is None
    assert ended == []


async def test_database_that_answers_with_an_error_is_not_away(ended, caplog):
    watch = watching(Database(TransientError("MySQL error 1040: x")))
    await watch.look()
    assert str(watch.last_error) == "cannot be used: MySQL error 1040: x"
    assert "The database cannot be used: MySQL error 1040: x" in caplog.text


async def test_silent_database_is_asked_once_and_not_for_long():
    answer = threading.Event()
    database = Database(AT, after=lambda: answer.wait(30))
    watch = watching(database)
    begun = time.monotonic()
    for _ in range(3):
        await watch.look()
    assert time.monotonic() - begun < 5
    assert "no answer for" in str(watch.last_error)
    assert len(database.locked) == 1
    answer.set()
    await watch.look()
    assert watch.last_error is None


async def test_a_write_that_succeeds_outweighs_a_question_that_fails():
    watch = watching(Database(TransientError("busy")), Worker(last_write=time.monotonic()))
    watch.last_error = DatabaseTrouble("gone")
    await watch.look()
    assert watch.last_error is None


@pytest.mark.parametrize(
    ("stored", "told"),
    [(BACK, "is 5"), (of_topic("t", {1: 20}), "is gone")],
    ids=["back", "gone"],
)
async def test_offsets_set_back_end_the_worker(ended, stored, told):
    database = Database(stored)
    watch = watching(database)
    await watch.look()
    assert ended == []
    await watch.look()
    [sentence] = ended
    assert f"The stored offset of t/0 {told}, but the worker continues from 10" in sentence
    assert database.locked == [False, True]


async def test_an_offset_that_moved_forward_is_followed(ended):
    followed: list[object] = []
    worker = Worker()
    stored = AT | {("t", 0): 15}
    watch = watching(Database(stored), worker, worker.stored.update, followed.append)
    for _ in range(3):
        await watch.look()
    assert followed == [of_topic("t", {0: 15})]
    assert ended == []


async def test_offsets_that_only_an_old_primary_has_are_not_followed(ended):
    """It is back with more than its successor, and a proxy leads there: it gives no lock."""
    followed: list[object] = []
    refused = TransientError("MySQL error 1290: read-only", "read_only")
    database = Database(AT | {("t", 0): 15}, refused, AT)
    watch = watching(database, Worker(), followed.append)
    for _ in range(4):
        await watch.look()
    assert database.locked[:2] == [False, True]
    assert followed == ended == []


async def test_of_two_offsets_one_is_followed_and_one_ends_it(ended):
    followed: list[object] = []
    stored = {("t", 0): 15, ("t", 1): 5}
    watch = watching(Database(stored), Worker(), followed.append)
    for _ in range(2):
        await watch.look()
    assert followed[0] == of_topic("t", {0: 15})
    assert "The stored offset of t/1 is 5, but the worker continues from 20" in ended[0]


async def test_between_two_reads_it_pings_unless_something_is_wrong(monkeypatch):
    monkeypatch.setattr(pipeline.background.database_watch, "READ_INTERVAL", 3600.0)
    pings = []
    answers = [None, TransientError("gone"), None]

    def ping():
        pings.append(1)
        if error := answers.pop(0):
            raise error

    database = Database(AT)
    monkeypatch.setattr(database, "ping", ping)
    watch = watching(database)
    errors = []
    for _ in range(5):
        await watch.look()
        errors.append(watch.last_error)
    # Read, ping, a ping that fails, read, ping.
    assert errors == [None, None, DatabaseTrouble("gone", is_away=False), None, None]
    assert (len(database.locked), len(pings)) == (2, 3)


async def test_offsets_of_other_workers_partitions_are_theirs(ended):
    watch = watching(Database(AT | {("t", 2): 7, ("u", 0): 1}))
    for _ in range(3):
        await watch.look()
    assert ended == []


async def test_the_workers_own_writes_are_no_change(ended):
    """Its offsets move while the database is asked, so the answer is older than they are."""
    worker = Worker()

    def write():
        worker.stored[Partition("t", 0)] += 1

    watch = watching(Database(BACK, after=write), worker)
    for _ in range(4):
        await watch.look()
    assert ended == []


@pytest.mark.parametrize(
    "state", [{"is_writing": True}, {"is_rebalancing": True}, {"is_positioned": False}], ids=str
)
async def test_offsets_about_to_change_are_not_compared(ended, state):
    watch = watching(Database(BACK), Worker(**state))
    for _ in range(4):
        await watch.look()
    assert ended == []


async def test_an_answer_during_a_write_does_not_count(ended, monkeypatch):
    """Also where none was under way when the database was asked."""
    turns = iter([False, True] * 10)
    monkeypatch.setattr(Worker, "is_writing", property(lambda _: next(turns)))
    watch = watching(Database(BACK))
    for _ in range(4):
        await watch.look()
    assert ended == []


async def test_a_replica_that_is_behind_ends_nobody(ended, monkeypatch):
    database = Database()
    monkeypatch.setattr(database, "stored", lambda locked: AT if locked else BACK)
    watch = watching(database)
    for _ in range(6):
        await watch.look()
    assert ended == []


async def test_a_lock_that_is_not_had_is_asked_for_again(ended):
    database = Database(BACK, TransientError("a lock"), BACK)
    watch = watching(database)
    for _ in range(2):
        await watch.look()
    assert ended == []
    await watch.look()
    assert len(ended) == 1
    assert database.locked == [False, True, True]


async def test_unanswered_write_is_noticed_while_queries_work():
    since = [None, time.monotonic() - 8, time.monotonic() - 4, None]
    worker, said = Worker(), []
    watch = watching(Database(AT), worker)
    for worker.unanswered_since in since:
        await watch.look()
        said.append(watch.last_error)
    assert said == [None, DatabaseTrouble("no answer to a write for 8 s"), None, None]
