"""`faust -A app migrate` upgrades the database's schema to the newest version."""

from typing import Any

import faust

from commands.outcome import or_exit
from commands.registry import Tools, needs
from config.load import DATABASE
from db.connection.engine import connect
from db.connection.patience import wait_for_server
from db.schema import event_key
from db.schema.version import VERSION


@needs(DATABASE)
def migrate(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    settings = tools.settings

    @app.command(name="migrate")
    async def migrate(self: Any) -> None:
        """Upgrade the database's schema to the newest version.

        With DEDUPLICATE=true, also create the unique index over event ids.
        """
        # Imported here because a worker does not need Alembic, which takes 10 MB.
        from db.schema.upgrade import IO_TIMEOUT, make_index
        from db.schema.upgrade import migrate as upgrade

        with or_exit():
            engine = connect(settings.database, settings.database_tls, io_timeout=IO_TIMEOUT)
            wait_for_server(engine, settings.command_timeout)
            done = upgrade(engine)
        if done.after != VERSION:
            self.say(
                f"The schema is at version {done.after}, newer than this app's {VERSION}: "
                "nothing to do, this app works with it."
            )
        elif done.before == done.after:
            self.say(f"The schema is already at version {done.after}.")
        else:
            before = f"upgraded from version {done.before} to" if done.before else "created at"
            self.say(f"The schema was {before} version {done.after}:")
            for change in done.changes:
                self.say(f"  {change}")
        for one in done.problems:
            self.say(f"{'Workers cannot start' if one.refused else 'Warning'}: {one.found}.")
            self.say(f"  → {one.hint}")
        if settings.deduplicate:
            self.say(f"Creating the unique index {event_key.NAME} if needed: may take minutes.")
            with or_exit():
                made = make_index(engine)
            self.say("The index was created." if made else "The index already exists.")
