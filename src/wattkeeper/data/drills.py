"""A server's database in which a restore drill works says so: nobody takes it for an installation's."""

from django.db import connection

from wattkeeper.core.kernel.errors import WattkeeperError

MARKER = "wattkeeper_drill"  # the table by which it says so


def require_no_drill() -> None:
    """
    Return if the database is no drill's: the next drill empties what a killed one left.

    :raises WattkeeperError: ``database.of-a-drill``
    """
    if connection.vendor != "sqlite" and MARKER in connection.introspection.table_names():
        raise WattkeeperError("database.of-a-drill", name=connection.settings_dict["NAME"], table=MARKER)
