"""The rules of the relational side, broken by raw SQL that bypasses Python: the same on every engine."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from conformance.mariadb import mariadb_server
from conformance.postgres import postgres_server
from conformance.relational_seed import SEED

MIGRATE = "import sys; from wattkeeper.interfaces.cli.main import main; sys.argv[1:] = ['migrate']; main()"
INSTALL = (
    "INSERT INTO registry_installation"
    " (id, tenant_id, meter_id, usage_point_id, starts_at, ends_at, recorded_at)"
)
MULTIPLY = (
    "INSERT INTO registry_multiplier"
    " (id, tenant_id, usage_point_id, numerator, denominator, reason, starts_at, ends_at, recorded_at)"
)
FEED = "INSERT INTO registry_topology (id, tenant_id, parent_id, child_id, starts_at, ends_at, recorded_at)"
CONTRACT = (
    "INSERT INTO billing_contract (id, tenant_id, usage_point_id, tariff_id, starts_at, ends_at, recorded_at)"
)
NOW = "'2026-01-01 00:00:00'"
BILL_AGAIN = f"""INSERT INTO billing_bill (id, tenant_id, usage_point_id, tariff_version_id,
  document_key, state, starts_at,
  ends_at, currency, total_minor, energy_milliwh, run_id, document, issued_at) VALUES (9, 1, 1, 1, 'k2',
  'ISSUED',
  {NOW}, '2026-02-01 00:00:00', 'CNY', 100, 5, 1, '{{}}', '2026-02-02 00:00:00')"""
HALF_BILLED = BILL_AGAIN.replace("2026-02-01", "2026-01-16")
BILLED_AFTER = BILL_AGAIN.replace(NOW, "'2026-02-01 00:00:00'", 1).replace(
    ", '2026-02-01 00:00:00', 'CNY'", ", '2026-03-01 00:00:00', 'CNY'"
)
KEY_AGAIN = BILLED_AFTER.replace("'k2'", "'k1'")
KEY_OF_OTHERS = (
    f"INSERT INTO registry_tenant (id, name, created_at) VALUES (2, 'Two', {NOW});"
    + KEY_AGAIN.replace("(9, 1, 1, 1, 'k1'", "(9, 2, 1, 1, 'k1'")
)
PROPOSE_AGAIN = f"""INSERT INTO billing_rebillproposal (id, tenant_id, bill_id, state, data_version,
  tier_used_milliwh, energy_milliwh, held_code, raised_at, looked_at, decided_by, note)
  VALUES (9, 1, 1, {{state}}, 'w', 0, 5, '', {NOW}, {NOW}, '', '')"""
JOIN_AGAIN = (
    "INSERT INTO vee_groupmember (id, tenant_id, group_id, series_id, recorded_at, withdrawn_at)"
    f" VALUES (9, 1, 2, 1, {NOW}, {{withdrawn_at}})"
)
ASSIGN_AGAIN = (
    "INSERT INTO vee_assignment (id, tenant_id, group_id, starts_date, recorded_at, made_by, withdrawn_at)"
    f" VALUES (9, 1, 1, '2026-01-01', {NOW}, 'a', {{withdrawn_at}})"
)
FORGET_READS = (
    "UPDATE registry_channel SET has_reads = {false} WHERE id = 1",
    "DELETE FROM registry_channel WHERE id = 1",
)

STRETCH = "UPDATE registry_installation SET ends_at = '2026-03-01 00:00:00' WHERE id = 1"


def _belongs(table: str, whole_id: int, part_id: int) -> str:
    """Return a second membership of a part, while the first still holds."""
    columns = "id, tenant_id, whole_id, part_id, starts_at, recorded_at"
    return (
        f"INSERT INTO {table} ({columns}) VALUES (9, 1, {whole_id}, {part_id}, '2026-05-01 00:00:00', {NOW})"
    )


OVERLAPS = {
    "meter elsewhere at once": (
        f"{INSTALL} VALUES (9, 1, 1, 2, '2026-01-31 23:59:59', NULL, {NOW})",
        "installation_meter_no_overlap",
    ),
    "two meters at a point": (
        f"{INSTALL} VALUES (9, 1, 2, 1, '2025-12-01 00:00:00', '2026-01-01 00:00:01', {NOW})",
        "installation_usage_point_no_overlap",
    ),
    "around it": (
        f"{INSTALL} VALUES (9, 1, 2, 1, '2025-12-01 00:00:00', NULL, {NOW})",
        "installation_usage_point_no_overlap",
    ),
    "stretched over another": (
        f"{INSTALL} VALUES (9, 1, 2, 1, '2026-02-01 00:00:00', NULL, {NOW});" + STRETCH,
        "installation_usage_point_no_overlap",
    ),
    "two multipliers": (
        f"{MULTIPLY} VALUES (9, 1, 1, 60, 1, '', '2026-06-01 00:00:00', NULL, {NOW})",
        "multiplier_no_overlap",
    ),
    "two parents": (f"{FEED} VALUES (9, 1, 1, 2, '2026-05-01 00:00:00', NULL, {NOW})", "topology_no_overlap"),
    "two contracts": (
        f"{CONTRACT} VALUES (9, 1, 1, 1, '2026-05-01 00:00:00', NULL, {NOW})",
        "contract_no_overlap",
    ),
    "two formulas": (
        (
            "INSERT INTO virtual_formula (id, tenant_id, usage_point_id, text, terms, made_by, starts_at,"
            f" recorded_at) VALUES (9, 1, 1, '', '[]', '', '2026-05-01 00:00:00', {NOW})"
        ),
        "formula_no_overlap",
    ),
    "an area in two": (_belongs("virtual_areainarea", 1, 2), "area_in_area_no_overlap"),
    "a site in two areas": (_belongs("virtual_siteinarea", 2, 1), "site_in_area_no_overlap"),
    "a point on two feeders": (_belongs("virtual_pointonfeeder", 3, 1), "point_on_feeder_no_overlap"),
    "a point of two customers": (_belongs("virtual_pointofcustomer", 4, 1), "point_of_customer_no_overlap"),
}
NONSENSE = {
    "rule set rewritten": ("UPDATE vee_storedruleset SET code = 's'", "vee_rule_set_immutable"),
    "rule set removed": (
        "DELETE FROM vee_assignment; DELETE FROM vee_storedruleset",
        "vee_rule_set_immutable",
    ),
    "two groups of a series": (JOIN_AGAIN.format(withdrawn_at="NULL"), "vee_member_once"),
    "two assignments of a day": (ASSIGN_AGAIN.format(withdrawn_at="NULL"), "vee_assignment_once"),
    "edit approved by its author": (
        "UPDATE vee_storededit SET approver_id = author_id",
        "vee_edit_two_people",
    ),
    "edit of no time": ("UPDATE vee_storededit SET ends_at = starts_at", "vee_edit_period"),
    "two open proposals": (PROPOSE_AGAIN.format(state="'OPEN'"), "rebill_one_open"),
    "audit rewritten": ("UPDATE audit_auditrecord SET actor = 'b'", "audit_record_immutable"),
    "audit removed": ("DELETE FROM audit_auditrecord", "audit_record_immutable"),
    "step rewritten": ("UPDATE commands_commandstep SET to_state = 'SENT'", "command_step_immutable"),
    "step removed": ("DELETE FROM commands_commandstep", "command_step_immutable"),
    "line rewritten": ("UPDATE billing_billline SET amount_minor = 1", "bill_line_immutable"),
    "line removed": ("DELETE FROM billing_billline", "bill_line_immutable"),
    "bill rewritten": ("UPDATE billing_bill SET total_minor = 1", "bill_immutable"),
    "bill rewritten while reversed": (
        "UPDATE billing_bill SET state = 'REVERSED', total_minor = 1",
        "bill_immutable",
    ),
    "bill revived": (
        "UPDATE billing_bill SET state = 'REVERSED'; UPDATE billing_bill SET state = 'ISSUED'",
        "bill_immutable",
    ),
    "bill removed": ("DELETE FROM billing_billline; DELETE FROM billing_bill", "bill_line_immutable"),
    "second bill of a period": (BILL_AGAIN, "bill_one_issued_a_period"),
    "one document twice": (KEY_AGAIN, "bill_document_key"),
    "bill of a part of a billed period": (HALF_BILLED, "bill_no_overlap"),
    "tariff rewritten": (
        "UPDATE billing_tariffversion SET valid_from_date = '2026-02-01'",
        "tariff_version_immutable",
    ),
    "read meter deleted": (
        "DELETE FROM registry_installation; DELETE FROM registry_meter WHERE id = 1",
        "meter_with_reads_undeletable",
    ),
    "reads forgotten": (FORGET_READS[0], "channel_reads_unforgotten"),
    "read channel deleted": (FORGET_READS[1], "channel_with_reads_undeletable"),
    "step of a read channel changed": (
        "UPDATE registry_channel SET step_denominator = 10 WHERE id = 1",
        "channel_reads_unforgotten",
    ),
    "counter lowered": (
        "UPDATE collection_invocationcounter SET next_counter = 499",
        "invocation_counter_rises",
    ),
    "period ends before it starts": (
        f"{INSTALL} VALUES (9, 1, 2, 2, '2026-02-01 00:00:00', '2026-01-01 00:00:00', {NOW})",
        "installation_period",
    ),
    "multiplier of zero": (
        f"{MULTIPLY} VALUES (9, 1, 2, 0, 1, '', '2026-06-01 00:00:00', NULL, {NOW})",
        "multiplier_positive",
    ),
    "told multiplier of zero": (
        (
            "INSERT INTO registry_toldmultiplier (id, meter_id, told_at, numerator, denominator)"
            f" VALUES (9, 1, {NOW}, 0, 1)"
        ),
        "told_multiplier_positive",
    ),
    "feeds itself": (f"{FEED} VALUES (9, 1, 1, 1, '2026-05-01 00:00:00', NULL, {NOW})", "topology_no_loop"),
}
SENSE = {
    "moved to another group": JOIN_AGAIN.format(withdrawn_at=NOW),
    "assigned again when withdrawn": ASSIGN_AGAIN.format(withdrawn_at=NOW),
    "another proposal that is decided": PROPOSE_AGAIN.format(state="'REJECTED'"),
    "the next installation": f"{INSTALL} VALUES (9, 1, 2, 1, '2026-02-01 00:00:00', NULL, {NOW})",
    "the one before": f"{INSTALL} VALUES (9, 1, 2, 1, '2025-12-01 00:00:00', '2026-01-01 00:00:00', {NOW})",
    "another point": f"{INSTALL} VALUES (9, 1, 2, 2, '2026-01-01 00:00:00', NULL, {NOW})",
    "a bill reversed, then billed again": f"UPDATE billing_bill SET state = 'REVERSED'; {BILL_AGAIN}",
    "the bill of the next period": BILLED_AFTER,
    "a document that others have too": KEY_OF_OTHERS,
    "a meter without reads deleted": (
        "DELETE FROM registry_channel WHERE id = 2; DELETE FROM registry_meter WHERE id = 2"
    ),
    "a first read": "UPDATE registry_channel SET has_reads = {true} WHERE id = 2",
    "a counter raised": "UPDATE collection_invocationcounter SET next_counter = 501",
}


class Database:
    """A migrated database, reached through its own driver; every trial is rolled back."""

    true, false = "TRUE", "FALSE"
    refused: tuple[type[Exception], ...] = (psycopg.IntegrityError,)

    def __init__(self, url: str, folder: Path) -> None:
        self.environment = {**os.environ, "WATTKEEPER_DATABASE": url, "WATTKEEPER_DATA": str(folder)}
        subprocess.run(
            [sys.executable, "-c", MIGRATE], env=self.environment, check=True, stdout=subprocess.DEVNULL
        )
        self.connection: Any = self.connect(url, folder)

    def connect(self, url: str, folder: Path) -> Any:
        """Return the driver's own connection."""
        return psycopg.connect(url)

    def run(self, text: str) -> int:
        """Run statements and return how many rows the last one changed, then roll back."""
        try:
            cursor = self.connection.cursor()
            for statement in (SEED + text).format(true=self.true, false=self.false).split(";"):
                if statement.strip():
                    cursor.execute(statement)
            return int(cursor.rowcount)
        finally:
            self.connection.rollback()


