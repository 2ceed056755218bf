"""An installation made in a folder, and its state: `python -m conformance.backup_home FOLDER [state]`."""

import os
import sys
from pathlib import Path


def main_of() -> str:
    """Return the program that is the shell."""
    return "from wattkeeper.interfaces.cli.main import main; main()"


def make(folder: Path) -> None:
    """Migrate the folder's database and build the small world of `verify` in it."""
    from django.core.management import call_command

    from conformance.verify_world import make_world
    from wattkeeper.store.client import HttpReadingStore

    call_command("migrate", verbosity=0, interactive=False)
    store = HttpReadingStore.of_file(folder / "run" / "store.json")
    make_world(folder, store, folder / "readings" / "engine")


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
