"""What is held in memory is counted, no matter which code or thread releases it."""

import asyncio
import threading

from pipeline.memory import Memory


def test_a_lease_counts_until_it_is_released_or_gone():
    memory = Memory(10, 1000)
    first, second = memory.hold(3, 100), memory.hold(4, 200)
    assert (memory.events, memory.bytes, memory.queued, memory.room) == (7, 300, 2, 3)
    first.transformed(40)
    assert (memory.events, memory.bytes, memory.queued) == (7, 240, 1)
    first.release()
    first.release()
    assert (memory.events, memory.bytes, memory.queued) == (4, 200, 1)
    del second  # as when a rebalance clears a queue
    assert (memory.events, memory.bytes, memory.queued) == (0, 0, 0)


def test_there_is_no_room_when_either_limit_is_reached():
    memory = Memory(10, 1000)
    few = memory.hold(1, 1000)
    assert memory.room == 0
    few.transformed(999)
    assert memory.room == 9
    many = memory.hold(11, 0)
    assert memory.room == 0
    assert many


async def test_who_waits_goes_on_as_soon_as_another_thread_gives_back():
    memory = Memory(10, 1000)
    lease = memory.hold(10, 10)
    assert not await memory.wait_for_room(0.01)
    waiting = asyncio.create_task(memory.wait_for_room(30))
    await asyncio.sleep(0)
    threading.Thread(target=lease.release).start()
    assert await asyncio.wait_for(waiting, 5)


def test_leases_of_many_threads_add_up():
    memory = Memory(10, 1000)

    def work():
        for _ in range(2000):
            memory.hold(2, 3).transformed(5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (memory.events, memory.bytes, memory.queued) == (0, 0, 0)
