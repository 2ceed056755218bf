"""Django made usable for a long-running role, on a schema that this release serves."""

from wattkeeper.bootstrap.engines import setup_django


def set_up_role() -> None:
    """
    Make the relational side usable in this process.

    :raises WattkeeperError: if the settings are wrong; ``schema.*`` if this release can't run on the
        database; ``database.commits-unsafe`` if it forgets what it has confirmed; ``database.of-a-drill``
    """
    setup_django()
    from wattkeeper.data.drills import require_no_drill
    from wattkeeper.data.durability import require_durable
    from wattkeeper.data.upgrades.schema import require_served

    require_no_drill()
    require_served()
    require_durable()
