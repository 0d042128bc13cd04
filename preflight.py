"""What must hold before a worker starts: asked once, each failure one sentence."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from mode.utils.logging import get_logger
from sqlalchemy import Engine

from checks.link import reach
from checks.rights import may_join, may_read
from config import Settings
from credentials import client_options
from db import event_index, features, schema
from pipeline.errors import FatalError, TransientError, UntrustedError
from pipeline.threads import in_thread
from source.log_reader import Bounds, LogReader
from source.start_offsets import StartOffsets

log = get_logger(__name__)
_T = TypeVar("_T")

#: Seconds a server may take to answer.
PATIENCE = 20


class NoTopicError(FatalError):
    """Kafka answers, and has no such topic."""


async def prepare(settings: Settings, engine: Engine, start_offsets: StartOffsets) -> None:
    """See that database, schema, broker and topic are there; store where a new group begins.

    Raises:
        FatalError: something is not, and the text says what to change.
    """
    try:
        await in_thread(features.check, engine)
        found = await in_thread(schema.check, engine)
        schema.see_that_rows_fit(found)
        _tell(found)
        if warning := await in_thread(event_index.check, engine, settings.deduplicate):
            log.warning("%s.", warning)
        bounds = await topic_bounds(settings)
        await may_read(settings, min(bounds))
        await may_join(settings)
        await start_offsets.begin(bounds)
    except UntrustedError as error:
        raise FatalError(str(error)) from error
    except TransientError as error:
        raise FatalError(
            f"The database at {settings.database.host}:{settings.database.port or 3306} does not "
            f"answer: start it, or change DATABASE_URL ({error})."
        ) from error


def _tell(found: schema.Schema) -> None:
    if found.is_newer:
        log.warning(
            "The database's schema is at version %s, newer than this app's %s: all that this app "
            "uses is there.",
            found.version,
            schema.VERSION,
        )
    for one in found.findings:
        log.warning("The database: %s. If that is not meant: %s", one.found, one.mend)


async def topic_bounds(settings: Settings) -> dict[int, Bounds]:
    """Bounds of all the topic's partitions.

    Raises:
        FatalError: the broker is not there.
        NoTopicError: the topic is not there.
    """
    async with _topic(settings) as (logs, partitions):
        return await _in_time(logs.bounds(partitions))


async def offsets_at(settings: Settings, moment: int) -> dict[int, int | None]:
    """For each of the topic's partitions the offset of the first event at or after a moment.

    Args:
        settings: which brokers and topic.
        moment: milliseconds since 1970.

    Returns:
        By partition; None where there is no event since then.

    Raises:
        FatalError: the broker is not there.
        NoTopicError: the topic is not there.
    """
    # To Kafka, negative times are words of another meaning.
    asked = max(0, moment)
    async with _topic(settings) as (logs, partitions):
        return await _in_time(logs.offsets_at(partitions, asked))


@asynccontextmanager
async def _topic(settings: Settings) -> AsyncIterator[tuple[LogReader, list[int]]]:
    """A reader of the topic's logs, and the topic's partitions."""
    await reach(settings)
    logs = LogReader(settings.broker_addresses, settings.topic, client_options(settings))
    try:
        partitions = await _in_time(logs.partitions())
        if not partitions:
            raise NoTopicError(
                f"Kafka has no topic {settings.topic!r}: create it, or change TOPIC."
            )
        yield logs, partitions
    except TopicAuthorizationFailedError as error:
        raise FatalError(
            f"Kafka does not let this account see the topic {settings.topic!r}: grant it READ, "
            f"or change TOPIC."
        ) from error
    except (KafkaError, TimeoutError, OSError, socket.gaierror) as error:
        raise FatalError(
            f"Kafka at {', '.join(settings.broker_addresses)} does not answer: start it, or change "
            f"KAFKA_URL ({type(error).__name__})."
        ) from error
    finally:
        await logs.close()


async def _in_time(work: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(work, PATIENCE)
