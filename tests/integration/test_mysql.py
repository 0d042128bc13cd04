"""MySQL 8 in place of MariaDB: its logins, its dialect, and a release that is refused.

The MySQL that set-up can fetch is 8.0.15, whose JSON_TABLE makes the word null of a null. A
worker refuses it; all else is tried with rows that lack nothing.
"""

import json
from datetime import datetime
from pathlib import Path

import pymysql
import pytest

from tests.conftest import copying
from tests.integration import test_writer
from tests.integration.test_dead_letter_rows import (  # noqa: F401 - run here again
    small_packets,
    test_a_value_larger_than_the_server_takes_is_cut,
    test_another_event_at_the_same_position_is_another_letter,
    test_offsets_that_are_set_forget_which_record_was_the_last,
    test_the_same_event_read_again_is_the_same_letter,
)
from tests.integration.test_fencing import (  # noqa: F401 - run here again
    proxy,
    test_a_session_that_was_not_set_up_stores_nothing,
    test_a_statement_sent_elsewhere_stores_nothing,
    through,
)
from tests.integration.test_migrations import (  # noqa: F401 - run here again
    empty,
    test_a_migration_killed_after_any_statement_is_run_again,
    test_a_worker_of_the_version_before_goes_on_writing_letters,
    test_letters_are_found_by_position_through_the_key,
    test_old_letters_are_described_in_portions,
    test_where_no_lock_holds_two_at_once_break_nothing,
    test_whoever_waits_too_long_is_told_for_whom,
)
from tests.integration.test_old_tables import (  # noqa: F401 - run here again
    bare,
    test_a_table_that_costs_single_rows_is_warned_of_and_its_alter_mends_it,
    test_a_table_that_spoils_or_refuses_all_is_refused_and_its_alter_mends_it,
    test_a_table_that_takes_all_rows_is_not_spoken_of,
    test_a_view_in_its_place_is_refused,
    test_an_account_is_told_only_what_it_may_see,
    test_an_id_that_is_full_is_refused,
    test_constraints_of_ones_own_are_spoken_of,
    test_the_apps_own_tables_must_have_transactions,
)
from tests.integration.test_refused_rows import (  # noqa: F401 - run here again
    refusing,
    test_a_connection_that_is_killed_while_rows_are_isolated_costs_nothing,
    test_a_write_with_refused_rows_is_one_transaction,
    test_an_error_of_a_row_leaves_the_transaction_as_it_was,
    test_exactly_the_rows_that_are_refused_alone_become_dead_letters,
    test_of_two_rows_that_exclude_each_other_the_first_stays,
)
from tests.integration.test_sales import test_rows_from_before_are_summed  # noqa: F401
from tests.integration.test_viewers import (  # noqa: F401 - run here again
    test_a_question_ends_when_its_time_is_over,
)
from tests.integration.test_writer import (  # noqa: F401 - run here again
    begun,
    engine,
    test_a_hole_is_never_written_over,
    test_a_missing_table_is_fatal_and_says_what_to_run,
    test_a_row_that_only_the_database_refuses_is_a_dead_letter,
    test_a_write_repeated_adds_nothing_and_answers_the_same,
    test_groups_do_not_disturb_each_other,
    test_migrations_make_what_the_metadata_says,
    test_quotes_backslashes_and_percent_signs_come_back_as_they_were,
    test_rows_dead_letters_ledger_and_offsets_are_one_transaction,
    test_sessions_are_strict,
    test_statements_are_cut_to_what_the_server_takes,
    test_the_replaced_jobs_table_is_taken_over_with_its_rows,
    test_time_is_utc_whatever_the_servers_zone,
    test_whoever_comes_second_adds_only_what_is_new,
)
from tests.mysql_server import MySQL


@pytest.fixture(scope="module")
def mariadb(folder: Path):
    """In place of the session's server."""
    if MySQL.missing():
        pytest.skip("set-up could not fetch a MySQL 8")
    with MySQL(folder / "mysql", "--default-time-zone=+05:30") as running:
        yield running


@pytest.fixture(scope="module")
def _migrated(mariadb, migrate_cli):
    return copying(mariadb, migrate_cli)


@pytest.fixture(autouse=True)
def _whole_events(monkeypatch):
    """The writer's tests send events without nulls."""

    def event(number: int, **fields: object) -> bytes:
        whole = {"event_id": f"e{number}", "user_id": "u", "product_id": "p", "category": "c"}
        whole |= {"event_type": "view", "timestamp": "2026-11-27 10:00:00"}
        return json.dumps({**whole, "price": 1, "quantity": 1, **fields}).encode()

    monkeypatch.setattr(test_writer, "event", event)


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
def test_accounts_log_in_with_tls_and_without(mariadb, plugin):
    name = plugin[:6]
    mariadb.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED WITH {plugin} BY 's3cret'")
    for disabled in (True, False):
        with (
            pymysql.connect(
                host="127.0.0.1",
                port=mariadb.port,
                user=name,
                password="s3cret",
                ssl_disabled=disabled,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            [(_, cipher)] = cursor.fetchall()
            assert bool(cipher) is not disabled


def test_fractions_of_seconds_are_rounded(mariadb):
    [(there,)] = mariadb.execute("SELECT CAST('2026-11-27 10:00:00.9996' AS DATETIME(3))")
    assert there == datetime(2026, 11, 27, 10, 0, 1)


def test_a_release_that_spoils_nulls_is_refused(worker, mariadb):
    [(version,)] = mariadb.execute("SELECT VERSION()")
    sentence = f"MySQL {version} would store the word null where an event has none"
    running = worker()
    assert running.wait(40) == 1
    assert f"{sentence}: use a newer one." in running.log_text()
    assert "Traceback" not in running.log_text()
