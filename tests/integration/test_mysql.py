"""MySQL 8 in place of MariaDB: its logins and its dialect. Set-up can fetch 8.0.15."""

from datetime import UTC, datetime
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url, text

from db.engine import connect
from db.offsets import OffsetStore
from db.writer import Writer
from tests.conftest import copying
from tests.integration.test_database_security import DOCUMENT, grants
from tests.integration.test_dead_letter_rows import (  # noqa: F401 - run here again
    small_packets,
    test_a_value_larger_than_the_server_takes_is_cut,
    test_another_event_at_the_same_position_is_another_letter,
    test_offsets_that_are_set_forget_which_record_was_the_last,
    test_the_same_event_read_again_is_the_same_letter,
)
from tests.integration.test_duplicates import (  # noqa: F401 - run here again
    indexed,
    test_a_letter_whose_event_is_stored_is_replayed_without_a_row,
    test_a_writer_that_waits_for_another_one_leaves_out_what_that_stored,
    test_of_two_the_second_is_stored_when_the_database_refuses_the_first,
    test_the_table_is_what_a_set_of_ids_says,
    test_what_another_unique_index_refuses_stays_a_dead_letter,
    test_without_duplicates_nothing_is_looked_up,
    test_writers_that_store_the_same_ids_at_once_get_on,
)
from tests.integration.test_event_index import (  # noqa: F401 - run here again
    patient,
    test_ids_that_a_collation_takes_for_equal_are_different,
    test_ids_that_stand_twice_are_named_and_nothing_is_changed,
    test_known_ids_are_looked_up_in_the_index,
    test_making_it_may_be_killed_after_any_statement,
    test_what_is_written_while_it_is_made_is_in_it,
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
    test_old_workers_beside_new_ones_count_nothing_twice,
    test_undone_the_old_sums_have_every_row,
    test_where_no_lock_holds_two_at_once_break_nothing,
    test_whoever_waits_too_long_is_told_for_whom,
)
from tests.integration.test_old_tables import (  # noqa: F401 - run here again
    bare,
    test_a_table_that_costs_single_rows_is_warned_of_and_its_alter_fixes_it,
    test_a_table_that_spoils_or_refuses_all_is_refused_and_its_alter_fixes_it,
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
from tests.integration.test_rollup import (  # noqa: F401 - run here again
    _brief,
    database,
    test_a_replay_under_way_is_waited_for,
    test_a_write_under_way_is_waited_for_and_holds_up_no_other_one,
    test_ids_that_begin_anew_are_noticed_and_a_rebuild_is_the_way_out,
    test_rows_of_another_program_that_are_committed_late_are_summed,
    test_services_writers_and_replays_at_once,
    test_sums_that_are_purged_come_back_with_a_rebuild_only,
)
from tests.integration.test_rollup_worker import (  # noqa: F401 - run here again
    test_sums_are_exact_after_kills_with_several_workers_and_groups,
)
from tests.integration.test_sales import (  # noqa: F401 - run here again
    chunk,
    event,
    test_keys_too_wide_for_the_sums_keep_apart,
    test_rows_from_before_are_summed,
    test_the_views_say_what_the_rows_add_up_to,
)
from tests.integration.test_viewers import (  # noqa: F401 - run here again
    test_a_question_ends_when_its_time_is_over,
)
from tests.integration.test_writer import (  # noqa: F401 - run here again
    begun,
    engine,
    test_a_gap_is_never_written_over,
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
from tests.sums import settle

#: What `make test` runs of all this; `make test-all` runs the rest. An empty schema takes this
#: server more than a second.
ALWAYS = {
    "test_a_replay_under_way_is_waited_for",
    "test_a_row_that_only_the_database_refuses_is_a_dead_letter",
    "test_a_statement_sent_elsewhere_stores_nothing",
    "test_a_write_repeated_adds_nothing_and_answers_the_same",
    "test_accounts_log_in_with_tls_and_without",
    "test_exactly_the_rows_that_are_refused_alone_become_dead_letters",
    "test_fractions_of_seconds_are_rounded",
    "test_ids_that_stand_twice_are_named_and_nothing_is_changed",
    "test_migrations_make_what_the_metadata_says",
    "test_of_two_rows_that_exclude_each_other_the_first_stays",
    "test_quotes_backslashes_and_percent_signs_come_back_as_they_were",
    "test_rows_dead_letters_ledger_and_offsets_are_one_transaction",
    "test_rows_of_another_program_that_are_committed_late_are_summed",
    "test_sessions_are_strict",
    "test_the_views_say_what_the_rows_add_up_to",
    "test_writers_that_store_the_same_ids_at_once_get_on",
}


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


def test_the_documented_grants_are_enough_for_the_roll_up(mariadb, migrated_url):
    name = migrated_url.rpartition("/")[2]
    extra = "GRANT LOCK TABLES ON shop.* TO 'shop_worker'@'%'"
    assert f"`{extra};`" in DOCUMENT
    for statement in (*grants("After"), extra):
        mariadb.execute(statement.replace("shop.", f"`{name}`."))
    url = make_url(migrated_url).set(
        drivername="mysql+pymysql", username="shop_worker", password="another long password"
    )
    worker = connect(url)
    OffsetStore(worker, "g").begin("t", {0: 0})
    Writer(worker, "g", "w").write(1, datetime.now(UTC), [chunk([event(2), event(3)])])
    settle(worker)
    with connect(make_url(migrated_url).set(drivername="mysql+pymysql")).connect() as connection:
        assert connection.scalar(text("SELECT SUM(orders) FROM sales_per_product")) == 2
    worker.dispose()
    mariadb.execute("DROP USER 'shop_worker'@'%'")
