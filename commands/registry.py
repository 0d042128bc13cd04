"""The app's commands: each a file of this folder, which declares what it needs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import faust
from faust.cli.faust import cli
from sqlalchemy import Engine

import commands
from commands.faust_commands import refuse_faust_commands
from commands.worker import worker_command
from config.load import DATABASE, KAFKA
from config.settings import Settings
from pipeline.stream import Stream
from source.cluster.auth import Cluster


@dataclass(frozen=True)
class Tools:
    """What commands work with.

    Args:
        settings: of the app.
        cluster: the brokers.
        topic: the one that is read.
        stream: what the topic's events are and where they go.
        engine: from ``db.connection.engine.connect``.
        queries: from ``connect_for_queries``.
    """

    settings: Settings
    cluster: Cluster
    topic: str
    stream: Stream
    engine: Engine
    queries: Engine

    @property
    def group(self) -> str:
        """The consumer group."""
        return self.settings.consumer_group


Register = Callable[[faust.App, Tools], None]


@dataclass(frozen=True)
class Command:
    """A command: registers itself on the app; the settings of these servers must be there."""

    register: Register
    servers: frozenset[str]

    @property
    def name(self) -> str:
        """What is typed."""
        return self.register.__name__.replace("_", "-")


def needs(*servers: str) -> Callable[[Register], Command]:
    """Declare a command and the servers it asks, ``KAFKA`` or ``DATABASE``, by its registration."""
    return lambda register: Command(register, frozenset(servers))


@cache
def find_commands() -> dict[str, Command]:
    """All that the files of this folder declare, by name."""
    modules = [import_module(f"commands.{file.name}") for file in iter_modules(commands.__path__)]
    found = [one for module in modules for one in vars(module).values() if isinstance(one, Command)]
    return {one.name: one for one in found}


def add_commands(app: faust.App, tools: Tools) -> None:
    """Register all commands on the app, in place of Faust's."""
    refuse_faust_commands()
    worker_command(tools.stream)
    for command in find_commands().values():
        command.register(app, tools)


def needed_servers(arguments: Sequence[str]) -> Collection[str]:
    """The settings that must be there for this call; none where it only asks for help."""
    if not {"--help", "--version"}.isdisjoint(arguments):
        return ()
    for word in arguments[1:]:
        if word in find_commands():
            return find_commands()[word].servers
        if word == "worker":
            return {KAFKA, DATABASE}
        if word in cli.commands:
            # Faust's, which are refused.
            return ()
    return ()
