"""What schema a database has and what this release needs: refused in one sentence where they do not fit."""

from dataclasses import dataclass

from django.db import connection
from django.db.migrations.loader import MigrationLoader

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.upgrades.models import SchemaVersion
from wattkeeper.data.upgrades.versions import SCHEMA_VERSION

BEGUN = "begun."  # before an app's label: a step that an engine without transactional DDL has not ended


@dataclass(frozen=True, slots=True)
class Schema:
    """`missing`: steps this release has and the database has not; `unknown`: the other way round.

    `version` and `oldest_served` are what the newest upgrade recorded, 0 where none did. `is_new`: no release
    took a step yet, so that there is nothing in the database.
    """

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    begun: tuple[str, ...]
    version: int
    oldest_served: int
    is_new: bool

    def refuse(self, *, is_upgrading: bool) -> None:
        """
        Return if this release may run on the schema, or upgrade it.

        :raises WattkeeperError: ``schema.half-applied``, ``schema.too-new``, ``schema.new``,
            ``schema.behind``
        """
        if self.begun:
            raise WattkeeperError("schema.half-applied", step=self.begun[0])
        if self.unknown and not 0 < self.oldest_served <= SCHEMA_VERSION:
            found = str(self.version or "?")
            raise WattkeeperError("schema.too-new", found=found, served=SCHEMA_VERSION, step=self.unknown[-1])
        if self.is_new and not is_upgrading:
            raise WattkeeperError("schema.new")
        if self.missing and not is_upgrading:
            raise WattkeeperError("schema.behind", steps=len(self.missing), served=SCHEMA_VERSION)


def read_schema() -> Schema:
    """Return what the database holds, in one look at its list of steps."""
    loader = MigrationLoader(connection)
    known, applied = set(loader.disk_migrations), set(loader.applied_migrations)
    begun = {key for key in applied if key[0].startswith(BEGUN)}
    version, oldest_served = _recorded()
    return Schema(
        missing=_names(known - applied),
        unknown=_names(applied - known - begun),
        begun=_names(begun),
        version=version,
        oldest_served=oldest_served,
        is_new=not applied,
    )


def require_served() -> None:
    """
    Return if this release may work on the database.

    :raises WattkeeperError: ``schema.half-applied``, ``schema.too-new``, ``schema.new``, ``schema.behind``
    """
    read_schema().refuse(is_upgrading=False)


def _recorded() -> tuple[int, int]:
    if SchemaVersion._meta.db_table not in connection.introspection.table_names():
        return 0, 0
    newest = SchemaVersion.objects.order_by("-version").values_list("version", "oldest_served").first()
    return newest or (0, 0)


def _names(keys: set[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{app}.{name}" for app, name in sorted(keys))
