"""What a program to be measured is, and this app as one."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from config.settings import Settings
from dev import ROOT
from dev.servers.processes import Process, free_port


class Lack(StrEnum):
    """What this app gives and a program that is compared does not."""

    LOSES = "may lose rows in a crash"
    DOUBLES = "may double rows in a crash"
    REPEATS = "stores everything again after a restart"
    UNCHECKED = "checks no lengths, and no types but those of numbers"
    FORGETS = "keeps nothing of what it drops"
    NO_SUMS = "adds no sales up"


@dataclass(frozen=True)
class Job:
    """What a program is given: a topic to read from its beginning, a database to write to."""

    bootstrap: str
    topic: str
    group: str
    database_url: str
    #: Events of a batch, for a program that is told.
    batch: int
    #: Where it may leave what it needs, and where its log goes.
    scratch: Path

    def start(self, command: list[str | Path], *, log: str = "log", **variables: object) -> Process:
        """Start a command in an environment without settings but these."""
        ours = {name.upper() for name in Settings.model_fields}
        env = {name: value for name, value in os.environ.items() if name not in ours}
        env |= {
            "PYTHONUNBUFFERED": "1",
            "KAFKA": self.bootstrap,
            "TOPIC": self.topic,
            "CONSUMER_GROUP": self.group,
            "DATABASE_URL": self.database_url,
            "SCRATCH": str(self.scratch),
        }
        env |= {name: str(value) for name, value in variables.items()}
        return Process(command, self.scratch / log, env=env, cwd=ROOT)


@dataclass(frozen=True)
class Program:
    """One program.

    Args:
        name: in the table.
        start: starts it.
        missing: why it cannot be started; empty when it can.
        events: of the topic it gets in the full comparison; fewer for a slow one, because
            what is compared is a steady rate.
        quick: the same for the short comparison; 0 where it takes no part.
        batch: events of a batch, for a program that is told and commits each in pieces; its
            first batch is not measured.
        lacks: what it does not give, and this app does.
    """

    name: str
    start: Callable[[Job], list[Process]]
    missing: Callable[[], str]
    events: int
    quick: int = 0
    batch: int = 0
    lacks: tuple[Lack, ...] = ()


def workers(number: int, **settings: object) -> Callable[[Job], list[Process]]:
    """So many of this app's workers, with its default settings but for those given."""
    return lambda job: [
        job.start(
            [sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "info"],
            log=f"log-{worker}",
            **{
                "KAFKA_URL": f"kafka://{job.bootstrap}",
                "STARTING_OFFSETS": "earliest",
                "PORT": free_port(),
                **settings,
            },
        )
        for worker in range(number)
    ]


OURS = Program("flash-sale ETL", workers(1), lambda: "", events=1_000_000, quick=600_000)
