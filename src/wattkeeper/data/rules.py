"""Rules the database itself keeps, on SQLite, PostgreSQL and MariaDB: one name, one meaning, three dialects.

Each is installed by a migration (`enforce`) as triggers, or as an exclusion constraint where PostgreSQL has
``btree_gist``. A refused statement raises an IntegrityError whose text holds the rule's name; `actions` turns
the name into a code. A later migration that rebuilds a table on SQLite loses its triggers and must end with
`enforce_on_sqlite`: the test that all steps lead to the first schema (tests/conformance/test_operations.py)
notices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_OVERLAPS = """EXISTS (SELECT 1 FROM {table} other WHERE other.{key} = NEW.{key}{not_itself}
    AND (other.ends_at IS NULL OR other.ends_at > NEW.starts_at)
    AND (NEW.ends_at IS NULL OR NEW.ends_at > other.starts_at))"""
_DIFFERS = {
    "sqlite": "OLD.{0} IS NOT NEW.{0}",
    "postgresql": "OLD.{0} IS DISTINCT FROM NEW.{0}",
    "mysql": "NOT (OLD.{0} <=> NEW.{0})",
}
_TRIGGER = {
    "sqlite": """CREATE TRIGGER {name}_{event} BEFORE {event} ON {table} FOR EACH ROW WHEN {condition}
        BEGIN SELECT RAISE(ABORT, '{name}'); END""",
    "mysql": """CREATE TRIGGER {name}_{event} BEFORE {event} ON {table} FOR EACH ROW
        BEGIN IF {condition} THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 4025, MESSAGE_TEXT = '{name}'; END IF; END""",
}
_POSTGRES_FUNCTION = """CREATE FUNCTION {name}_{event}() RETURNS trigger LANGUAGE plpgsql AS $rule$ BEGIN
    {lock} IF {condition} THEN
    RAISE EXCEPTION '{name}' USING ERRCODE = 'check_violation', CONSTRAINT = '{name}'; END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $rule$"""
_POSTGRES_TRIGGER = """CREATE TRIGGER {name}_{event} BEFORE {event} ON {table}
    FOR EACH ROW EXECUTE FUNCTION {name}_{event}()"""
_POSTGRES_LOCK = "PERFORM pg_advisory_xact_lock(hashtext('{name}'), NEW.{key}::int);"
_POSTGRES_EXCLUSION = """ALTER TABLE {table} ADD CONSTRAINT {name}
    EXCLUDE USING gist ({key} WITH =, tstzrange(starts_at, ends_at) WITH &&)"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows for which `condition` (over OLD and NEW) holds are refused on `event`.

    ``{differs:column}`` in the condition is a comparison that treats nulls as values. `vendors` limits a rule
    to engines that have no other means for it.
    """

    name: str
    table: str
    event: str
    condition: str
    vendors: tuple[str, ...] = ("sqlite", "postgresql", "mysql")
    lock: str = ""

    def statements(self, vendor: str) -> list[str]:
        """Return the SQL that installs the rule on an engine."""
        if vendor not in self.vendors:
            return []
        fields = {
            "name": self.name,
            "event": self.event.lower(),
            "table": self.table,
            "condition": _with_comparisons(self.condition, vendor),
            "lock": self.lock,
        }
        if vendor == "postgresql":
            return [_POSTGRES_FUNCTION.format(**fields), _POSTGRES_TRIGGER.format(**fields)]
        return [_TRIGGER[vendor].format(**fields)]

    def removal(self, vendor: str) -> list[str]:
        """Return the SQL that takes the rule away."""
        trigger = f"{self.name}_{self.event.lower()}"
        if vendor == "postgresql":
            return [f"DROP FUNCTION IF EXISTS {trigger}() CASCADE"]
        return [f"DROP TRIGGER IF EXISTS {trigger}"]


@dataclass(frozen=True, slots=True)
class NoOverlap:
    """Half-open periods (`starts_at`, `ends_at`) of rows with the same `key` share no instant."""

    name: str
    table: str
    key: str

    def refusals(self) -> list[Refusal]:
        """Return the rule as triggers."""
        lock = _POSTGRES_LOCK.format(name=self.name, key=self.key)
        return [
            Refusal(
                self.name,
                self.table,
                event,
                _OVERLAPS.format(table=self.table, key=self.key, not_itself=not_itself),
                lock=lock,
            )
            for event, not_itself in (("INSERT", ""), ("UPDATE", " AND other.id <> NEW.id"))
        ]

    def exclusion(self) -> str:
        """Return the rule as PostgreSQL's exclusion constraint."""
        return _POSTGRES_EXCLUSION.format(name=self.name, table=self.table, key=self.key)


def immutable(name: str, table: str) -> list[Refusal]:
    """Return the rule that rows of `table` are never updated or deleted."""
    return [Refusal(name, table, event, "1 = 1") for event in ("UPDATE", "DELETE")]


def install(schema_editor: BaseDatabaseSchemaEditor, rule: NoOverlap | Refusal, *, use_gist: bool) -> None:
    """Install one rule on the editor's database."""
    vendor = schema_editor.connection.vendor
    if isinstance(rule, Refusal):
        statements = rule.statements(vendor)
    elif vendor == "postgresql" and use_gist:
        statements = [rule.exclusion()]
    else:
        statements = [statement for refusal in rule.refusals() for statement in refusal.statements(vendor)]
    for statement in statements:
        schema_editor.execute(statement, params=None)


def remove(schema_editor: BaseDatabaseSchemaEditor, rule: NoOverlap | Refusal) -> None:
    """Take one rule away, in whichever form it is there."""
    vendor = schema_editor.connection.vendor
    if isinstance(rule, NoOverlap) and vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE {rule.table} DROP CONSTRAINT IF EXISTS {rule.name}", params=None)
    for refusal in rule.refusals() if isinstance(rule, NoOverlap) else [rule]:
        for statement in refusal.removal(vendor):
            schema_editor.execute(statement, params=None)


def enforce(rules: Sequence[NoOverlap | Refusal]) -> migrations.RunPython:
    """Return the migration operation that installs `rules`."""

    def forwards(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        use_gist = _has_gist(schema_editor)
        for rule in rules:
            install(schema_editor, rule, use_gist=use_gist)

    def backwards(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        for rule in rules:
            remove(schema_editor, rule)

    return migrations.RunPython(forwards, backwards, atomic=False)  # MariaDB commits each rule by itself


def enforce_on_sqlite(rules: Sequence[NoOverlap | Refusal]) -> migrations.RunPython:
    """Return the operation that installs `rules` again where the steps before it made their table anew."""

    def forwards(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor == "sqlite":
            for rule in rules:
                remove(schema_editor, rule)
                install(schema_editor, rule, use_gist=False)

    return migrations.RunPython(forwards)


def _with_comparisons(condition: str, vendor: str) -> str:
    head, *rest = condition.split("{differs:")
    for part in rest:
        column, _, tail = part.partition("}")
        head += _DIFFERS[vendor].format(column) + tail
    return head


def _has_gist(schema_editor: BaseDatabaseSchemaEditor) -> bool:
    """Whether PostgreSQL has, or can be given by this user, the extension ``btree_gist``."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT installed_version IS NOT NULL OR has_database_privilege(current_database(), 'CREATE')"
            " FROM pg_available_extensions WHERE name = 'btree_gist'"
        )
        row = cursor.fetchone()
        if row is None or not row[0]:
            return False
        cursor.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    return True
