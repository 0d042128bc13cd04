"""An idle worker sends few statements, by the server's own count: accounts may be limited."""

import threading
import time

from tests.helpers.databases import each_server
from tests.helpers.worker import wait_until

#: Statements an hour, of an idle worker and of a page that is open.
MOST = 600
#: Seconds that they are counted.
WINDOW = 28


def questions(server):
    """What the server has counted, without what asking costs."""
    counts = [
        int(str(server.execute("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])) for _ in range(2)
    ]
    return counts[0], counts[1] - counts[0]


def count(server):
    """How many more it counts in the window."""
    before, asking = questions(server)
    time.sleep(WINDOW)
    after, _ = questions(server)
    return after - before - 2 * asking


@each_server
def test_an_idle_worker_and_a_page_send_few_statements(worker, server):
    running = worker(FLUSH_INTERVAL=5, SESSION_TIMEOUT=30).wait_ready().wait_first_flush()
    # Once an hour, and soon after the start.
    wait_until(lambda: running.get("/batches/")["storage"], 30, "tables' sizes")
    time.sleep(3)
    assert count(server) <= MOST * WINDOW / 3600

    closed = threading.Event()

    def view() -> None:
        while not closed.wait(1):
            for page in ("/dashboard/data/", "/dashboard/dead-letters/"):
                assert running.request(page)[0] == 200

    viewer = threading.Thread(target=view)
    viewer.start()
    try:
        time.sleep(3)
        assert count(server) <= 2 * MOST * WINDOW / 3600
    finally:
        closed.set()
        viewer.join()
    assert running.is_ready()