class Sqlite(Database):
    true, false = "1", "0"
    refused = (sqlite3.IntegrityError,)

    def connect(self, url: str, folder: Path) -> Any:
        connection = sqlite3.connect(folder / "registry.sqlite3")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


class Mariadb(Database):
    refused = (pymysql.IntegrityError, pymysql.OperationalError)

    def connect(self, url: str, folder: Path) -> Any:
        parts = urlsplit(url)
        return pymysql.connect(
            host=parts.hostname, port=parts.port or 0, user=parts.username, database=parts.path.lstrip("/")
        )


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "postgresql-without-gist", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield Sqlite("", folder)
        return
    if request.param == "mariadb":
        with mariadb_server() as url:
            yield Mariadb(url, folder)
        return
    with postgres_server() as url:
        if request.param == "postgresql-without-gist":
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute("CREATE ROLE plain LOGIN")
                owner.execute("GRANT CREATE, USAGE ON SCHEMA public TO plain")
            url = url.replace("wattkeeper@", "plain@")
        yield Database(url, folder)


UNIQUE_ON_SQLITE = {  # there the columns of a unique index are named
    "bill_one_issued_a_period": "billing_bill.usage_point_id",
    "vee_member_once": "vee_groupmember.series_id",
    "vee_assignment_once": "vee_assignment.group_id",
    "rebill_one_open": "billing_rebillproposal.bill_id",
    "bill_document_key": "billing_bill.document_key",
}


