"""The circuit breaker in a worker: its pauses, its entries in the database, its memory."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from agents.breaker_service import BreakerService
from pipeline.errors import TransientError
from pipeline.memory import Memory
from pipeline.partition import Partition
from tests.helpers.breaker import NOW, breaker, chunk
from tests.helpers.worker import until

T0, T1 = Partition("t", 0), Partition("t", 1)


class Store:
    """Breakers in a database that fails while told to."""

    def __init__(self) -> None:
        self.rows: dict[Partition, Any] = {}
        self.away = False
        self.cleared: list[Partition] = []

    def _try(self) -> None:
        if self.away:
            raise TransientError("gone away")

    def open(self, partition: Partition, reason: str) -> None:
        self._try()
        self.rows[partition] = SimpleNamespace(partition=partition, close_requested=None)

    def clear(self, partitions: Any) -> None:
        self._try()
        self.cleared += partitions
        for partition in partitions:
            self.rows.pop(partition, None)

    def find(self) -> list[Any]:
        self._try()
        return list(self.rows.values())


@pytest.fixture
async def running(monkeypatch):
    """Starts a service; ``held`` are the sets of partitions it held, ``sought`` where it went."""
    monkeypatch.setattr("agents.breaker_service.POLL_INTERVAL", 0.02)
    started = []

    async def start(pause: float = 0.0, fails: Exception | None = None) -> Any:
        store = Store()
        held: list[set[Any]] = []
        sought: list[Any] = []

        async def seek_back(partition: Any, offset: int) -> None:
            assert partition in held[-1], "read on only when it is back"
            if fails:
                raise fails
            sought.append((partition, offset))

        service = BreakerService(
            breaker(),
            store,  # type: ignore[arg-type]
            pause=pause,
            hold=lambda partitions: held.append(set(partitions)),
            seek_back=seek_back,
        )
        await service.start()
        started.append(service)
        return SimpleNamespace(service=service, store=store, held=held, sought=sought)

    yield start
    for service in started:
        await service.stop()


async def test_dropped_events_give_their_memory_back(running):
    it = await running()
    memory = Memory(100, 1 << 20)
    for partition in range(30):
        assert not it.service.admit(chunk(0, bad=50, partition=partition, memory=memory))
    assert memory.events == memory.bytes == 0
    assert len(it.held[-1]) == 30


async def test_a_request_in_the_database_closes_one_partition(running):
    it = await running()
    for partition in (0, 1):
        it.service.admit(chunk(7, bad=10, partition=partition))
    await until(lambda: it.store.rows.keys() == {T0, T1})
    it.store.rows[T1].close_requested = NOW
    await until(lambda: it.store.rows.keys() == {T0})
    assert it.sought == [(T1, 7)]
    assert it.held[-1] == {T0}
    assert [one["partition"] for one in it.service.as_json()] == [0]


async def test_a_database_that_is_away_delays_only_what_it_is_asked_for(running, caplog):
    it = await running()
    it.store.away = True
    with caplog.at_level("INFO"):
        it.service.admit(chunk(0, bad=10))
        await until(lambda: "gone away" in caplog.text)
    it.service.close_all()
    await until(lambda: not it.held[-1])
    it.service.admit(chunk(0, bad=10))
    it.service.admit(chunk(10, bad=10))
    await until(lambda: it.service.reason)
    it.store.away = False
    await until(lambda: it.store.rows.keys() == {T0})
    levels = {record.levelname for record in caplog.records if "database" in record.message}
    assert "WARNING" not in levels
    assert not it.service.crashed


async def test_a_pause_closes_each_partition_by_itself(running):
    it = await running(pause=0.05)
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.sought == [(T0, 0)])
    assert not it.held[-1]
    assert it.service.reason is None


async def test_a_worker_that_gets_partitions_clears_what_stands_of_them(running):
    it = await running()
    it.store.rows[T1] = SimpleNamespace(partition=T1, close_requested=NOW)
    it.service.admit(chunk(0, bad=10))
    it.service.assigned([Partition("t", 2), T1])
    await until(lambda: not it.store.rows)
    assert it.held[-1] == set()
    assert it.service.reason is None


async def test_an_entry_that_someone_deleted_is_stored_again(running):
    it = await running()
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.store.rows)
    it.store.rows.clear()
    await until(lambda: it.store.rows)


async def test_a_worker_that_stops_leaves_no_entry(running):
    it = await running()
    it.service.admit(chunk(0, bad=10))
    await until(lambda: it.service._recorded)
    await it.service.stop()
    assert not it.store.rows


async def test_failed_seek_back_holds_no_partition(running):
    it = await running(fails=KafkaError("no consumer"))
    it.service.admit(chunk(0, bad=10))
    it.service.close_all()
    await until(lambda: it.service.crashed)
    it.service.admit(chunk(0, bad=10, partition=1))
    assert it.held[-1] == {("t", 1)}, "held, though no open breaker says why"
