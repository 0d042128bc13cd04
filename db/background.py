"""What a worker does to the tables beside writing: sums, sizes, purges."""

from sqlalchemy import Engine

from config.settings import Settings
from db.retention.purge import Purge
from db.retention.sizes import Sizes
from db.rollup.rounds import Rollup
from pipeline.background.housekeeping import Housekeeping
from pipeline.background.rollup_service import RollupService


def background(
    engine: Engine, queries: Engine, settings: Settings
) -> tuple[RollupService, Housekeeping]:
    """Make the services.

    Args:
        engine, queries: from ``db.connection.engine``.
        settings: intervals, retentions and limits.
    """
    interval, group = settings.rollup_interval, settings.consumer_group
    sizes = Sizes(queries, settings.database_max_bytes)
    purge = Purge(engine, group, sums=interval > 0)
    return (
        RollupService(Rollup(engine, interval, queries).step, interval),
        Housekeeping(sizes.note, purge.run, settings.retentions),
    )
