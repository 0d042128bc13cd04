"""What must hold before a worker starts: asked once, each failure one sentence."""

from mode.utils.logging import get_logger
from sqlalchemy import Engine

from config.settings import Settings
from db import event_index, features, schema
from db.errors import advice
from pipeline.errors import FatalError, LoginError, TransientError
from pipeline.threads import in_thread
from source.permissions import may_join, may_read
from source.start_offsets import StartOffsets
from source.topics import topic_bounds

log = get_logger(__name__)


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
    except LoginError as error:
        raise FatalError(str(error)) from error
    except TransientError as error:
        raise FatalError(_cannot_be_used(settings, error)) from error


def _cannot_be_used(settings: Settings, error: TransientError) -> str:
    where = f"The database at {settings.database_address}"
    if not error.is_away:
        return f"{where} answers, but cannot be used: {error}. Try: {advice(error)}."
    if "timed out" in str(error):
        return f"{where} does not answer in time: {advice(error)} ({error})."
    return f"{where} does not answer: start it, or change DATABASE_URL ({error})."


def _tell(found: schema.Schema) -> None:
    if found.is_newer:
        log.warning(
            "The database's schema is at version %s, newer than this app's %s: all that this app "
            "uses is there.",
            found.version,
            schema.VERSION,
        )
    for one in found.problems:
        log.warning("The database: %s. If that is not meant: %s", one.found, one.hint)
