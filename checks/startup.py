"""Checks what a worker needs before it starts; each failure is one sentence."""

from sqlalchemy import Engine

from config.settings import Settings
from db.connection.engine import server_version
from db.connection.errors import advice
from db.schema.preconditions import Preconditions
from pipeline.errors import FatalError, LoginError, NotYetError, TransientError
from pipeline.threads import in_thread
from source.cluster.auth import Cluster
from source.cluster.permissions import may_join, may_read
from source.cluster.topics import topic_bounds
from source.start_offsets import StartOffsets


async def prepare(
    settings: Settings,
    cluster: Cluster,
    topic: str,
    engine: Engine,
    preconditions: Preconditions,
    start_offsets: StartOffsets,
) -> None:
    """Check database, schema, broker and topic; store where a new group begins.

    Raises:
        NotYetError: a server is away or busy, which may pass.
        FatalError: a check failed; the message says what to change.
    """
    try:
        await in_thread(server_version, engine)
        await in_thread(preconditions.verify)
        bounds = await topic_bounds(cluster, topic)
        await may_read(cluster, min(bounds))
        await may_join(cluster, settings.consumer_group)
        await start_offsets.begin(bounds)
    except LoginError as error:
        raise FatalError(str(error)) from error
    except TransientError as error:
        raise NotYetError(_cannot_be_used(settings, error)) from error


def _cannot_be_used(settings: Settings, error: TransientError) -> str:
    where = f"The database at {settings.database_address}"
    if not error.is_away:
        return f"{where} answers, but cannot be used: {error}. To fix it, {advice(error)}."
    if "timed out" in str(error):
        return f"{where} does not answer in time: {advice(error)} ({error})."
    return f"{where} does not answer: start it, or change DATABASE_URL ({error})."
