"""Schemas of earlier versions."""

from alembic import command
from sqlalchemy import text

from db.schema.upgrade import alembic_config

INSERT_LETTER = text(
    "INSERT INTO dead_letters (consumer_group, kafka_topic, kafka_partition, kafka_offset, reason,"
    " detail, value, created_at) VALUES ('g', 't', 0, :at, 'malformed', 'd', :value, NOW())"
)


def bring_to(engine, revision):
    """Run the migrations up to this one."""
    config = alembic_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
