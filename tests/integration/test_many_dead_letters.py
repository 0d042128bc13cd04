"""200,000 dead letters: commands answer soon, and take little memory beside the program itself."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from dev import ROOT
from tests.helpers.worker import FAUST, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MANY = 200_000
#: Seconds and MB beside those of a command that asks no server. The seconds are of processors, its
#: own and the server's: what else is busy on this machine does not count.
SOON, LITTLE = 2.0, 60.0

DIGITS = "(SELECT 0 AS n" + "".join(f" UNION ALL SELECT {n}" for n in range(1, 10)) + ")"
NUMBERS = (
    "SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n + 100000 * f.n AS i"
    f" FROM {DIGITS} a, {DIGITS} b, {DIGITS} c, {DIGITS} d, {DIGITS} e, {DIGITS} f WHERE f.n < 2"
)
#: Half a page each, two in three malformed, one in five replayed.
FILL = f"""
    INSERT INTO dead_letters (consumer_group, kafka_topic, kafka_partition, kafka_offset, reason,
        detail, value, kafka_key, kafka_ts, created_at, replayed_at, value_bytes, value_sha256)
    SELECT 'g', 't', i % 4, i, IF(i % 3, 'malformed', 'invalid'),
        IF(i % 3, 'not JSON: Expecting value at column 1', CONCAT('price is no number: x', i)),
        CONCAT('{{"event_id":"e', i, '","category":"shoes","pad":"', REPEAT('p', 120), '"}}'),
        CONCAT('user-', i), '2026-11-27 08:00:00.123',
        TIMESTAMPADD(SECOND, i, '2026-11-27 08:00:00.456'), IF(i % 5, NULL, '2026-11-30'), 160,
        UNHEX(SHA2(i, 256))
    FROM ({NUMBERS} ORDER BY i) AS numbers
"""


class Cost(NamedTuple):
    """Seconds of processors, and the most memory in MB."""

    seconds: float
    memory: float


@pytest.fixture
def many(migrated_url, server):
    server.execute(FILL, migrated_url.rpartition("/")[2])


def busy(pid):
    """Seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def cost(migrated_url, server, tmp_path):
    """Runs a command; returns what it cost, and the file with what it printed."""

    def run(*arguments):
        printed = tmp_path / "printed"
        settings = {"DATABASE_URL": migrated_url, "CONSUMER_GROUP": "g", "SHELL": "/bin/bash"}
        before = busy(server.pid)
        with printed.open("wb") as output:
            child = subprocess.Popen(
                [*FAUST, *arguments], cwd=ROOT, env=environment(**settings), stdout=output
            )
            _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        seconds = used.ru_utime + used.ru_stime + busy(server.pid) - before
        return Cost(seconds, used.ru_maxrss / 1000), printed

    return run


def test_commands_answer_soon_and_take_little_memory(many, cost):
    alone, _ = cost("completion")
    for call in ("summary", "list", f"show {MANY // 2}"):
        asked, printed = cost("dead-letters", *call.split())
        assert printed.stat().st_size > 100
        assert asked.memory < alone.memory + LITTLE
        assert asked.seconds < alone.seconds + SOON, call


def test_all_as_json_take_little_memory(many, cost):
    alone, _ = cost("completion")
    asked, printed = cost("dead-letters", "list", "--json")
    with printed.open("rb") as lines:
        assert sum(1 for _ in lines) == MANY
    assert asked.memory < alone.memory + LITTLE
