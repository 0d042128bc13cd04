"""`faust -A app migrate`: bring the database's schema to the newest version."""

from typing import Any

import faust

from commands.outcome import or_exit
from config.settings import Settings
from db.connection.engine import connect
from db.schema import event_key
from db.schema.version import VERSION


def migrate(app: faust.App, settings: Settings) -> None:
    """Register the command."""

    @app.command(name="migrate")
    async def migrate(self: Any) -> None:
        """Bring the database's schema to the newest version.

        With DEDUPLICATE=true, also make the unique index over the event ids.
        """
        # Imported here: a worker has no use for Alembic's 10 MB.
        from db.schema.upgrade import IO_TIMEOUT, make_index
        from db.schema.upgrade import migrate as bring_up

        with or_exit():
            engine = connect(settings.database, settings.database_tls, io_timeout=IO_TIMEOUT)
            done = bring_up(engine)
        if done.after != VERSION:
            self.say(
                f"The schema is at version {done.after}, newer than this app's {VERSION}: "
                "nothing to do, and this app works with it."
            )
        elif done.before == done.after:
            self.say(f"The schema is at version {done.after} already.")
        else:
            before = f"from version {done.before}" if done.before else "from nothing"
            self.say(f"The schema was brought {before} to version {done.after}:")
            for change in done.changes:
                self.say(f"  {change}")
        for one in done.problems:
            self.say(f"{'No worker starts' if one.refused else 'Warning'}: {one.found}.")
            self.say(f"  → {one.hint}")
        if settings.deduplicate:
            self.say(f"Seeing to the unique index {event_key.NAME}: this may take minutes.")
            with or_exit():
                made = make_index(engine)
            self.say("The index is made." if made else "The index is there already.")
