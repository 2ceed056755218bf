"""Django made usable for a long-running role, on a schema that this release serves."""

import gc

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


def keep_what_is_loaded() -> None:
    """Take what lives as long as the process from the sight of the garbage collector.

    Rows by the thousand make it look through everything, again and again: a twentieth of a pipeline's work.
    """
    gc.collect()
    gc.freeze()
