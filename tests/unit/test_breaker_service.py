"""The circuit breaker in a worker: its attempts, its entries in the database, its memory."""

from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from agents.breaker_service import BreakerService
from agents.circuit_breaker import CircuitBreaker
from agents.newest_events import NewestEvents
from db.breakers import BY_A_PERSON, OpenBreaker
from pipeline.errors import FatalError, TransientError
from pipeline.memory import Memory
from pipeline.partition import Partition
from pipeline.record import PlainRecord
from tests.helpers.breaker import GOOD, NOW, chunk
from tests.helpers.worker import until

T0, T1 = Partition("t", 0), Partition("t", 1)


class Store:
    """Breakers in a database that fails while told to; counts what it is asked."""

    def __init__(self) -> None:
        self.rows: dict[Partition, OpenBreaker] = {}
        self.error: Exception | None = None
        self.asked = 0

    def _try(self) -> None:
        self.asked += 1
        if self.error:
            raise self.error

    def open(
        self, partition: Partition, reason: str, age: float = 0.0, due_in: float | None = None
    ) -> None:
        self._try()
        due = None if due_in is None else NOW
        self.rows[partition] = OpenBreaker(partition, NOW, reason, None, due, age, due_in)

    def clear(self, partitions: Any) -> None:
        self._try()
        for partition in partitions:
            self.rows.pop(partition, None)

    def find(self) -> list[OpenBreaker]:
        self._try()
        return list(self.rows.values())


@pytest.fixture
async def running(monkeypatch):
    """Starts a service; ``held`` are the sets of partitions it held, ``sought`` where it went."""
    monkeypatch.setattr("agents.breaker_service.RETRY_PAUSE", 0.02)
    started = []

    async def start(
        pause: float = 0.0,
        fails: Exception | None = None,
        rows: tuple[OpenBreaker, ...] = (),
        share: float = 0.9,
    ) -> Any:
        store = Store()
        store.rows = {row.partition: row for row in rows}
        held: list[set[Any]] = []
        sought: list[Any] = []
        found = SimpleNamespace(
            store=store, held=held, sought=sought, is_backlog=False, looked_at=[]
        )

        async def seek_back(partition: Any, offset: int) -> None:
            assert partition in held[-1], "read on only when it is back"
            if fails:
                raise fails
            sought.append((partition, offset))

        async def is_backlog(partition: Partition) -> bool:
            found.looked_at.append(partition)
            return bool(found.is_backlog)

        service = found.service = BreakerService(
            CircuitBreaker(share, 10, pause),
            store,  # type: ignore[arg-type]
            hold=lambda partitions: held.append(set(partitions)),
            seek_back=seek_back,
            is_backlog=is_backlog,
        )
        await service.start()
        started.append(service)
        service.assigned([Partition("t", number) for number in range(30)])
        await until(lambda: not held[-1] & ({T0, T1} - store.rows.keys()))
        return found

    yield start
    for service in started:
        await service.stop()


def look(it):
    """What the database watch reads now."""
    it.service.found_open(list(it.store.rows.values()), monotonic())


async def test_dropped_events_give_their_memory_back(running):
    it = await running()
    memory = Memory(100, 1 << 20)
    for partition in range(30):
        assert not it.service.admit(chunk(0, bad=50, partition=partition, memory=memory))
    assert memory.events == memory.bytes == 0
    assert len(it.held[-1]) == 30


async def test_a_request_in_the_database_starts_an_attempt(running):
    it = await running()
    for partition in (0, 1):
        it.service.admit(chunk(7, bad=10, partition=partition))
    await until(lambda: it.store.rows.keys() == {T0, T1})
    it.store.rows[T1] = it.store.rows[T1]._replace(close_requested=NOW)
    await until(lambda: look(it) or it.sought == [(T1, 7)])
    await until(lambda: it.held[-1] == {T0})
    assert it.service.admit(chunk(7, good=20, partition=1))
    assert [one["state"] for one in it.service.as_json()] == ["open", "half-open"]


async def test_what_was_read_before_a_change_is_not_followed(running):
    it = await running()
    asked = monotonic()
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.store.rows)
    old = it.store.rows[T0]._replace(close_requested=NOW)
    it.service.found_open([old], asked)
    it.service.found_open([], asked)
    writes = it.store.asked
    await until(lambda: it.service._recorded)
    assert not it.sought
    assert it.held[-1] == {T0}
    assert it.store.asked == writes


async def test_a_database_that_is_away_delays_only_what_it_is_asked_for(running, caplog):
    it = await running()
    it.store.error = TransientError("gone away")
    with caplog.at_level("INFO"):
        it.service.admit(chunk(0, bad=10))
        await until(lambda: "gone away" in caplog.text)
    it.service.close_all()
    await until(lambda: not it.held[-1])
    assert it.service.admit(chunk(0, bad=10))
    it.store.error = None
    await until(lambda: it.store.rows.keys() == {T0})
    levels = {record.levelname for record in caplog.records if "database" in record.message}
    assert "WARNING" not in levels
    assert not it.service.crashed


async def test_after_its_pause_a_window_passes_and_a_good_one_closes_it(running):
    it = await running(pause=0.05)
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.store.rows)
    await until(lambda: it.sought == [(T0, 0)] and not it.held[-1])
    assert it.looked_at == [T0]
    assert it.service.reason is None, "it flows"
    assert it.service.admit(chunk(0, good=30)).end == 10
    assert it.held[-1] == {T0}
    it.service.committed(batch({T0: 10}, {T0: 10}))
    await until(lambda: it.sought == [(T0, 0), (T0, 10)] and not it.held[-1])
    await until(lambda: not it.store.rows)
    assert not it.service.as_json()


