"""`faust -A app check` tests whether a worker would run here, without changing anything."""

from dataclasses import asdict
from typing import Any

import click
import faust
from faust.cli import option

from checks.result import CheckResults, State, table
from commands.outcome import hush_kafka, or_exit
from commands.output import FORMS, Column, Form, print_json, print_listing
from commands.registry import Tools, needs
from config.load import DATABASE, KAFKA
from source.cluster.topics import topic_bounds


@needs(KAFKA, DATABASE)
def check(app: faust.App, tools: Tools) -> None:
    """Register the command."""
    settings, cluster, topic = tools.settings, tools.cluster, tools.topic
    stream, engine = tools.stream, tools.engine

    @app.command(
        option(
            "--sample",
            type=click.IntRange(1, 10_000),
            help="Instead, read this many events and show which would be stored or dropped.",
        ),
        *FORMS,
        name="check",
    )
    async def check(self: Any, sample: int | None, form: Form) -> None:
        """Check whether a worker would run: Kafka, topic, rights, database, schema, offsets.

        Changes, joins and commits nothing. The exit status is 1 if a check fails.
        """
        # Imported here, as in other commands, because a worker does not need it.
        from checks.everything import check_everything
        from checks.sample import judge, read_newest
        from checks.storing import ask_database

        hush_kafka()
        if sample is not None:
            with or_exit():
                if form == "csv":
                    raise click.UsageError("--csv does not work with --sample: use --json.")
                bounds = await topic_bounds(cluster, topic)
                records = await read_newest(cluster, bounds, sample, settings.isolation_level)
                answer = ask_database(
                    engine, stream, [record for _, record in records], settings.deduplicate
                )
                found = judge(stream, records, answer)
            if form:
                print_json(asdict(found))
            else:
                self.say(found.text())
            return
        results = await check_everything(settings, cluster, topic, stream, engine)
        failed = results.has_failed()
        lines = [asdict(one) for one in results.all]
        if form == "json":
            print_json({"ok": not failed, "results": lines})
        elif form == "csv":
            print_listing(form, _COLUMNS, lines)
        else:
            self.say(table(results.all))
            self.say(_verdict(results))
        if failed:
            raise SystemExit(1)


_COLUMNS = (Column("subject"), Column("state"), Column("found"), Column("hint"))


def _verdict(results: CheckResults) -> str:
    failures, warnings = (
        sum(one.state is state for one in results.all) for state in (State.FAIL, State.WARN)
    )
    noted = _counted(warnings, "warning")
    if failures:
        return f"A worker would not run: {_counted(failures, 'problem')} to fix, {noted}."
    return f"A worker would run, with {noted}."


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
