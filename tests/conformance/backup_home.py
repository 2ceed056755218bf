"""An installation made in a folder, and its state: `python -m conformance.backup_home FOLDER [state]`."""

import os
import sys
from pathlib import Path

import numpy as np


def main_of() -> str:
    """Return the program that is the shell."""
    return "from wattkeeper.interfaces.cli.main import main; main()"


def make(folder: Path) -> None:
    """Migrate the folder's database and build the small world of `verify` in it."""
    from conformance.verify_world import make_world
    from relational import NOW
    from wattkeeper.core.billing.determinants import RateDayRows
    from wattkeeper.data.upgrades.steps import upgrade
    from wattkeeper.store.client import HttpReadingStore

    upgrade(now=NOW)
    store = HttpReadingStore.of_file(folder / "run" / "store.json")
    world = make_world(folder, store, folder / "readings" / "engine")
    days = store.roll_ups(world.tenant_id, [world.series_id], [(0, 2**32)])
    days = days.take(days.measured_count == days.expected_count)
    one = np.ones(len(days), dtype=np.int64)
    counts = (days.expected_count, days.measured_count, one * 0, one * 0)
    rates = RateDayRows(
        days.series_id, days.starts_at_s, one, one, *counts, days.energy_milliwh, one * 0
    )  # of one rate, so that each day's is the day's
    store.insert_rate_days(world.tenant_id, int(days.run_id.max()), rates)


def tell_state(folder: Path) -> None:
    """Print the state hash."""
    from wattkeeper.actions.operations.state import state_hash
    from wattkeeper.store.client import HttpReadingStore

    sys.stdout.write(state_hash(HttpReadingStore.of_file(folder / "run" / "store.json")))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    os.environ["WATTKEEPER_DATA"] = str(place)
    from wattkeeper.bootstrap import setup_django

    setup_django()
    (tell_state if sys.argv[2:] else make)(place)