@pytest.mark.parametrize(
    ("statement", "rule"), [*OVERLAPS.values(), *NONSENSE.values()], ids=[*OVERLAPS, *NONSENSE]
)
def test_nonsense_is_refused(database: Database, statement: str, rule: str) -> None:
    with pytest.raises(database.refused) as refusal:
        database.run(statement.replace("{}", "{{}}"))
    named = str(refusal.value)
    if isinstance(database, Sqlite):
        rule = UNIQUE_ON_SQLITE.get(rule, rule)
    assert rule in named


@pytest.mark.parametrize("statement", SENSE.values(), ids=SENSE)
def test_sense_is_accepted(database: Database, statement: str) -> None:
    assert database.run(statement.replace("{}", "{{}}")) == 1


def test_a_statement_that_changes_nothing_would_be_noticed(database: Database) -> None:
    assert database.run("UPDATE registry_channel SET has_reads = {true} WHERE id = 99") == 0


def test_without_its_triggers_the_suite_would_notice(tmp_path: Path) -> None:
    database = Sqlite("", tmp_path)
    names = [
        row[0] for row in database.connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    ]
    assert len(names) >= 20
    for name in names:
        database.connection.execute(f"DROP TRIGGER {name}")
    database.connection.commit()
    for statement, _ in OVERLAPS.values():
        assert database.run(statement) == 1
    assert database.run("DELETE FROM audit_auditrecord") >= 1