async def test_the_newest_events_decide_how_much_passes(running):
    it = await running(pause=0.05)
    it.is_backlog = True
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.sought)
    assert it.service.admit(chunk(0, bad=300)).end == 100


async def test_a_database_away_while_half_open_keeps_it_waiting(running):
    it = await running(pause=0.05)
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.sought)
    it.store.error = TransientError("gone away")
    assert it.service.admit(chunk(0, good=30)).end == 10
    await until(lambda: it.held[-1] == {T0})
    assert it.sought == [(T0, 0)], "no second attempt before the first is stored"
    it.service.committed(batch({T0: 10}, {T0: 10}))
    it.store.error = None
    await until(lambda: not it.store.rows and not it.held[-1])


async def test_a_takeover_keeps_what_the_database_says(running):
    row = OpenBreaker(T1, NOW, "garbage", None, NOW, age=70.0, due_in=20.0)
    it = await running(pause=30, rows=(row,))
    await until(lambda: it.held[-1] == {T1})
    [shown] = it.service.as_json()
    assert (shown["partition"], shown["state"]) == (1, "open")
    assert 0 < it.service._breaker.next_due - monotonic() <= 20
    assert it.store.rows == {T1: row}, "nothing new to record"


async def test_an_overdue_attempt_is_made_at_once_after_a_takeover(running):
    row = OpenBreaker(T1, NOW, "garbage", None, NOW, age=700.0, due_in=-20.0)
    it = await running(pause=30, rows=(row,))
    await until(lambda: not it.held[-1])
    assert it.service.admit(chunk(0, bad=20, partition=1)).end == 10
    await until(lambda: 599 < it.store.rows[T1].due_in <= 600)
    assert it.store.rows[T1].age > 700


async def test_a_partition_that_moves_while_paused_is_left_alone(running):
    it = await running(pause=30)
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.store.rows)
    row = it.store.rows[T0]
    it.service.forget()
    it.service.assigned([T1])
    await until(lambda: not it.held[-1])
    assert it.store.rows == {T0: row}, "for its next owner"
    it.service.close_all()
    assert not it.sought


async def test_a_person_opens_and_closes_one(running):
    it = await running(pause=0.05)
    it.store.open(T0, BY_A_PERSON)
    look(it)
    await until(lambda: it.held[-1] == {T0})
    assert "it waits for a person" in it.service.reason
    assert it.service.admit(chunk(0, good=5)) is None
    it.store.rows[T0] = it.store.rows[T0]._replace(close_requested=NOW)
    await until(lambda: look(it) or it.sought == [(T0, 0)])


async def test_a_late_record_of_the_owner_before_is_cleared(running):
    it = await running(pause=30)
    it.store.open(T0, "garbage", 0.0, 30.0)
    look(it)
    await until(lambda: not it.store.rows)
    assert not it.held[-1]


async def test_turned_off_it_clears_what_the_database_says(running):
    row = OpenBreaker(T1, NOW, "garbage", None, NOW, age=70.0, due_in=20.0)
    it = await running(rows=(row,), share=0.0)
    await until(lambda: not it.store.rows)
    assert it.held[-1] == set()


async def test_a_missing_right_stops_nobody(running):
    it = await running()
    it.store.error = FatalError("SELECT is denied")
    it.service.assigned([T0])
    assert it.held[-1] == {T0}, "until the database has answered"
    await until(lambda: not it.held[-1])
    assert it.service.admit(chunk(0, good=5))


async def test_an_entry_that_someone_deleted_is_stored_again(running):
    it = await running()
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.service._recorded)
    it.store.rows.clear()
    await until(lambda: look(it) or it.store.rows)


async def test_a_worker_that_stops_leaves_the_pause_to_the_next(running):
    it = await running(pause=30)
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.service._recorded)
    await it.service.stop()
    assert it.store.rows.keys() == {T0}


async def test_an_open_breaker_asks_the_database_nothing(running):
    it = await running(pause=0.1)
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.service._recorded)
    asked = it.store.asked
    await until(lambda: it.sought)
    look(it)
    assert it.store.asked == asked


async def test_failed_seek_back_holds_no_partition(running):
    it = await running(fails=KafkaError("no consumer"))
    it.service.admit(chunk(0, bad=10))
    it.service.close_all()
    await until(lambda: it.service.crashed)
    it.service.admit(chunk(0, bad=10, partition=1))
    assert it.held[-1] == {("t", 1)}, "held, though no open breaker says why"


def batch(rows, offsets):
    return SimpleNamespace(rows=rows, offsets=offsets, refused=[])


@pytest.mark.parametrize(
    ("values", "are_good"),
    [([GOOD] * 6 + [b"<"] * 94, True), ([GOOD] * 5 + [b"<"] * 95, False), ([], False)],
    ids=["below the share", "at the share", "unknown"],
)
async def test_newest_events_are_judged_by_the_share(values, are_good):
    from agents.flash_sales import FLASH_SALES

    class Log:
        async def newest(self, partition, count):
            return [PlainRecord(*one) for one in enumerate(values)]

    assert await NewestEvents(FLASH_SALES, Log(), 0.95).are_good(T0) is are_good


async def test_breakers_are_known_once_their_records_are_read(running):
    it = await running()
    assert it.service.are_known
    it.store.error = TransientError("it is away", "connection")
    it.service.assigned([T0])
    await until(lambda: it.store.asked > 2)
    assert not it.service.are_known
    it.store.error = None
    await until(lambda: it.service.are_known)
